//! Runs the command of `stack run` in the terminal's foreground, with the addresses of the whole
//! system in its environment.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Child;

use super::demo_target;
use super::signals::Signals;
use crate::stack::parts::Setup;
use crate::stack::ports::local;
use crate::stack::tree::{self, Process};
use crate::stack::{
    PROGRAMS, Program, STRANGER, StackError, control, internal_variable, parts, process,
};

/// How long a command that was interrupted may take to end before it is killed.
const COMMAND_STOP_MAX: Duration = Duration::from_secs(10);

/// Runs the command in the terminal's foreground, with all addresses in its environment.
pub(super) async fn follow(
    words: &[OsString],
    setup: &Setup,
    signals: &mut Signals,
) -> Result<u8, StackError> {
    let mut command = process::command(words, None);
    command.envs(parts::environment(setup)).envs(run_environment(setup));
    let program = Path::new(&words[0]);
    let mut child = command.spawn().map_err(StackError::file("start", program))?;
    let status = tokio::select! {
        status = child.wait() => status,
        asked = signals.next() => {
            let again = async {
                signals.next_request().await;
            };
            end(&mut child, asked, again).await
        }
    };
    let status = status.map_err(StackError::file("follow", program))?;
    let killed_by = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    Ok(u8::try_from(status.code().unwrap_or(128 + killed_by)).unwrap_or(1))
}

/// Ends the command and its descendants, such as the tests that cargo has started, after the stack
/// was asked to stop by the signal `asked`. Those that do not end in time, or before the user asks
/// `again`, are killed.
async fn end(
    child: &mut Child,
    asked: Signal,
    again: impl Future<Output = ()>,
) -> std::io::Result<ExitStatus> {
    let Some(pid) = child.id() else { return child.wait().await };
    let tree = tree::of(pid);
    // Ctrl-C has reached the command already, because it is in the terminal's foreground group.
    // Another signal may have been sent to this process alone.
    if asked != Signal::SIGINT {
        let _ = tree::send(&tree, asked);
    }
    let all_have_ended = async {
        let _ = child.wait().await;
        while tree.iter().any(Process::is_alive) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let is_killed = tokio::select! {
        () = all_have_ended => false,
        () = tokio::time::sleep(COMMAND_STOP_MAX) => {
            tell!("the command has not ended within {COMMAND_STOP_MAX:?}, killing it");
            true
        }
        () = again => {
            tell!("killing the command");
            true
        }
    };
    if is_killed {
        if child.id().is_some() {
            let _ = tree::signal(pid, Signal::SIGKILL).await;
        }
        let _ = tree::send(&tree, Signal::SIGKILL);
    }
    child.wait().await
}

fn run_environment(setup: &Setup) -> Vec<(String, OsString)> {
    let ports = &setup.ports;
    let gateways = ["gateway-0", "gateway-1"];
    let listed = gateways.map(|name| format!("http://{}", ports.at(name))).join(",");
    let mut env: Vec<(String, OsString)> = vec![
        ("MILLRACE_URL".into(), demo_target(setup).url.into()),
        ("MILLRACE_GATEWAYS".into(), listed.into()),
        (
            "MILLRACE_PROMETHEUS_URL".into(),
            format!("http://{}", local(ports.public.prometheus_port)).into(),
        ),
        (control::VARIABLE.into(), setup.layout.socket().into()),
        ("MILLRACE_DATA".into(), setup.layout.data.clone().into()),
        ("MILLRACE_ADMIN_EMAIL".into(), setup.secrets.admin_email.into()),
        ("MILLRACE_ADMIN_PASSWORD_FILE".into(), setup.secrets.admin_password.clone().into()),
    ];
    if let Some(secured) = &setup.secured {
        env.push(("KCAT_CONFIG".into(), setup.layout.configs().join("kcat.conf").into()));
        for user in [STRANGER, "gateway", "order"] {
            let variable = format!("MILLRACE_PASSWORD_FILE_{}", user.to_uppercase());
            env.push((variable, secured.password_file(user).into()));
        }
    }
    if let Some(url) = ports.mail_url() {
        env.push(("MILLRACE_SMTP_URL".into(), url.into()));
    }
    // One address for each broker, comma separated.
    let brokers = ports.brokers();
    let joined = |all: Vec<&str>| OsString::from(all.join(","));
    env.push((
        "MILLRACE_BROKERS_INTERNAL".into(),
        joined(brokers.iter().map(|one| &*one.internal).collect()),
    ));
    let proxied: Vec<_> = brokers.iter().filter_map(|broker| broker.proxied.as_ref()).collect();
    if !proxied.is_empty() {
        env.push((
            "MILLRACE_PROXIED_BROKER".into(),
            joined(proxied.iter().map(|one| &*one.at).collect()),
        ));
        env.push((
            "MILLRACE_PROXY".into(),
            joined(proxied.iter().map(|one| &*one.proxy).collect()),
        ));
    }
    for instance in PROGRAMS.iter().flat_map(Program::instances) {
        let address = ports.internal_http(&instance);
        env.push((internal_variable(&instance), format!("http://{address}").into()));
    }
    env
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::process::Command;

    use super::*;

    /// Starts a shell, and waits until it has started another process. Returns both.
    async fn shell(script: &str) -> (Child, Vec<Process>) {
        let child =
            Command::new("sh").args(["-c", script]).kill_on_drop(true).spawn().expect("a shell");
        let (pid, begun) = (child.id().expect("it runs"), Instant::now());
        while tree::of(pid).len() < 2 {
            assert!(begun.elapsed() < COMMAND_STOP_MAX, "the shell has started nothing");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (child, tree::of(pid))
    }

    #[tokio::test]
    async fn descendants_of_the_command_end_with_it() {
        let (mut child, tree) = shell("setsid sleep 60 & wait").await;
        let asked = Instant::now();

        let never = std::future::pending();
        end(&mut child, Signal::SIGTERM, never).await.expect("it has ended");

        assert!(!tree.iter().any(Process::is_alive), "{tree:?}");
        assert!(asked.elapsed() < COMMAND_STOP_MAX, "they had to be killed");
    }

    #[tokio::test]
    async fn second_request_kills_a_command_that_does_not_end() {
        // A signal that is ignored is ignored by descendants too.
        let (mut child, _) = shell("trap '' TERM; sleep 60 & wait").await;
        let asked = Instant::now();

        let again = tokio::time::sleep(Duration::from_millis(50));
        let status = end(&mut child, Signal::SIGTERM, again).await.expect("it has ended");

        let killed_by = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(killed_by, Some(Signal::SIGKILL as i32));
        assert!(asked.elapsed() < COMMAND_STOP_MAX, "the second request was not heard");
    }
}
