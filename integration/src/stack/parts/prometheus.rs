//! Prometheus with the configuration and rules of `grafana/prometheus`, which compose mounts too.
//! Only the targets differ: this file writes them, and compose has its own in
//! `targets/compose.json`.

use super::{Setup, make, program, write};
use crate::stack::ports::local;
use crate::stack::{PROGRAMS, Part, PartKind, Ports, Ready, StackError};

/// The gateway in the links of the alerts: its address in compose.
const GATEWAY: &str = "http://localhost:3000";

pub(super) fn part(setup: &Setup) -> Result<Part, StackError> {
    let data = setup.layout.data.join("prometheus");
    let source = setup.layout.root.join("grafana/prometheus");
    let config = setup.layout.configs().join("prometheus");
    make(&data)?;
    // Copied again at each start, so that a rule removed from the checkout is gone here too.
    let _ = std::fs::remove_dir_all(&config);
    make(&config.join("rules"))?;
    make(&config.join("targets"))?;
    copy_all(&source, &config)?;
    copy_all(&source.join("rules"), &config.join("rules"))?;
    point_to_gateway(&config.join("rules"), setup.ports.public.http_port)?;
    write(&config.join("targets/millrace.json"), &targets(&setup.ports))?;

    let address = local(setup.ports.public.prometheus_port);
    let command = crate::command![
        program("prometheus")?,
        format!("--config.file={}", config.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", data.display()),
        "--storage.tsdb.retention.time=7d",
        format!("--web.listen-address={address}"),
    ];
    let ready = Ready::Http(format!("http://{address}/-/ready"));
    Ok(Part::new("prometheus", PartKind::Server, 2, command, ready).at(format!("http://{address}")))
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) -> Result<(), StackError> {
    let entries = std::fs::read_dir(from).map_err(StackError::file("read", from))?;
    for file in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        let target = to.join(file.file_name().unwrap_or_default());
        std::fs::copy(&file, &target).map_err(StackError::file("copy", &file))?;
    }
    Ok(())
}

/// Puts the port of this stack into the links of the alerts.
fn point_to_gateway(rules: &std::path::Path, port: u16) -> Result<(), StackError> {
    let entries = std::fs::read_dir(rules).map_err(StackError::file("read", rules))?;
    for file in entries.flatten().map(|entry| entry.path()) {
        let text = std::fs::read_to_string(&file).map_err(StackError::file("read", &file))?;
        write(&file, &text.replace(GATEWAY, &format!("http://localhost:{port}")))?;
    }
    Ok(())
}

/// Every instance, also those that are started later by request. An instance that has never run
/// raises no alert.
fn targets(ports: &Ports) -> String {
    let instances = PROGRAMS
        .iter()
        .flat_map(|program| program.instances().map(move |instance| (program.name, instance)));
    let groups: Vec<_> = instances
        .map(|(job, instance)| {
            serde_json::json!({
                "targets": [ports.internal_http(&instance)],
                "labels": { "job": job, "instance": instance },
            })
        })
        .collect();
    serde_json::to_string_pretty(&groups).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_instances_of_services_are_targets_too() {
        let ports = Ports::anywhere();
        let groups: Vec<serde_json::Value> = serde_json::from_str(&targets(&ports)).expect("JSON");

        let second = groups.iter().find(|group| group["labels"]["instance"] == "order-1");
        let second = second.expect("the order service has a second instance");
        assert_eq!(second["labels"]["job"], "order");
        assert_eq!(second["targets"][0], ports.internal_http("order-1").as_str());
    }
}
