//! Millrace's own processes: their settings, their metrics and the ports that people use.

use integration::stack::{PROGRAMS, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Parser;
use integration::stack::parts::Setup;
use integration::stack::{Layout, Part, Ports, PublicPorts, Secrets, parts};
use regex::Regex;
use serde_json::Value;

use crate::file::{compose, environment, ports, read, root, services};

/// The variables with the addresses of the stores.
const STORES: [&str; 3] = ["MILLRACE_POSTGRES_URL", "MILLRACE_MONGO_URL", "MILLRACE_REDIS_URL"];

fn is_default(service: &Value) -> bool {
    service.get("profiles").is_none()
}

/// The Compose service of a part of the native stack.
fn compose_service(part: &str) -> String {
    let program = PROGRAMS.iter().find(|program| program.instance(0) == part);
    program.map_or_else(|| part.to_owned(), |program| program.compose_service(0))
}

/// The native stack's processes, with empty files for binaries.
fn native() -> Vec<Part> {
    let dir = tempfile::tempdir().expect("a folder");
    for name in PROGRAMS.iter().map(|program| program.name).chain(["provision"]) {
        std::fs::write(dir.path().join(name), "").expect("a file");
    }
    let layout = Layout { root: root(), data: dir.path().join("data"), bins: dir.path().into() };
    layout.make().expect("folders");
    let secrets = Secrets::ready(&layout).expect("secrets");
    parts::processes(&Setup { layout, ports: Ports::anywhere(), secrets, secured: None })
        .expect("parts")
}

pub(crate) fn names(settings: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    settings
        .into_iter()
        .filter(|name| name.starts_with("MILLRACE_") || name == "RUST_LOG")
        .collect()
}

#[test]
fn the_ports_that_people_use_are_those_of_the_native_stack() {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        public: PublicPorts,
    }
    let PublicPorts { http_port, broker_port, registry_port, prometheus_port } =
        Defaults::parse_from(["stack"]).public;
    let compose = compose();

    let published: BTreeMap<_, BTreeSet<_>> = services(&compose)
        .iter()
        .filter(|(_, service)| is_default(service) && service.get("ports").is_some())
        .map(|(name, service)| {
            (name.as_str(), ports(service).iter().map(|(outside, _)| *outside).collect())
        })
        .collect();

    let expected = BTreeMap::from([
        ("nginx", BTreeSet::from([http_port])),
        ("redpanda", BTreeSet::from([broker_port, registry_port])),
        ("prometheus", BTreeSet::from([prometheus_port])),
        ("grafana", BTreeSet::from([3001])),
        ("console", BTreeSet::from([8080])),
    ]);
    assert_eq!(published, expected, "left: compose.yaml; nothing else may be published");
}

#[test]
fn each_process_has_the_same_settings_as_in_the_native_stack() {
    let compose = compose();
    for part in native() {
        // The native stack knows second instances of the services; compose has one of each.
        if !part.autostart {
            continue;
        }
        let service = compose_service(&part.name);
        let here = names(environment(&services(&compose)[&service]).into_keys());
        let there = names(part.env.into_iter().map(|(name, _)| name));
        let only_compose: Vec<_> = here.difference(&there).collect();
        // The native stack has a mail server only in `run`, replicas only with several brokers,
        // users and certificates only with `--secured`, and PostgreSQL without passwords.
        let own = [
            "MILLRACE_SMTP_URL",
            "MILLRACE_REPLICATION",
            "MILLRACE_POSTGRES_PASSWORD",
            "MILLRACE_BROKERS_TLS",
            "MILLRACE_CA_FILE",
            "MILLRACE_CERT_FILE",
            "MILLRACE_KEY_FILE",
            "MILLRACE_SASL_MECHANISM",
            "MILLRACE_SASL_USER",
            "MILLRACE_SASL_PASSWORD",
            "MILLRACE_SASL_PASSWORD_FILE",
            "MILLRACE_REGISTRY_USER",
            "MILLRACE_REGISTRY_PASSWORD",
            "MILLRACE_REGISTRY_PASSWORD_FILE",
        ];
        assert!(
            only_compose.iter().all(|name| own.contains(&name.as_str())),
            "{service}: only compose.yaml sets {only_compose:?}"
        );
        // The native stack gives provisioning the stores too, which it does not read.
        let missing: Vec<_> = there
            .difference(&here)
            .filter(|name| service != "provision" || !STORES.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "{service}: compose.yaml does not set {missing:?}");
    }
}

#[test]
fn each_process_can_use_a_secured_cluster_with_files_of_a_mounted_folder() {
    let compose = compose();
    let secured = [
        "MILLRACE_BROKERS_TLS",
        "MILLRACE_CA_FILE",
        "MILLRACE_CERT_FILE",
        "MILLRACE_KEY_FILE",
        "MILLRACE_SASL_MECHANISM",
        "MILLRACE_SASL_PASSWORD",
        "MILLRACE_SASL_PASSWORD_FILE",
        "MILLRACE_SASL_USER",
    ];
    for part in native().into_iter().filter(|part| part.autostart) {
        let name = compose_service(&part.name);
        let service = &services(&compose)[&name];
        let settings = environment(service);
        for variable in secured {
            // Without a value, Compose passes the variable on only where the shell sets it.
            assert_eq!(settings.get(variable), Some(&None), "{name}: {variable}");
        }
        let mounted = service["volumes"].to_string();
        assert!(
            mounted.contains("\"credentials:/etc/millrace/credentials:ro\""),
            "{name}: {mounted}"
        );
    }
    assert!(compose["volumes"]["credentials"].is_object(), "the default is a volume, and empty");
}

#[test]
fn every_setting_of_a_process_is_read_by_it() {
    let declared = |dirs: &[&str]| -> BTreeSet<String> {
        let env = Regex::new(r#"env\s*=\s*"(MILLRACE_\w+)""#).expect("a pattern");
        let sources: Vec<String> =
            dirs.iter().flat_map(|dir| rust_sources(&root().join(dir))).collect();
        sources
            .iter()
            .flat_map(|text| env.captures_iter(text).map(|found| found[1].to_owned()))
            .collect()
    };
    let compose = compose();
    for (name, service) in services(&compose) {
        let read = match service["command"][0].as_str() {
            Some("provision") => declared(&["redpanda/src"]),
            command => match PROGRAMS.iter().find(|program| Some(program.name) == command) {
                Some(program) => {
                    let own = match program.role {
                        Role::Gateway => "gateway/src",
                        Role::Service => "pipeline/services/src",
                    };
                    declared(&[own, "redpanda/src", "pipeline/projections/src"])
                }
                None => continue,
            },
        };
        let given = names(environment(service).into_keys());
        // Every secret X can come from a file that X_FILE names.
        let is_read = |name: &str| {
            read.contains(name)
                || name.strip_suffix("_FILE").is_some_and(|name| read.contains(name))
        };
        let unread: Vec<_> =
            given.iter().filter(|name| *name != "RUST_LOG" && !is_read(name)).collect();
        assert!(unread.is_empty(), "{name} does not read {unread:?}");
    }
}

fn rust_sources(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_sources(&path),
            false if path.extension().is_some_and(|kind| kind == "rs") => {
                vec![std::fs::read_to_string(&path).expect("a source file")]
            }
            false => Vec::new(),
        })
        .collect()
}

#[test]
fn prometheus_scrapes_each_process_at_its_internal_port_under_the_native_stacks_names() {
    let compose = compose();
    let groups: Vec<Value> =
        serde_json::from_str(&read("grafana/prometheus/targets/compose.json")).expect("JSON");
    let mut scraped = BTreeSet::new();
    for group in &groups {
        let target = group["targets"][0].as_str().expect("a target");
        let (host, port) = target.split_once(':').expect("host and port");
        let service = &services(&compose)[host];
        if let Some(Some(internal)) = environment(service).get("MILLRACE_INTERNAL") {
            assert_eq!(internal, &format!("0.0.0.0:{port}"), "{host}");
            scraped.insert(group["labels"]["instance"].as_str().expect("an instance").to_owned());
        }
    }
    let native: BTreeSet<_> = native()
        .into_iter()
        .filter(|part| {
            part.autostart && part.env.iter().any(|(name, _)| name == "MILLRACE_INTERNAL")
        })
        .map(|part| part.name)
        .collect();
    assert_eq!(scraped, native);
}

#[test]
fn fault_suite_starts_and_reaches_each_process_itself() {
    let text = read("integration/compose-faults.yaml");
    let mut yaml: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).expect("YAML");
    yaml.apply_merge().expect("its merge keys are maps");
    let faults = serde_json::to_value(yaml).expect("its keys are strings");
    let mut published = BTreeSet::new();
    for program in PROGRAMS {
        let name = program.compose_service(0);
        let service = &services(&faults)[&name];
        assert_eq!(service["restart"], "no", "{name} restarts by itself");
        if program.role == Role::Service {
            let ports = ports(service);
            let [(outside, 9100)] = ports[..] else { panic!("{name}: port 9100, not {ports:?}") };
            assert!(published.insert(outside), "{name}: another service has port {outside}");
        }
    }
}
