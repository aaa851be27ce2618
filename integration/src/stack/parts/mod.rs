//! All parts of the stack. Each file describes one program. It writes the program's configuration
//! into `config/` of the data folder at each start, so edits there are lost.

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
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Layout, Part, Ports, Secrets, Secured, StackError};

pub use services::{environment, parts as processes};

/// Everything that a part may depend on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The folders.
    pub layout: Layout,
    /// The ports.
    pub ports: Ports,
    /// The secrets.
    pub secrets: Secrets,
    /// The files of a stack with TLS, users and access rules, if it is one.
    pub secured: Option<Secured>,
}

/// The servers and, unless `servers_only`, Millrace's own processes. With `redpanda_rules` the gate
/// is in front of the brokers.
pub fn all(
    setup: &Setup,
    servers_only: bool,
    redpanda_rules: bool,
) -> Result<Vec<Part>, StackError> {
    let mut parts = vec![
        postgres::part(setup)?,
        redis::part(setup)?,
        mongo::part(setup)?,
        registry::part(setup)?,
        nginx::part(setup)?,
        prometheus::part(setup)?,
    ];
    parts.extend(kafka::parts(setup, redpanda_rules)?);
    if setup.ports.brokers().len() > 1 {
        parts.extend(links::parts(setup)?);
    }
    if redpanda_rules {
        parts.push(gate::part(setup)?);
    }
    if !servers_only {
        parts.extend(services::parts(setup)?);
    }
    Ok(parts)
}

/// Finds the program `name` in the path or in Debian's folders for servers.
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

/// The beginning of a Java command line: a small heap, and options for a quick start, which
/// `MILLRACE_JVM` replaces. Without Java's second compiler all servers are ready after 7 s and use
/// 7 s of CPU; with it, after 9 s and 12 s of CPU. `integration/up` and `integration/bench` have
/// it.
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

/// Writes a file that only this user can read, because a server's configuration may have passwords.
pub(super) fn write(path: &Path, text: &str) -> Result<(), StackError> {
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(StackError::file("write", path))?;
    // It may be of an earlier start, with another mode.
    file.set_permissions(Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(text.as_bytes()))
        .map_err(StackError::file("write", path))
}

fn make(dir: &Path) -> Result<(), StackError> {
    std::fs::create_dir_all(dir).map_err(StackError::file("make", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_readable_by_this_user_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = Layout {
            root: dir.path().into(),
            data: dir.path().join("data"),
            bins: dir.path().into(),
        };
        let mode =
            |path: &Path| std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        let path = layout.configs().join("kafka.properties");
        // An earlier version of the stack has left these.
        make(&layout.configs()).expect("made");
        std::fs::write(&path, "a longer old one").expect("written");
        std::fs::set_permissions(layout.configs(), Permissions::from_mode(0o755)).expect("set");
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");

        layout.make().expect("folders");
        write(&path, "password").expect("written");

        assert_eq!((mode(&layout.configs()), mode(&path)), (0o700, 0o600));
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "password");
    }
}
