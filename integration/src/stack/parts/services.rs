//! Millrace's own processes: provisioning, which runs once, and the instances of each of
//! [`PROGRAMS`]. The stack knows a second instance of each service and starts it only when asked.

use std::ffi::OsString;

use super::Setup;
use crate::stack::ports::local;
use crate::stack::{ADMIN, INSTANCES, PROGRAMS, Part, PartKind, Program, Ready, Role, StackError};

/// The addresses of all servers, as Millrace's programs and the tests read them from their
/// environment.
pub fn environment(setup: &Setup) -> Vec<(String, OsString)> {
    environment_of(setup, ADMIN)
}

/// The same for one program, which has a user of its own if the stack is secured.
fn environment_of(setup: &Setup, user: &str) -> Vec<(String, OsString)> {
    let ports = &setup.ports;
    let secured = setup.secured.as_ref();
    let or =
        |open: &'static str, closed: &'static str| if secured.is_some() { closed } else { open };
    let text = |name: &str, value: String| (name.to_owned(), OsString::from(value));
    let (http, redis) = (or("http", "https"), or("redis", "rediss"));
    let (postgres, mongo) = (or("", "?sslmode=require"), or("", "/?tls=true"));
    let mut all = vec![
        text("MILLRACE_BROKERS", ports.bootstrap()),
        text("MILLRACE_REGISTRY_URL", format!("{http}://{}", local(ports.public.registry_port))),
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

/// Provisioning, the services and the gateways, which compose.yaml is compared with.
pub fn parts(setup: &Setup) -> Result<Vec<Part>, StackError> {
    let layout = &setup.layout;
    let mut parts = Vec::new();

    let mut provision = Part::new(
        "provision",
        PartKind::OneShot,
        3,
        crate::command![layout.bin("provision")?],
        Ready::Ended,
    );
    provision.env = environment_of(setup, "provision");
    if let brokers @ 2.. = setup.ports.brokers().len() {
        provision = provision.env("MILLRACE_REPLICATION", brokers.to_string());
    }
    if setup.secured.is_some() {
        let command = crate::command![layout.bin("provision")?, "acls", "--apply"];
        let mut acls = Part::new("acls", PartKind::OneShot, 2, command, Ready::Ended);
        acls.env = environment(setup);
        parts.push(acls.at("access rules"));
    }
    parts.push(provision.at("topics and schemas"));

    for program in PROGRAMS {
        let stage = if program.role == Role::Gateway { 5 } else { 4 };
        for number in 0..INSTANCES {
            let mut part = process(setup, program, number, stage)?;
            part.autostart = program.starts_by_itself(number);
            if program.role == Role::Service {
                part = part.env("MILLRACE_INSTANCE", number.to_string());
            }
            if let (true, Some(url)) = (program.sends_mail, setup.ports.mail_url()) {
                part = part.env("MILLRACE_SMTP_URL", url);
            }
            parts.push(if program.role == Role::Gateway { gateway(setup, part) } else { part });
        }
    }
    Ok(parts)
}

/// A process of a program, ready when it says so itself.
fn process(setup: &Setup, program: &Program, number: usize, stage: u8) -> Result<Part, StackError> {
    let name = program.instance(number);
    let internal = setup.ports.internal_http(&name);
    let ready = Ready::Http(format!("http://{internal}/readyz"));
    let command = crate::command![setup.layout.bin(program.name)?];
    let mut part = Part::new(name, PartKind::Service, stage, command, ready)
        .at(format!("http://{internal}/metrics"));
    part.env = environment_of(setup, program.name);
    let log = std::env::var_os("RUST_LOG").unwrap_or_else(|| "info".into());
    Ok(part.env("MILLRACE_INTERNAL", internal).env("RUST_LOG", log))
}

/// Adds the settings that only a gateway has.
fn gateway(setup: &Setup, part: Part) -> Part {
    let (listen, secrets) = (setup.ports.at(&part.name), &setup.secrets);
    let prometheus = local(setup.ports.public.prometheus_port);
    let public = std::env::var_os("MILLRACE_PUBLIC_DASHBOARD").unwrap_or_else(|| "false".into());
    part.env("MILLRACE_LISTEN", &listen)
        // nginx connects from here, and sets the client's address itself.
        .env("MILLRACE_TRUSTED_PROXIES", "127.0.0.1")
        .env("MILLRACE_JWT_KEYS", &secrets.jwt_keys)
        .env("MILLRACE_SECRET_FILE", &secrets.secret)
        .env("MILLRACE_ADMIN_EMAIL", secrets.admin_email)
        .env("MILLRACE_ADMIN_PASSWORD_FILE", &secrets.admin_password)
        .env("MILLRACE_PUBLIC_DASHBOARD", public)
        .env("MILLRACE_PROMETHEUS_URL", format!("http://{prometheus}"))
        .at(format!("http://{listen}"))
}
