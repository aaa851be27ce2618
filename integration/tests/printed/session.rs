//! A shell session: one bash for all commands, so that variables, the working directory and `$?`
//! persist from one to the next.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// How long one command may take.
const COMMAND_MAX: Duration = Duration::from_secs(90);

/// A shell and the processes that it has started, which are killed with it.
pub(crate) struct Session {
    shell: Child,
    input: ChildStdin,
    output: Receiver<String>,
    mark: String,
    typed: PathBuf,
}

impl Session {
    /// Starts a shell in `folder` that finds this build's programs, and writes its files to
    /// `scratch`.
    pub(crate) fn new(folder: &Path, scratch: &Path, extra: &[(&str, &str)]) -> Self {
        // The tests are in `deps`, beside the examples and below the programs.
        let tests = std::env::current_exe().expect("this test");
        let programs = tests.parent().and_then(Path::parent).expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder).process_group(0);
        command
            .env("PATH", format!("{}:{}/examples:{path}", programs.display(), programs.display()));
        command.env("TMPDIR", scratch).env("LC_ALL", "C.UTF-8").envs(extra.iter().copied());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        for name in
            ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"]
        {
            command.env(name, "walkthrough");
        }
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
        let (tell, output) = channel();
        let lines = BufReader::new(shell.stdout.take().expect("a pipe")).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        let mark = format!("-- {} --", uuid::Uuid::new_v4());
        let mut input = shell.stdin.take().expect("a pipe");
        writeln!(input, "exec 2>&1").expect("a shell");
        Self { shell, input, output, mark, typed: scratch.join("typed") }
    }

    /// Runs a command and returns the lines that it prints.
    pub(crate) fn run(&mut self, command: &str) -> Vec<String> {
        std::fs::write(&self.typed, format!("{command}\n")).expect("written");
        let (typed, mark) = (self.typed.display(), &self.mark);
        // The shell reads the command from a file, so that a command that reads its input does not
        // read the next command.
        writeln!(
            self.input,
            ". {typed} </dev/null; code=$?; printf '\\n%s\\n' '{mark}'; (exit $code)"
        )
        .expect("a shell");
        let (begun, mut printed) = (Instant::now(), Vec::new());
        loop {
            let left = COMMAND_MAX.saturating_sub(begun.elapsed());
            match self.output.recv_timeout(left) {
                Ok(line) if line == *mark => break,
                Ok(line) => printed.push(line.trim_end().to_owned()),
                Err(error) => panic!("{command}\n{error}; so far:\n{}", printed.join("\n")),
            }
        }
        // The line before the end mark may be incomplete.
        if printed.last().is_some_and(String::is_empty) {
            printed.pop();
        }
        printed
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.shell.id()) {
            // All processes may have ended.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        drop(self.shell.wait());
    }
}
