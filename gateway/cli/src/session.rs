//! The session that is kept between two runs: a file that only its user may read.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Far more than a session needs.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A session at one gateway.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Where it is valid; its tokens are sent nowhere else.
    pub(crate) url: Url,
    /// Whose it is.
    pub(crate) email: String,
    /// Valid for ten minutes.
    pub(crate) access_token: SecretString,
    /// Gets the next tokens, once.
    pub(crate) refresh_token: SecretString,
}

impl Session {
    /// The session of the tokens that the gateway has answered with; `None` if it has not.
    pub(crate) fn new(url: Url, email: String, tokens: &Value) -> Option<Self> {
        let token = |name: &str| Some(SecretString::from(tokens[name].as_str()?));
        let (access_token, refresh_token) = (token("access_token")?, token("refresh_token")?);
        Some(Self { url, email, access_token, refresh_token })
    }

    /// The session of a file's text.
    fn parse(text: &str) -> Option<Self> {
        let it: Value = serde_json::from_str(text).ok()?;
        Self::new(it["url"].as_str()?.parse().ok()?, it["email"].as_str()?.to_owned(), &it)
    }

    fn json(&self) -> Value {
        json!({
            "url": self.url.as_str(),
            "email": self.email,
            "access_token": self.access_token.expose_secret(),
            "refresh_token": self.refresh_token.expose_secret(),
        })
    }
}

/// The file of the session.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Store {
    /// The file in the folder for state (XDG Base Directory Specification).
    ///
    /// # Errors
    /// If no variable names such a folder.
    pub(crate) fn from_env() -> Result<Self, Failure> {
        // The specification says that a relative path is ignored.
        let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        let folder = named("XDG_STATE_HOME")
            .or_else(|| Some(named("HOME")?.join(".local/state")))
            .ok_or_else(|| {
                let text = "no folder for the session: expected HOME or XDG_STATE_HOME, or an \
                            access token in MILLRACE_TOKEN";
                Failure::Usage(text.to_owned())
            })?;
        Ok(Self { path: folder.join("millrace/session.json") })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The session, if one is kept.
    ///
    /// # Errors
    /// If the file can't be read, is no session, or may be read by others.
    pub(crate) fn read(&self) -> Result<Option<Session>, Failure> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.wrong(&error)),
        };
        let mode = file.metadata().map_err(|error| self.wrong(&error))?.permissions().mode();
        let mode = mode & 0o777;
        if mode & 0o077 != 0 {
            let why = format!("others may use it: expected mode 0600, found {mode:04o}");
            return Err(self.wrong(&why));
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| self.wrong(&error))?;
        // What the file contains is not said: it may be a token.
        let session = Session::parse(&text);
        session.map(Some).ok_or_else(|| self.wrong(&"expected that of `millrace login`"))
    }

    /// Keeps the session. The file is whole at any time: it replaces the old one.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(crate) fn write(&self, session: &Session) -> Result<(), Failure> {
        self.replace(&session.json()).map_err(|error| self.wrong(&error))
    }

    fn replace(&self, content: &Value) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let new = folder.join(format!("session.{}.new", std::process::id()));
        // What an earlier process with this id has left may have another mode.
        let _ = fs::remove_file(&new);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }

    /// Forgets the session.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.wrong(&error)),
            _ => Ok(()),
        }
    }

    fn wrong(&self, why: &dyn std::fmt::Display) -> Failure {
        Failure::Failed(format!("the session's file {}: {why}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_is_kept_in_a_file_of_its_user_and_no_other_is_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store { path: dir.path().join("new/millrace/session.json") };
        assert!(store.read().expect("no file").is_none());
        let tokens = json!({ "access_token": "access", "refresh_token": "refresh" });
        let url: Url = "http://localhost:3000/".parse().expect("a URL");
        let session = Session::new(url, "ada@example.org".into(), &tokens).expect("tokens");
        store.write(&session).expect("written");
        store.write(&session).expect("written again");

        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(
            (mode(&store.path), mode(store.path.parent().expect("a folder"))),
            (0o600, 0o700)
        );
        let read = store.read().expect("read").expect("a session");
        assert_eq!(read.json(), session.json());
        assert!(!format!("{read:?}").contains("refresh\""), "{read:?}");
        assert_eq!(fs::read_dir(store.path.parent().expect("a folder")).expect("read").count(), 1);

        fs::set_permissions(&store.path, fs::Permissions::from_mode(0o640)).expect("changed");
        let error = store.read().expect_err("refused").to_string();
        assert!(error.contains("expected mode 0600, found 0640"), "{error}");
        store.remove().expect("removed");
        store.remove().expect("nothing to remove");
        assert!(store.read().expect("no file").is_none());
    }

    #[test]
    fn error_about_a_file_that_is_no_session_shows_nothing_of_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store { path: dir.path().join("session.json") };
        store.replace(&json!({ "url": "a secret" })).expect("written");
        let error = store.read().expect_err("refused").to_string();
        assert!(error.contains("millrace login") && !error.contains("secret"), "{error}");
    }
}
