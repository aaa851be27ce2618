//! Where the links of dashboards and alerts lead.

use clap::Parser;
use integration::stack::PublicPorts;

use crate::metrics::metrics;
use crate::sources::{boards, links, list, rules};

#[test]
fn links_lead_to_the_pages_at_the_published_ports() {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        public: PublicPorts,
    }
    let PublicPorts { http_port, prometheus_port, .. } = Defaults::parse_from(["stack"]).public;
    for board in boards() {
        let variables = list(&board["templating"]["list"], "variables");
        for (name, port) in [("gateway", http_port), ("prometheus", prometheus_port)] {
            let variable = variables.iter().find(|variable| variable["name"] == name);
            let variable = variable.unwrap_or_else(|| panic!("{}: no {name}", board["title"]));
            let address = format!("http://localhost:{port}");
            assert_eq!(variable["query"], address.as_str(), "{}", board["title"]);
            assert_eq!(variable["current"]["value"], address.as_str(), "{}", board["title"]);
        }
    }
    let links = links();
    for page in ["${gateway:raw}/operations", "${gateway:raw}/dashboard"] {
        assert!(links.contains(page), "no link leads to {page}: {links:?}");
    }
    // What an operator sees or mends on the desk.
    let of_the_desk = [
        "millrace_engine_dead_letters_total",
        "millrace_engine_records_parked",
        "millrace_engine_lag_records",
        "millrace_engine_tasks",
        "millrace_engine_restore_remaining_records",
        "millrace_projection_partitions_waiting",
        "millrace_projection_delay_seconds",
    ];
    let desk = format!("http://localhost:{http_port}/operations");
    for rule in rules() {
        let used = metrics(rule["expr"].as_str().expect("an expression"));
        if rule["alert"].is_string() && of_the_desk.iter().any(|metric| used.contains(*metric)) {
            assert_eq!(rule["annotations"]["desk"], desk.as_str(), "{}", rule["alert"]);
        }
    }
}
