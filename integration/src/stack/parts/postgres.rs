//! A PostgreSQL cluster that only the stack uses, with one database for the services and one for
//! the registry. It listens on loopback without passwords, because it has a developer's data.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::{Setup, make, program};
use crate::stack::{Part, PartKind, Ready, StackError, Step};

/// Creates the role and the databases that do not exist yet; run at each start.
const DATABASES: &str = r"
SELECT 'CREATE ROLE millrace LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'millrace')\gexec
SELECT format('CREATE DATABASE %I OWNER millrace', name) FROM (VALUES ('millrace'), ('registry')) AS wanted (name)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)\gexec
";

pub(super) fn part(setup: &Setup) -> Result<Part, StackError> {
    let (data, user) = setup.layout.postgres()?;
    let bin = bin()?;
    let port = setup.ports.of("postgres").to_string();
    let mut server = crate::command![
        bin.join("postgres"),
        "-D",
        &data,
        "-p",
        &port,
        "-c",
        "listen_addresses=127.0.0.1",
        // The path of a Unix socket must be short, and the data folder's may be long.
        "-c",
        "unix_socket_directories=",
        "-c",
        "shared_buffers=64MB",
        "-c",
        "max_connections=200",
    ];
    if let Some(secured) = &setup.secured {
        let dir = data.with_file_name("postgres-tls");
        make(&dir)?;
        let (cert, key) = secured.for_user(&dir, user.as_ref())?;
        server.extend(crate::command!["-c", "ssl=on"]);
        server.extend(crate::command!["-c", format!("ssl_cert_file={}", cert.display())]);
        server.extend(crate::command!["-c", format!("ssl_key_file={}", key.display())]);
    }
    let client = |name: &str| -> Vec<OsString> {
        crate::command![
            bin.join(name),
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-d",
            "postgres"
        ]
    };
    let mut psql = client("psql");
    psql.extend(crate::command!["-X", "-q", "-v", "ON_ERROR_STOP=1"]);

    let address = setup.ports.at("postgres");
    let mut part =
        Part::new("postgres", PartKind::Server, 1, server, Ready::Command(client("pg_isready")))
            .at(address);
    part.user = user;
    // On SIGTERM it would wait until every client has disconnected.
    part.stop = Signal::SIGINT;
    part.before = vec![Step {
        what: "create PostgreSQL's files",
        unless: Some(data.join("PG_VERSION")),
        command: crate::command![
            bin.join("initdb"),
            "-D",
            &data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ],
        stdin: String::new(),
    }];
    part.after = vec![Step {
        what: "create the databases",
        unless: None,
        command: psql,
        stdin: DATABASES.to_owned(),
    }];
    Ok(part)
}

/// Debian has a folder for each major version; this returns the newest that has a client.
fn bin() -> Result<PathBuf, StackError> {
    let dirs = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = dirs
        .filter_map(|dir| {
            Some((dir.file_name().to_str()?.parse::<u32>().ok()?, dir.path().join("bin")))
        })
        .filter(|(_, bin)| {
            ["postgres", "initdb", "psql"].iter().all(|name| bin.join(name).exists())
        })
        .max();
    match newest {
        Some((_, bin)) => Ok(bin),
        None => Ok(program("initdb")?.parent().map(PathBuf::from).unwrap_or_default()),
    }
}
