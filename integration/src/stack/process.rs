//! One process: it is started in a process group of its own, with its output in a log, and recorded
//! in a pid file together with its start time. The start time distinguishes an orphan of a crashed
//! stack from another process that got the same pid later.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use tokio::process::{Child, Command};

use super::{Layout, Part, StackError, Step, tree};

/// A log larger than this is renamed at the next start.
const LOG_BYTES_MAX: u64 = 20 << 20;
/// How long an orphan may take to stop before it is killed.
const ORPHAN_STOP_MAX: Duration = Duration::from_secs(20);

/// How long a step before a part's start, or after it is ready, may take.
const STEP_MAX: Duration = Duration::from_secs(120);

/// Makes a command of `words`, run as `user` if one is given.
pub(super) fn command(words: &[OsString], user: Option<&User>) -> Command {
    let mut command = Command::new(words.first().map_or_else(OsString::new, Clone::clone));
    command.args(words.iter().skip(1));
    if let Some(user) = user {
        // Setting the id drops root's other groups too.
        command
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .env("HOME", &user.dir)
            .current_dir("/");
    }
    command
}

/// Starts `part` with `extra` in its environment, its output appended to its log, and records it.
pub(super) fn spawn(
    part: &Part,
    extra: &[(&str, &str)],
    layout: &Layout,
) -> Result<Child, StackError> {
    let log = layout.log(&part.name);
    if std::fs::metadata(&log).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX) {
        std::fs::rename(&log, log.with_extension("log.1"))
            .map_err(StackError::file("put aside", &log))?;
    }
    let (out, err) = output(&log)?;
    let program = Path::new(part.command.first().map_or(std::ffi::OsStr::new(""), |word| word));
    let child = command(&part.command, part.user.as_ref())
        .envs(part.env.iter().map(|(name, value)| (name, value)))
        .envs(extra.iter().copied())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(StackError::file("start", program))?;
    if let Some(pid) = child.id() {
        let path = layout.pids().join(&part.name);
        let record = format!("{pid} {} {}\n", tree::started(pid).unwrap_or(0), part.stop as i32);
        std::fs::write(&path, record).map_err(StackError::file("write", &path))?;
    }
    Ok(child)
}

/// Opens a log for the standard output and the standard error of a process.
fn output(log: &Path) -> Result<(File, File), StackError> {
    let out = File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(StackError::file("open", log))?;
    let err = out.try_clone().map_err(StackError::file("open", log))?;
    Ok((out, err))
}

/// Removes the pid file of a process that has ended.
pub(super) fn forget(part: &str, layout: &Layout) {
    // A file that stays does no harm: its start time no longer matches.
    let _ = std::fs::remove_file(layout.pids().join(part));
}

/// Runs `step` until it ends, with its output in the log of `part`.
pub(super) async fn run_step(step: &Step, part: &Part, layout: &Layout) -> Result<(), StackError> {
    run_step_within(step, part, layout, STEP_MAX).await
}

async fn run_step_within(
    step: &Step,
    part: &Part,
    layout: &Layout,
    at_most: Duration,
) -> Result<(), StackError> {
    if step.unless.as_ref().is_some_and(|path| path.exists()) {
        return Ok(());
    }
    let log = layout.log(&part.name);
    let (out, err) = output(&log)?;
    let mut child = command(&step.command, part.user.as_ref())
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(err)
        .kill_on_drop(true)
        .spawn()
        .map_err(StackError::file("start", Path::new(&step.command[0])))?;
    let ended = tokio::time::timeout(at_most, async {
        if let Some(mut stdin) = child.stdin.take() {
            // A step may end without reading its input; its exit code says whether it succeeded.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, step.stdin.as_bytes()).await;
        }
        child.wait().await
    })
    .await;
    let why = match ended {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => describe(status),
        Ok(Err(error)) => error.to_string(),
        Err(_) => {
            if let Some(pid) = child.id() {
                let _ = tree::signal(pid, Signal::SIGKILL).await;
            }
            format!("has not ended within {at_most:?}")
        }
    };
    Err(failed(layout, &part.name, format!("could not {}: {why}", step.what)))
}

/// Makes an error about `part` with the last lines of its log.
pub(super) fn failed(layout: &Layout, part: &str, why: String) -> StackError {
    let log = layout.log(part);
    StackError::Part {
        name: part.to_owned(),
        why,
        tail: tail(&log),
        log: log.display().to_string(),
    }
}

/// The last lines of `log`.
pub(super) fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(8192)..]).into_owned();
    let lines: Vec<_> = text.lines().map(|line| format!("    {line}")).collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Describes how a process ended.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => {
            format!("was killed by {}", Signal::try_from(signal).map_or("a signal", Signal::as_str))
        }
        (None, None) => "ended".to_owned(),
    }
}

/// Kills the remaining processes of the process group of a process that has ended. It is no error
/// if none remains.
pub(super) fn kill_group(pid: u32) {
    let _ = killpg(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
}

/// A process that an earlier stack left behind.
struct Orphan {
    name: String,
    pid: u32,
    started: u64,
    stop: Signal,
}

impl Orphan {
    fn alive(&self) -> bool {
        tree::started(self.pid) == Some(self.started)
    }
}

fn orphans(layout: &Layout) -> Vec<Orphan> {
    let Ok(entries) = std::fs::read_dir(layout.pids()) else { return Vec::new() };
    let read = |entry: std::fs::DirEntry| {
        let record = std::fs::read_to_string(entry.path()).ok()?;
        let mut fields = record.split_whitespace();
        let pid = fields.next()?.parse().ok()?;
        let started = fields.next()?.parse().ok()?;
        let stop = Signal::try_from(fields.next()?.parse::<i32>().ok()?).ok()?;
        Some(Orphan { name: entry.file_name().to_string_lossy().into_owned(), pid, started, stop })
    };
    entries.flatten().filter_map(read).filter(Orphan::alive).collect()
}

/// Stops the processes that a crashed stack left running on this data folder, and prints their
/// names.
pub(super) async fn stop_orphans(layout: &Layout) {
    let left = orphans(layout);
    if !left.is_empty() {
        let names: Vec<_> =
            left.iter().map(|orphan| format!("{} (pid {})", orphan.name, orphan.pid)).collect();
        tell!("an earlier stack left these running, stopping them: {}", names.join(", "));
    }
    for orphan in &left {
        // A process that is stopped by SIGSTOP can't end. That a process has already ended is no
        // error.
        let _ = tree::signal(orphan.pid, Signal::SIGCONT).await;
        let _ = tree::signal(orphan.pid, orphan.stop).await;
    }
    let begun = Instant::now();
    while left.iter().any(Orphan::alive) && begun.elapsed() < ORPHAN_STOP_MAX {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for orphan in left.iter().filter(|orphan| orphan.alive()) {
        let _ = tree::signal(orphan.pid, Signal::SIGKILL).await;
    }
    let _ = std::fs::remove_dir_all(layout.pids());
    let _ = std::fs::create_dir_all(layout.pids());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{PartKind, Ready};

    #[tokio::test]
    async fn step_that_does_not_end_in_time_is_killed_and_reported() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = Layout {
            root: dir.path().into(),
            data: dir.path().join("data"),
            bins: dir.path().into(),
        };
        layout.make().expect("folders");
        let part = Part::new("sleeper", PartKind::Server, 1, Vec::new(), Ready::Ended);
        let mark = dir.path().join("pid");
        let script = format!("echo $$ > '{}'; sleep 60", mark.display());
        let step = Step {
            what: "sleep for a minute",
            unless: None,
            command: crate::command!["sh", "-c", script],
            stdin: String::new(),
        };

        let within = Duration::from_secs(2);
        let error = run_step_within(&step, &part, &layout, within).await.expect_err("it is late");

        let error = error.to_string();
        assert!(error.contains("could not sleep for a minute: has not ended within 2s"), "{error}");
        let pid = std::fs::read_to_string(mark).expect("it was started");
        assert_eq!(tree::started(pid.trim().parse().expect("a pid")), None);
    }
}
