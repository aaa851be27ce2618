//! The process tree of a part: its own process, the others of its process group, and the
//! descendants of all of them. A signal to the group alone does not reach a descendant with a
//! session of its own, as each of PostgreSQL's backends has. Processes are read from `/proc`; none
//! outside the tree is ever signalled.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long the processes of a tree may take to stop, and how long to end after SIGKILL.
const OBEY_MAX: Duration = Duration::from_secs(5);

/// The pause between two looks at a tree.
const PAUSE: Duration = Duration::from_millis(2);

/// A process as `/proc/PID/stat` describes it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pid: i32,
    /// `T`: stopped by a signal; `Z` and `X`: has ended.
    state: char,
    parent: i32,
    group: i32,
    /// When it was started, in clock ticks after the boot. It distinguishes the process from a
    /// later one with the same pid.
    started: u64,
}

impl Process {
    /// Reads the process `pid`; `None` if there is none.
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name is in parentheses and may contain anything. After it, the state is the first
        // field, parent and group are the next two, and the start time is the 20th.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some(Self {
            pid,
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            started: fields.nth(16)?.parse().ok()?,
        })
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Whether this very process still runs or is stopped.
    pub(super) fn is_alive(&self) -> bool {
        started(self.pid.cast_unsigned()) == Some(self.started)
    }

    /// Sends `signal`. That the process has ended meanwhile is no error.
    fn send(&self, signal: Signal) -> nix::Result<()> {
        // Its pid may be another process's by now.
        if !self.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Err(Errno::ESRCH) => Ok(()),
            sent => sent,
        }
    }
}

/// The start time of `pid`, in clock ticks after the boot; `None` if there is no such process, or
/// only a zombie.
pub(super) fn started(pid: u32) -> Option<u64> {
    let process = Process::read(pid.cast_signed())?;
    (!process.has_ended()).then_some(process.started)
}

/// The living processes of the tree of `root`.
pub(super) fn of(root: u32) -> Vec<Process> {
    let root = root.cast_signed();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<_> = entries
        .filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    let first = all.iter().filter(|process| process.pid == root || process.group == root);
    let mut members: HashSet<i32> = first.map(|process| process.pid).collect();
    loop {
        let children: Vec<_> = all
            .iter()
            .filter(|process| members.contains(&process.parent) && !members.contains(&process.pid))
            .map(|process| process.pid)
            .collect();
        if children.is_empty() {
            break;
        }
        members.extend(children);
    }
    all.into_iter()
        .filter(|process| members.contains(&process.pid) && !process.has_ended())
        .collect()
}

/// Whether every process of the tree of `root` is stopped by a signal, and there is one.
pub(super) fn is_stopped(root: u32) -> bool {
    let tree = of(root);
    !tree.is_empty() && tree.iter().all(|process| process.state == 'T')
}

/// Sends `signal` to each of `processes`. Returns the first error, after it has tried all.
pub(super) fn send(processes: &[Process], signal: Signal) -> nix::Result<()> {
    let mut sent = Ok(());
    for process in processes {
        sent = sent.and(process.send(signal));
    }
    sent
}

/// Sends `signal` to `root` or, if that is SIGSTOP, SIGCONT or SIGKILL, to its whole tree. After
/// SIGSTOP every process of the tree is stopped when this returns. After SIGKILL each has ended,
/// `root` as the last, so that none outlives it; one that is busy in the kernel may end later.
///
/// # Errors
/// When a process can't be signalled, or has not stopped within [`OBEY_MAX`]; when `root` has
/// ended, unless it was to be killed.
pub(super) async fn signal(root: u32, signal: Signal) -> io::Result<()> {
    if started(root).is_none() {
        return if signal == Signal::SIGKILL { Ok(()) } else { Err(Errno::ESRCH.into()) };
    }
    match signal {
        Signal::SIGSTOP => stop(root).await,
        Signal::SIGCONT => Ok(send(&of(root), signal)?),
        Signal::SIGKILL => end(root).await,
        _ => Ok(kill(Pid::from_raw(root.cast_signed()), signal)?),
    }
}

async fn stop(root: u32) -> io::Result<()> {
    let (begun, mut stopped) = (Instant::now(), 0);
    loop {
        let running: Vec<_> = of(root).into_iter().filter(|process| process.state != 'T').collect();
        stopped = if running.is_empty() { stopped + 1 } else { 0 };
        // The first look may miss a process that another has started meanwhile. The second finds
        // it, because none of those that could start one runs any more.
        if stopped == 2 {
            return Ok(());
        }
        if begun.elapsed() > OBEY_MAX {
            let what = format!("still run after {OBEY_MAX:?}: {running:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        send(&running, Signal::SIGSTOP)?;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn end(root: u32) -> io::Result<()> {
    // While all are stopped, none starts another, and none takes note of the end of its children,
    // so no pid is used again. One that does not stop in time is killed nevertheless.
    let _ = stop(root).await;
    let (own, others): (Vec<_>, Vec<_>) =
        of(root).into_iter().partition(|process| process.pid == root.cast_signed());
    let mut sent = Ok(());
    for processes in [others, own] {
        sent = sent.and(send(&processes, Signal::SIGKILL));
        let begun = Instant::now();
        // One that is busy in the kernel ends later.
        while processes.iter().any(Process::is_alive) && begun.elapsed() < OBEY_MAX {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(sent?)
}

#[cfg(test)]
mod tests {
    use tokio::process::{Child, Command};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// Starts a shell whose child has a session of its own, as PostgreSQL's backends have, and a
    /// child itself. Returns all three processes.
    async fn family() -> (Child, u32, Vec<Process>) {
        let child = Command::new("sh")
            .args(["-c", "setsid sh -c 'sleep 60 & wait' & wait"])
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let root = child.id().expect("it runs");
        until("there are three processes", || of(root).len() == 3).await;
        let tree = of(root);
        let others = tree.iter().filter(|process| process.group != root.cast_signed());
        assert_eq!(others.count(), 2, "{tree:?}");
        (child, root, tree)
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < SOON, "not within {SOON:?}: {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    #[tokio::test]
    async fn signals_reach_descendants_with_a_session_of_their_own() {
        let (mut child, root, tree) = family().await;

        signal(root, Signal::SIGSTOP).await.expect("all stop");
        assert!(is_stopped(root), "{:?}", of(root));
        assert_eq!(of(root).len(), tree.len());

        signal(root, Signal::SIGCONT).await.expect("all continue");
        let none_is_stopped = || of(root).iter().all(|process| process.state != 'T');
        until("all run again", none_is_stopped).await;

        signal(root, Signal::SIGKILL).await.expect("all are killed");
        child.wait().await.expect("it has ended");
        assert!(!tree.iter().any(Process::is_alive), "{tree:?}");
    }

    #[tokio::test]
    async fn tree_with_one_running_process_is_not_stopped() {
        let (_child, root, _) = family().await;

        kill(Pid::from_raw(root.cast_signed()), Signal::SIGSTOP).expect("it is signalled");
        let root_is_stopped =
            || Process::read(root.cast_signed()).is_some_and(|process| process.state == 'T');
        until("the root is stopped", root_is_stopped).await;

        assert!(!is_stopped(root));
        signal(root, Signal::SIGKILL).await.expect("all are killed");
    }

    #[tokio::test]
    async fn process_that_has_ended_can_be_killed_and_not_stopped() {
        let mut child = Command::new("true").spawn().expect("true");
        let pid = child.id().expect("it runs");
        child.wait().await.expect("it has ended");

        signal(pid, Signal::SIGKILL).await.expect("nothing is left to do");
        assert!(signal(pid, Signal::SIGSTOP).await.is_err());
    }
}
