//! compose.yaml against the native stack: the same ports, settings, balancer and Prometheus files,
//! health checks everywhere, nothing inner published. No Docker engine, and no stack, is needed:
//! the file is only read. Where Go is at hand, compose-go's reading of it is compared with the one
//! here. It starts nothing; `integration/compose` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use integration::stack::parts::{self, Context};
use integration::stack::{Layout, Outer, Part, Ports, Secrets};
use regex::Regex;
use serde_json::Value;

/// Where the stores are.
const STORES: [&str; 3] = ["MILLRACE_POSTGRES_URL", "MILLRACE_MONGO_URL", "MILLRACE_REDIS_URL"];

type Settings = BTreeMap<String, Option<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// The file with merge keys followed and every variable at its default.
fn compose() -> Value {
    let variable = Regex::new(r"\$\$|\$\{\w+:-([^}]*)\}").expect("a pattern");
    let text = read("compose.yaml");
    let text = variable.replace_all(&text, |found: &regex::Captures| match found.get(1) {
        Some(default) => default.as_str().to_owned(),
        None => "$".to_owned(),
    });
    let mut yaml: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&text).expect("compose.yaml is YAML");
    // What is merged may merge something itself.
    for _ in 0..4 {
        yaml.apply_merge().expect("its merge keys are maps");
    }
    serde_json::to_value(yaml).expect("its keys are strings")
}

fn services(compose: &Value) -> &serde_json::Map<String, Value> {
    compose["services"].as_object().expect("services")
}

fn environment(service: &Value) -> Settings {
    let settings = service["environment"].as_object().into_iter().flatten();
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    settings.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// `(published, inside)`, of the short form `address:published:inside`.
fn ports(service: &Value) -> Vec<(u16, u16)> {
    let listed = service["ports"].as_array().into_iter().flatten();
    listed
        .map(|port| {
            let words: Vec<_> = port.as_str().expect("the short form").rsplit(':').collect();
            (words[1].parse().expect("a port"), words[0].parse().expect("a port"))
        })
        .collect()
}

fn is_default(service: &Value) -> bool {
    service.get("profiles").is_none()
}

/// The native stack's processes, with binaries that are there in name only.
fn native() -> Vec<Part> {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["provision", "user", "order", "notification", "gateway"] {
        std::fs::write(dir.path().join(name), "").expect("a file");
    }
    let layout = Layout { root: root(), data: dir.path().join("data"), bins: dir.path().into() };
    layout.make().expect("folders");
    let secrets = Secrets::ready(&layout).expect("secrets");
    parts::processes(&Context { layout, ports: Ports::anywhere(), secrets, secured: None })
        .expect("parts")
}

fn names(settings: impl IntoIterator<Item = String>) -> BTreeSet<String> {
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
        outer: Outer,
    }
    let Outer { http_port, broker_port, registry_port, prometheus_port } =
        Defaults::parse_from(["stack"]).outer;
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
fn each_process_is_told_the_same_settings_as_in_the_native_stack() {
    let compose = compose();
    for part in native() {
        // The native stack knows second instances of the services; compose has one of each.
        let service = match part.name.as_str() {
            name if name == "provision" || name.starts_with("gateway") => name,
            name => match name.strip_suffix("-0") {
                Some(service) => service,
                None => continue,
            },
        };
        let here = names(environment(&services(&compose)[service]).into_keys());
        let there = names(part.env.into_iter().map(|(name, _)| name));
        let only_compose: Vec<_> = here.difference(&there).collect();
        // Mail is for those who name a server, replicas for those who have several brokers; the
        // native PostgreSQL has no passwords, and the native stack has users and certificates with
        // `--secured` alone.
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
    for name in ["provision", "user", "order", "notification", "gateway-0", "gateway-1"] {
        let service = &services(&compose)[name];
        let settings = environment(service);
        for variable in secured {
            // Without a value, Compose passes the variable on only where the shell sets it.
            assert_eq!(settings.get(variable), Some(&None), "{name}: {variable}");
        }
        let mounted = service["volumes"].to_string();
        assert!(mounted.contains("\"credentials:/etc/millrace/credentials:ro\""), "{name}: {mounted}");
    }
    assert!(compose["volumes"]["credentials"].is_object(), "the default is a volume, and empty");
}

#[test]
fn every_setting_is_read_by_the_process_that_is_told_it() {
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
            Some("gateway") => {
                declared(&["gateway/src", "redpanda/src", "pipeline/projections/src"])
            }
            Some("user" | "order" | "notification") => {
                declared(&["pipeline/services/src", "redpanda/src", "pipeline/projections/src"])
            }
            _ => continue,
        };
        let told = names(environment(service).into_keys());
        // Every secret X can come from a file that X_FILE names.
        let is_read = |name: &str| {
            read.contains(name) || name.strip_suffix("_FILE").is_some_and(|name| read.contains(name))
        };
        let unread: Vec<_> =
            told.iter().filter(|name| *name != "RUST_LOG" && !is_read(name)).collect();
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
fn topics_are_made_by_provisioning_alone() {
    let compose = compose();
    // Redpanda reads the file at a cluster's first start, and then ignores the cluster settings of
    // `--mode` and `--set`.
    let settings: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&read("redpanda/broker.yaml")).expect("broker.yaml is YAML");
    assert_eq!(settings["auto_create_topics_enabled"].as_bool(), Some(false));
    for (name, service) in
        services(&compose).iter().filter(|(name, _)| name.starts_with("redpanda"))
    {
        let mounted = service["volumes"].to_string();
        assert!(
            mounted.contains("./redpanda/broker.yaml:/etc/redpanda/.bootstrap.yaml:ro"),
            "{name} does not mount its settings"
        );
        assert!(!service["command"].to_string().contains("--set"), "{name}: --set has no effect");
        // The native broker is told the same.
        assert!(
            read("integration/src/stack/parts/kafka.rs")
                .contains("auto.create.topics.enable=false")
        );
    }
    for service in ["user", "order", "notification", "gateway-0", "gateway-1"] {
        assert_eq!(
            services(&compose)[service]["depends_on"]["provision"]["condition"],
            "service_completed_successfully",
            "{service} may start before its topics are there"
        );
    }
}

#[test]
fn prometheus_scrapes_each_process_at_its_inner_port_under_the_native_stacks_names() {
    let compose = compose();
    let groups: Vec<Value> =
        serde_json::from_str(&read("grafana/prometheus/targets/compose.json")).expect("JSON");
    let mut scraped = BTreeSet::new();
    for group in &groups {
        let target = group["targets"][0].as_str().expect("a target");
        let (host, port) = target.split_once(':').expect("host and port");
        let service = &services(&compose)[host];
        if let Some(Some(inner)) = environment(service).get("MILLRACE_INNER") {
            assert_eq!(inner, &format!("0.0.0.0:{port}"), "{host}");
            scraped.insert(group["labels"]["instance"].as_str().expect("an instance").to_owned());
        }
    }
    let native: BTreeSet<_> = native()
        .into_iter()
        .filter(|part| part.autostart && part.env.iter().any(|(name, _)| name == "MILLRACE_INNER"))
        .map(|part| part.name)
        .collect();
    assert_eq!(scraped, native);
}

#[test]
fn the_balancers_template_gets_all_its_names() {
    let compose = compose();
    let nginx = &services(&compose)["nginx"];
    let wanted = Regex::new(r"\$\{([A-Z0-9_]+)\}").expect("a pattern");
    let template = read("gateway/nginx.conf.template");
    let comments_off: String =
        template.lines().filter(|line| !line.trim().starts_with('#')).collect();
    for found in wanted.captures_iter(&comments_off) {
        assert!(environment(nginx).contains_key(&found[1]), "nginx is not told {}", &found[1]);
    }
    // The gateways believe this address about who the client is, and no other.
    let address = nginx["networks"]["edge"]["ipv4_address"].as_str().expect("a fixed address");
    for gateway in ["gateway-0", "gateway-1"] {
        let trusted = environment(&services(&compose)[gateway])["MILLRACE_TRUSTED_PROXIES"].clone();
        assert_eq!(trusted.as_deref(), Some(address));
    }
}

#[test]
fn every_service_is_pinned_and_all_that_stay_have_a_health_check() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap_or_default();
        let (_, tag) =
            image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} names no version"));
        assert_ne!(tag, "latest", "{name}");
        let one_shot = service["restart"] == "no";
        assert!(one_shot || service["restart"] == "unless-stopped", "{name} is not restarted");
        assert!(
            one_shot || service["healthcheck"]["test"].is_array(),
            "{name} has no health check"
        );
    }
}

#[test]
fn the_image_is_built_by_one_service_and_pulled_by_none() {
    let compose = compose();
    let built = services(&compose).iter().filter(|(_, service)| service.get("build").is_some());
    assert_eq!(built.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["provision"]);
    for (name, service) in
        services(&compose).iter().filter(|(_, service)| service["image"] == "millrace:local")
    {
        assert_eq!(service["pull_policy"], "never", "{name}");
    }
}

#[test]
fn every_file_that_is_mounted_is_there() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let volumes = service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for path in volumes
            .filter_map(|volume| volume.split(':').next())
            .filter(|from| from.starts_with("./"))
        {
            assert!(root().join(path).exists(), "{name} mounts {path}, which is not there");
        }
    }
}

#[test]
fn compose_go_reads_the_file_as_it_is_read_here() {
    let dir = root().join("integration/compose-check");
    let out = tempfile::tempdir().expect("a folder");
    let program = out.path().join("compose-check");
    let built =
        Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(&dir).output();
    match &built {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return eprintln!(
                "skipped: Go can't build compose-check: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Err(error) => return eprintln!("skipped: no Go on this machine ({error})"),
    }

    let checked = Command::new(&program)
        .arg("-json")
        .arg(root().join("compose.yaml"))
        .env_clear()
        .output()
        .expect("it runs");

    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let theirs: Value = serde_json::from_slice(&checked.stdout).unwrap_or_else(|error| {
        panic!("{error}: {:.200}", String::from_utf8_lossy(&checked.stdout))
    });
    let ours = compose();
    assert_eq!(services(&theirs).keys().collect::<BTreeSet<_>>(), services(&ours).keys().collect());
    for (name, service) in services(&ours) {
        let their = &services(&theirs)[name];
        assert_eq!(environment(their), environment(service), "{name}");
        let their_ports: BTreeSet<_> = their["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|port| {
                (port["published"].as_str().expect("a port").to_owned(), port["target"].to_string())
            })
            .collect();
        let our_ports = ports(service)
            .into_iter()
            .map(|(outside, inside)| (outside.to_string(), inside.to_string()));
        assert_eq!(their_ports, our_ports.collect(), "{name}");
    }
}
