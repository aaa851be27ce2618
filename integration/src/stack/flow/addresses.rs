//! Prints where a running system can be reached, for `stack up`. It prints no secret, only the paths
//! of their files.

use crate::stack::parts;
use crate::stack::parts::Context;
use crate::stack::ports::local;

pub(super) fn addresses(context: &Context, servers_only: bool) {
    let outer = &context.ports.outer;
    say!();
    if !servers_only {
        say!("  HTTP API     http://{}/ (a live page; /openapi.json)", local(outer.http_port));
    }
    say!("  broker       {} (kcat -b {0} -L, rpk -X brokers={0})", local(outer.broker_port));
    say!("  registry     http://{}/subjects", local(outer.registry_port));
    say!("  Prometheus   http://{}/", local(outer.prometheus_port));
    for (name, value) in parts::environment(context) {
        if ["POSTGRES", "MONGO", "REDIS"].iter().any(|store| name.contains(store)) {
            say!(
                "  {:<12} {}",
                name.split('_').nth(1).unwrap_or_default().to_lowercase(),
                value.to_string_lossy()
            );
        }
    }
    let secrets = &context.secrets;
    let word = if secrets.made { "made now" } else { "as before" };
    say!(
        "  admin        {}, password in {} ({word})",
        secrets.admin_email,
        secrets.admin_password.display()
    );
    say!("  keys         {}, {} ({word})", secrets.jwt_keys.display(), secrets.secret.display());
    say!("  data         {}", context.layout.data.display());
    say!("\nCtrl-C stops all of it.");
}
