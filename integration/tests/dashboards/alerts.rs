//! Every alert has a runbook and a rule test.

use std::collections::BTreeSet;

use regex::Regex;

use crate::sources::{files, root, text};

#[test]
fn every_alert_has_a_runbook_and_a_rule_test_in_which_it_fires() {
    let name = Regex::new(r"- alert: (\w+)").expect("a pattern");
    let tests: String =
        files("grafana/prometheus/tests", "yml").iter().map(|path| text(path)).collect();
    // The alert of one test begins a line of its own; one that must not fire has no `exp_alerts:`.
    let fires = Regex::new(r"alertname: (\w+)\n\s+(?:eval_time: \w+\n\s+)?exp_alerts:\n")
        .expect("a pattern");
    let fires: BTreeSet<_> = fires.captures_iter(&tests).map(|found| found[1].to_owned()).collect();
    for path in files("grafana/prometheus/rules", "yml") {
        let rules = text(&path);
        for alert in name.captures_iter(&rules).map(|found| found[1].to_owned()) {
            let link = format!("grafana/README.md#{}", alert.to_lowercase());
            assert!(rules.contains(&link), "{alert} has no runbook link");
            let readme = text(&root().join("grafana/README.md"));
            assert!(
                readme.contains(&format!("\n### {alert}\n")),
                "grafana/README.md says nothing about {alert}"
            );
            assert!(fires.contains(&alert), "no rule test shows how {alert} fires");
        }
    }
}
