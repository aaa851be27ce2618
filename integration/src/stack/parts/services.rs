//! Millrace's own processes: provisioning once, the three services, the two gateways. A second
//! instance of each service is known to the stack but started only when asked for.

use std::ffi::OsString;

use super::Context;
use crate::stack::ports::local;
use crate::stack::{ADMIN, Kind, Part, Ready, StackError};

const SERVICES: [&str; 3] = ["user", "order", "notification"];
const INSTANCES: [&str; 2] = ["0", "1"];

/// Where everything is, as Millrace's binaries and the tests read it from their environment.
pub fn environment(context: &Context) -> Vec<(String, OsString)> {
    environment_of(context, ADMIN)
}

/// The same for one program, which has a user of its own where the stack is secured.
fn environment_of(context: &Context, user: &str) -> Vec<(String, OsString)> {
    let ports = &context.ports;
    let secured = context.secured.as_ref();
    let or =
        |open: &'static str, closed: &'static str| if secured.is_some() { closed } else { open };
    let text = |name: &str, value: String| (name.to_owned(), OsString::from(value));
    let (http, redis) = (or("http", "https"), or("redis", "rediss"));
    let (postgres, mongo) = (or("", "?sslmode=require"), or("", "/?tls=true"));
    let mut all = vec![
        text("MILLRACE_BROKERS", ports.bootstrap()),
        text("MILLRACE_REGISTRY_URL", format!("{http}://{}", local(ports.outer.registry_port))),
        text(
            "MILLRACE_POSTGRES_URL",
            format!("postgres://millrace@{}/millrace{postgres}", ports.at("postgres")),
        ),
        text("MILLRACE_MONGO_URL", format!("mongodb://{}{mongo}", ports.at("mongo"))),
        text("MILLRACE_REDIS_URL", format!("{redis}://{}", ports.at("redis"))),
    ];
    all.extend(secured.into_iter().flat_map(|secured| secured.environment(user)));
    all
}

/// Provisioning, the services and the gateways: what compose.yaml is compared with.
pub fn parts(context: &Context) -> Result<Vec<Part>, StackError> {
    let layout = &context.layout;
    let mut parts = Vec::new();

    let mut provision = Part::new(
        "provision",
        Kind::OneShot,
        3,
        crate::command![layout.bin("provision")?],
        Ready::Ended,
    );
    provision.env = environment_of(context, "provision");
    if let brokers @ 2.. = context.ports.brokers().len() {
        provision = provision.env("MILLRACE_REPLICATION", brokers.to_string());
    }
    if context.secured.is_some() {
        let command = crate::command![layout.bin("provision")?, "acls", "--apply"];
        let mut acls = Part::new("acls", Kind::OneShot, 2, command, Ready::Ended);
        acls.env = environment(context);
        parts.push(acls.at("access rules"));
    }
    parts.push(provision.at("topics and schemas"));

    for service in SERVICES {
        for instance in INSTANCES {
            let name = format!("{service}-{instance}");
            let mut part = process(context, &name, layout.bin(service)?.into(), 4);
            part.autostart = instance == "0";
            if let (true, Some(url)) = (service == "notification", context.ports.mail_url()) {
                part = part.env("MILLRACE_SMTP_URL", url);
            }
            parts.push(part.env("MILLRACE_INSTANCE", instance));
        }
    }
    for instance in INSTANCES {
        let name = format!("gateway-{instance}");
        let part = process(context, &name, layout.bin("gateway")?.into(), 5);
        let listen = context.ports.at(&name);
        parts.push(
            part.env("MILLRACE_LISTEN", &listen)
                // nginx speaks to it from here, and sets the client's address itself.
                .env("MILLRACE_TRUSTED_PROXIES", "127.0.0.1")
                .env("MILLRACE_JWT_KEYS", &context.secrets.jwt_keys)
                .env("MILLRACE_SECRET_FILE", &context.secrets.secret)
                .env("MILLRACE_ADMIN_EMAIL", context.secrets.admin_email)
                .env("MILLRACE_ADMIN_PASSWORD_FILE", &context.secrets.admin_password)
                .at(format!("http://{listen}")),
        );
    }
    Ok(parts)
}

fn process(context: &Context, name: &str, program: OsString, stage: u8) -> Part {
    let inner = context.ports.inner_http(name);
    let ready = Ready::Http(format!("http://{inner}/readyz"));
    let mut part = Part::new(name, Kind::Service, stage, vec![program], ready)
        .at(format!("http://{inner}/metrics"));
    part.env = environment_of(context, name.split('-').next().unwrap_or(name));
    let log = std::env::var_os("RUST_LOG").unwrap_or_else(|| "info".into());
    part.env("MILLRACE_INNER", inner).env("RUST_LOG", log)
}
