//! Runs the program in a home of its own, without a terminal.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A home of a user, and the gateway that is used from there.
pub(crate) struct Home {
    folder: TempDir,
    url: String,
}

impl Home {
    pub(crate) fn new(url: &str) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), url: url.to_owned() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the program with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Run { home: self, variable: None }.run(arguments)
    }

    /// With a further variable.
    pub(crate) fn env<'a>(&'a self, name: &'a str, value: &'a str) -> Run<'a> {
        Run { home: self, variable: Some((name, value)) }
    }

    fn session(&self) -> PathBuf {
        self.folder().join("millrace/session.json")
    }

    /// Replaces a text in the session's file.
    pub(crate) fn change_session(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.session()).expect("a session");
        assert!(text.contains(from), "no {from} in the session");
        std::fs::write(self.session(), text.replace(from, to)).expect("written");
    }

    /// Changes the mode of the session's file.
    pub(crate) fn set_session_mode(&self, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.session(), mode).expect("changed");
    }

    /// The mode of the session's file.
    pub(crate) fn session_mode(&self) -> u32 {
        std::fs::metadata(self.session()).expect("a session").permissions().mode() & 0o777
    }
}

/// A run with a further variable.
pub(crate) struct Run<'a> {
    home: &'a Home,
    variable: Option<(&'a str, &'a str)>,
}

impl Run<'_> {
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_into(Stdio::piped(), arguments)
    }

    /// Runs the program with this standard output.
    pub(crate) fn run_into(&self, out: Stdio, arguments: &[&str]) -> Ended {
        let child = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(arguments)
            .env_clear()
            .env("XDG_STATE_HOME", self.home.folder())
            .env("MILLRACE_URL", &self.home.url)
            .envs(self.variable)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn();
        let output = child.expect("the program").wait_with_output().expect("its end");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let (out, err) = (text(output.stdout), text(output.stderr));
        Ended { code: output.status.code(), out, err }
    }
}

/// How the program has ended, and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// It has ended with this code.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.clone()
    }

    /// What it has printed, as one document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
