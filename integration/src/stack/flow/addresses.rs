//! Prints where a running system can be reached, for `stack up`. It prints no secret, only the
//! paths of their files.

use crate::stack::parts;
use crate::stack::parts::Setup;
use crate::stack::ports::local;

pub(super) fn addresses(setup: &Setup, servers_only: bool) {
    let public = &setup.ports.public;
    say!();
    if !servers_only {
        say!("  HTTP API     http://{}/ (a live page; /openapi.json)", local(public.http_port));
    }
    let broker = local(public.broker_port);
    let registry = local(public.registry_port);
    if setup.secured.is_some() {
        let config = setup.layout.configs().join("kcat.conf");
        say!("  broker       {broker} (kcat -F {} -b {broker} -L)", config.display());
        say!("  registry     https://{registry}/subjects");
    } else {
        say!("  broker       {broker} (kcat -b {broker} -L, rpk -X brokers={broker})");
        say!("  registry     http://{registry}/subjects");
    }
    say!("  Prometheus   http://{}/", local(public.prometheus_port));
    for (name, value) in parts::environment(setup) {
        if ["POSTGRES", "MONGO", "REDIS"].iter().any(|store| name.contains(store)) {
            say!(
                "  {:<12} {}",
                name.split('_').nth(1).unwrap_or_default().to_lowercase(),
                value.to_string_lossy()
            );
        }
    }
    let secrets = &setup.secrets;
    let word = if secrets.made { "created now" } else { "unchanged" };
    say!(
        "  admin        {}, password in {} ({word})",
        secrets.admin_email,
        secrets.admin_password.display()
    );
    say!("  keys         {}, {} ({word})", secrets.jwt_keys.display(), secrets.secret.display());
    say!("  data         {}", setup.layout.data.display());
    say!("\nCtrl-C stops everything.");
}
