//! Topics, the balancer, images, health checks, mounted files, and the specification's own reader.

use std::collections::BTreeSet;
use std::process::Command;

use integration::stack::{INSTANCES, PROGRAMS};
use regex::Regex;
use serde_json::Value;

use crate::file::{compose, environment, ports, read, root, services};

#[test]
fn topics_are_created_by_provisioning_alone() {
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
        // The native broker has the same setting.
        assert!(
            read("integration/src/stack/parts/kafka.rs")
                .contains("auto.create.topics.enable=false")
        );
    }
    let started = PROGRAMS.iter().flat_map(|program| {
        let numbers = (0..INSTANCES).filter(|number| program.starts_by_itself(*number));
        numbers.map(|number| program.compose_service(number))
    });
    for service in started {
        assert_eq!(
            services(&compose)[&service]["depends_on"]["provision"]["condition"],
            "service_completed_successfully",
            "{service} may start before its topics exist"
        );
    }
}

/// Settings that decide what a store keeps when it or its machine stops, and what a commit costs.
const DURABILITY: [&str; 8] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_",
    "commit_delay",
    "--appendonly",
    "--appendfsync",
    "--save",
];

#[test]
fn stores_are_as_durable_as_in_the_native_stack() {
    let compose = compose();
    for store in ["postgres", "redis"] {
        let deployed = services(&compose)[store]["command"].to_string();
        let source = read(&format!("integration/src/stack/parts/{store}.rs"));
        let native: String =
            source.lines().filter(|line| !line.trim().starts_with("//")).map(str::trim).collect();
        for setting in DURABILITY {
            // PostgreSQL's defaults are the safe ones; Redis' file is written once a second.
            let is_set = store == "redis" && ["--appendonly", "--save"].contains(&setting);
            assert_eq!(deployed.contains(setting), is_set, "{store}: {setting} in compose.yaml");
            assert_eq!(native.contains(setting), is_set, "{store}: {setting} in the native stack");
        }
        if store == "redis" {
            let settings = r#""--appendonly","yes","--save","""#;
            assert!(deployed.contains(settings) && native.contains(settings), "{native}");
        }
    }
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
        assert!(environment(nginx).contains_key(&found[1]), "nginx does not get {}", &found[1]);
    }
    // The gateways trust this address, and no other, about the client's address.
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
fn every_file_that_is_mounted_exists() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let volumes = service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for path in volumes
            .filter_map(|volume| volume.split(':').next())
            .filter(|from| from.starts_with("./"))
        {
            assert!(root().join(path).exists(), "{name} mounts {path}, which does not exist");
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
