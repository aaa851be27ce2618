//! Keys and passwords of one stack. They are created at its first start, with mode 0600, and kept
//! with its data. Only their paths are printed. They are a developer's secrets: a deployment has
//! its own.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::EncodePrivateKey;
use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;

use super::{Layout, StackError};

/// The files of the secrets.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Folder of the gateway's signing keys, `<kid>.pem`.
    pub jwt_keys: PathBuf,
    /// 64 hex digits, from which the gateway derives its other keys.
    pub secret: PathBuf,
    /// The first admin's password.
    pub admin_password: PathBuf,
    /// The first admin's address.
    pub admin_email: &'static str,
    /// Whether this start created any of them.
    pub made: bool,
}

impl Secrets {
    /// Finds the secrets of `layout`, and creates those that do not exist yet.
    pub fn ready(layout: &Layout) -> Result<Self, StackError> {
        let mut secrets = Self {
            jwt_keys: layout.jwt_keys(),
            secret: layout.secrets().join("gateway.hex"),
            admin_password: layout.secrets().join("admin-password"),
            admin_email: "admin@millrace.example",
            made: false,
        };
        let keys = std::fs::read_dir(&secrets.jwt_keys)
            .map_err(StackError::file("read", &secrets.jwt_keys))?;
        if !keys.flatten().any(|entry| entry.path().extension().is_some_and(|kind| kind == "pem")) {
            // The last key by name signs, so the name is the time.
            let path = secrets.jwt_keys.join(format!("{}.pem", seconds()));
            write_new(&path, signing_key()?.as_bytes())?;
            secrets.made = true;
        }
        for (path, bytes) in [(&secrets.secret, 32), (&secrets.admin_password, 12)] {
            if !path.exists() {
                write_new(path, random_hex(bytes).as_bytes())?;
                secrets.made = true;
            }
        }
        Ok(secrets)
    }
}

fn seconds() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// PKCS8 version 1, without the public key: OpenSSL reads no other.
fn signing_key() -> Result<String, StackError> {
    let key = KeypairBytes { secret_key: rand::random(), public_key: None };
    let pem = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| StackError::Refused(format!("no signing key: {error}")))?;
    Ok(pem.to_string())
}

pub(super) fn random_hex(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

/// Writes a secret that does not exist yet. The file gets its name when it is complete, so what an
/// interrupted start leaves is never taken for a secret.
pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<(), StackError> {
    let unfinished = unfinished(path);
    // An interrupted start may have left one.
    let _ = std::fs::remove_file(&unfinished);
    let mut file = std::fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(StackError::file("make", &unfinished))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(StackError::file("write", &unfinished))?;
    std::fs::rename(&unfinished, path).map_err(StackError::file("make", path))
}

/// The name of a secret that is being written: no reader of keys looks at this extension.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn layout(dir: &Path) -> Layout {
        let layout = Layout { root: dir.into(), data: dir.join("data"), bins: dir.into() };
        layout.make().expect("folders");
        layout
    }

    #[test]
    fn secret_that_an_interrupted_start_has_left_unfinished_is_written_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = layout(dir.path());
        let secret = layout.secrets().join("gateway.hex");
        std::fs::write(unfinished(&secret), "").expect("written");

        let secrets = Secrets::ready(&layout).expect("secrets");

        assert_eq!(secrets.secret, secret);
        assert_eq!(std::fs::read_to_string(&secret).expect("a secret").len(), 64);
        assert!(!unfinished(&secret).exists());
    }

    #[test]
    fn secrets_are_created_once_and_readable_by_this_user_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = layout(dir.path());
        let first = Secrets::ready(&layout).expect("secrets");
        let password = std::fs::read_to_string(&first.admin_password).expect("a password");
        let again = Secrets::ready(&layout).expect("the same secrets");
        assert!(first.made && !again.made);
        assert_eq!(password, std::fs::read_to_string(&again.admin_password).expect("a password"));
        for path in [&first.secret, &first.admin_password] {
            assert_eq!(
                0o600,
                std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
            );
        }
    }
}
