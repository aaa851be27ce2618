//! Prometheus with the configuration and rules of `grafana/prometheus`, the same that compose
//! mounts. Only the targets differ: they are written here, as compose's stand beside the shared
//! file.

use super::{Context, make, program, write};
use crate::stack::ports::local;
use crate::stack::{Kind, Part, Ready, StackError};

/// The processes with metrics, by job.
const TARGETS: [(&str, &[&str]); 4] = [
    ("user", &["user-0", "user-1"]),
    ("order", &["order-0", "order-1"]),
    ("notification", &["notification-0", "notification-1"]),
    ("gateway", &["gateway-0", "gateway-1"]),
];

pub(super) fn part(context: &Context) -> Result<Part, StackError> {
    let data = context.layout.data.join("prometheus");
    let source = context.layout.root.join("grafana/prometheus");
    let config = context.layout.configs().join("prometheus");
    make(&data)?;
    // Anew each time, so that a rule removed from the checkout is gone here too.
    let _ = std::fs::remove_dir_all(&config);
    make(&config.join("rules"))?;
    make(&config.join("targets"))?;
    copy_all(&source, &config)?;
    copy_all(&source.join("rules"), &config.join("rules"))?;
    write(&config.join("targets/millrace.json"), &targets(context))?;

    let address = local(context.ports.outer.prometheus_port);
    let command = crate::command![
        program("prometheus")?,
        format!("--config.file={}", config.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", data.display()),
        "--storage.tsdb.retention.time=7d",
        format!("--web.listen-address={address}"),
    ];
    let ready = Ready::Http(format!("http://{address}/-/ready"));
    Ok(Part::new("prometheus", Kind::Server, 2, command, ready).at(format!("http://{address}")))
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) -> Result<(), StackError> {
    let entries = std::fs::read_dir(from).map_err(StackError::file("read", from))?;
    for file in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        let target = to.join(file.file_name().unwrap_or_default());
        std::fs::copy(&file, &target).map_err(StackError::file("copy", &file))?;
    }
    Ok(())
}

fn targets(context: &Context) -> String {
    let group = |(job, instances): &(&str, &[&str])| {
        // A second instance that nobody started would only be an alert.
        let autostarted = instances.iter().filter(|name| *job == "gateway" || name.ends_with("-0"));
        autostarted
            .map(|name| {
                serde_json::json!({
                    "targets": [context.ports.inner_http(name)],
                    "labels": { "job": job, "instance": name },
                })
            })
            .collect::<Vec<_>>()
    };
    let groups: Vec<_> = TARGETS.iter().flat_map(group).collect();
    serde_json::to_string_pretty(&groups).unwrap_or_default()
}
