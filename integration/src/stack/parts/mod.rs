//! All parts of the stack, in the order in which they start. Each file knows one program; what it
//! writes into the data folder's `config/` is written anew at each start, so nothing there is worth
//! editing.

mod gate;
mod kafka;
mod links;
mod mongo;
mod nginx;
mod postgres;
mod prometheus;
mod redis;
mod registry;
mod services;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Layout, Part, Ports, Secrets, Secured, StackError};

pub use services::{environment, parts as processes};

/// What every part may need to know.
#[derive(Clone, Debug)]
pub struct Context {
    /// The folders.
    pub layout: Layout,
    /// The ports.
    pub ports: Ports,
    /// The secrets.
    pub secrets: Secrets,
    /// What a stack with TLS, users and access rules has besides.
    pub secured: Option<Secured>,
}

/// The servers, and unless `servers_only` the services too. With `redpanda_rules` the gate stands
/// before the broker.
pub fn all(
    context: &Context,
    servers_only: bool,
    redpanda_rules: bool,
) -> Result<Vec<Part>, StackError> {
    let mut parts = vec![
        postgres::part(context)?,
        redis::part(context)?,
        mongo::part(context)?,
        registry::part(context)?,
        nginx::part(context)?,
        prometheus::part(context)?,
    ];
    parts.extend(kafka::parts(context, redpanda_rules)?);
    if context.ports.brokers().len() > 1 {
        parts.extend(links::parts(context)?);
    }
    if redpanda_rules {
        parts.push(gate::part(context)?);
    }
    if !servers_only {
        parts.extend(services::parts(context)?);
    }
    Ok(parts)
}

/// The program `name` from the path or from where Debian keeps servers.
fn program(name: &str) -> Result<PathBuf, StackError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    dirs.into_iter().map(|dir| dir.join(name)).find(|file| file.is_file()).ok_or_else(|| {
        StackError::Missing {
            what: name.to_owned(),
            hint: "`integration/up` installs what is missing".to_owned(),
        }
    })
}

/// The start of a Java command line: a small heap, and a compiler that is quick rather than clever,
/// unless `MILLRACE_JVM` has other options in place of the latter.
fn java(heap_mb: u32, class_path: &[PathBuf]) -> Result<Vec<OsString>, StackError> {
    for entry in class_path {
        let dir = entry.parent().unwrap_or(entry);
        if !dir.exists() {
            let hint = "`integration/up` fetches the jars".to_owned();
            return Err(StackError::Missing { what: dir.display().to_string(), hint });
        }
    }
    let class_path =
        class_path.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    let options = std::env::var("MILLRACE_JVM");
    let options = options.as_deref().unwrap_or("-XX:+UseSerialGC -XX:TieredStopAtLevel=1");
    let mut command = crate::command![program("java")?, format!("-Xmx{heap_mb}m")];
    command.extend(options.split_whitespace().map(OsString::from));
    command.extend(crate::command!["-cp", class_path]);
    Ok(command)
}

fn write(path: &Path, text: &str) -> Result<(), StackError> {
    std::fs::write(path, text).map_err(StackError::file("write", path))
}

fn make(dir: &Path) -> Result<(), StackError> {
    std::fs::create_dir_all(dir).map_err(StackError::file("make", dir))
}
