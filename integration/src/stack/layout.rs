//! The folders of a stack: the checkout, the built binaries, and one data folder for everything
//! that the stack writes. This file names and creates folders and a lock; the parts write into
//! them.

use std::fs::Permissions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::User;

use super::StackError;

/// Linux refuses longer socket paths.
const SOCKET_PATH_MAX: usize = 100;

/// The folders of one stack.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The checkout.
    pub root: PathBuf,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// The folder of the built binaries: the one of this program, or the one that
    /// `MILLRACE_BINARIES` names.
    pub bins: PathBuf,
}

impl Layout {
    /// Finds the checkout above the working directory (or else the one that this program was built
    /// from), and makes `data` absolute.
    pub fn find(data: &Path) -> Result<Self, StackError> {
        let here = std::env::current_dir().map_err(StackError::file("open", Path::new(".")))?;
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"));
        let root = here
            .ancestors()
            .find(|dir| dir.join("integration/pom.xml").exists())
            .unwrap_or(built_from);
        let exe =
            std::env::current_exe().map_err(StackError::file("find", Path::new("this binary")))?;
        let beside = exe.parent().unwrap_or(Path::new("/"));
        let elsewhere = std::env::var_os("MILLRACE_BINARIES").map(PathBuf::from);
        let bins = elsewhere.unwrap_or_else(|| beside.to_path_buf());
        // Relative names are the checkout's, so that `stack ctl` finds the same stack from any
        // folder below it.
        Ok(Self { root: root.to_path_buf(), data: root.join(data), bins })
    }

    /// Creates the folders. Those of secrets, and of the configuration, which has passwords if the
    /// stack is secured, are readable by this user alone.
    pub fn make(&self) -> Result<(), StackError> {
        for dir in [self.data.clone(), self.logs(), self.pids()] {
            std::fs::create_dir_all(&dir).map_err(StackError::file("make", &dir))?;
        }
        for dir in [self.configs(), self.secrets(), self.jwt_keys()] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(StackError::file("make", &dir))?;
            // It may be of an earlier start, with another mode.
            std::fs::set_permissions(&dir, Permissions::from_mode(0o700))
                .map_err(StackError::file("protect", &dir))?;
        }
        Ok(())
    }

    /// Locks the data folder for this process until the lock is dropped.
    pub fn lock(&self) -> Result<Flock<std::fs::File>, StackError> {
        std::fs::create_dir_all(&self.data).map_err(StackError::file("make", &self.data))?;
        let path = self.data.join("lock");
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StackError::file("open", &path))?;
        let lock =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| StackError::Locked {
                pid: std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned(),
                data: self.data.display().to_string(),
            })?;
        std::fs::write(&path, format!("{}\n", std::process::id()))
            .map_err(StackError::file("write", &path))?;
        Ok(lock)
    }

    /// Removes everything except the lock, for `--fresh`.
    pub fn clear(&self) -> Result<(), StackError> {
        let entries =
            std::fs::read_dir(&self.data).map_err(StackError::file("read", &self.data))?;
        for path in
            entries.flatten().map(|entry| entry.path()).filter(|path| !path.ends_with("lock"))
        {
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.map_err(StackError::file("remove", &path))?;
        }
        match std::fs::remove_dir_all(self.outside()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StackError::file("remove", &self.outside())(error))
            }
            _ => Ok(()),
        }
    }

    /// The folder with one log for each part.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// The log of `part`.
    pub fn log(&self, part: &str) -> PathBuf {
        self.logs().join(format!("{part}.log"))
    }

    /// The folder with one file for each running part, by which the next start finds orphans.
    pub fn pids(&self) -> PathBuf {
        self.data.join("pids")
    }

    /// The folder of the configuration that is written for the servers at each start.
    pub fn configs(&self) -> PathBuf {
        self.data.join("config")
    }

    /// The folder of keys and passwords.
    pub fn secrets(&self) -> PathBuf {
        self.data.join("secrets")
    }

    /// The folder of the gateway's signing keys.
    pub fn jwt_keys(&self) -> PathBuf {
        self.secrets().join("jwt")
    }

    /// The folder of a JVM server's jars, which all stacks of a checkout share.
    pub fn jars(&self, server: &str) -> PathBuf {
        self.root.join(".millrace/jars").join(server)
    }

    /// A built binary of the workspace.
    pub fn bin(&self, name: &str) -> Result<PathBuf, StackError> {
        let path = self.bins.join(name);
        if path.exists() {
            return Ok(path);
        }
        Err(StackError::Missing {
            what: path.display().to_string(),
            hint: "run `cargo build --workspace --bins`".into(),
        })
    }

    /// The control socket. It is in the data folder, or in the folder for temporary files if the
    /// path would be too long.
    pub fn socket(&self) -> PathBuf {
        let path = self.data.join("control.sock");
        if path.as_os_str().len() <= SOCKET_PATH_MAX {
            return path;
        }
        std::env::temp_dir().join(format!("millrace-{}.sock", self.hash()))
    }

    /// Creates PostgreSQL's folder and returns it, with the user that PostgreSQL runs as if this
    /// process is root. If that user can't traverse the data folder (below /root, for example), the
    /// folder is below /var/lib/millrace.
    pub fn postgres(&self) -> Result<(PathBuf, Option<User>), StackError> {
        let inside = self.data.join("postgres");
        if !nix::unistd::geteuid().is_root() {
            std::fs::create_dir_all(&inside).map_err(StackError::file("make", &inside))?;
            return Ok((inside, None));
        }
        let user =
            User::from_name("postgres").ok().flatten().ok_or_else(|| StackError::Missing {
                what: "the user postgres".into(),
                hint: "PostgreSQL refuses to run as root; Debian's package creates that user"
                    .into(),
            })?;
        let dir = if self.data.ancestors().all(|dir| passable(dir, &user)) {
            inside
        } else {
            self.outside().join("postgres")
        };
        std::fs::create_dir_all(&dir).map_err(StackError::file("make", &dir))?;
        std::os::unix::fs::chown(&dir, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(StackError::file("hand over", &dir))?;
        Ok((dir, Some(user)))
    }

    fn outside(&self) -> PathBuf {
        Path::new("/var/lib/millrace").join(self.hash())
    }

    fn hash(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.data.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

fn passable(dir: &Path, user: &User) -> bool {
    let Ok(meta) = std::fs::metadata(dir) else { return false };
    let bit = match () {
        () if meta.uid() == user.uid.as_raw() => 0o100,
        () if meta.gid() == user.gid.as_raw() => 0o010,
        () => 0o001,
    };
    meta.mode() & bit != 0
}
