//! The files of a secured stack: a certificate authority, a server certificate for loopback, and a
//! password for each of the broker's users. They are created at the first start and kept with the
//! stack's data, with mode 0600. The configuration that repeats passwords has that mode too, and no
//! command line has one. Without `--secured` none of them exists.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::User;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::secrets::{random_hex, write_new};
use super::{Layout, PROGRAMS, StackError};

/// The user that may do everything: that of the tests, and of the program that creates access
/// rules.
pub const ADMIN: &str = "admin";
/// A user that no rule allows anything.
pub const STRANGER: &str = "stranger";

/// The mechanism of users that are no program of [`PROGRAMS`].
const MECHANISM: &str = "SCRAM-SHA-512";

/// The broker's users, each with the mechanism by which it proves who it is.
fn users() -> impl Iterator<Item = (&'static str, &'static str)> {
    [ADMIN, "provision", STRANGER]
        .map(|user| (user, MECHANISM))
        .into_iter()
        .chain(PROGRAMS.iter().map(|program| (program.name, program.sasl_mechanism)))
}

/// Names and addresses of every server of the stack.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// The files of a secured stack.
#[derive(Clone, Debug)]
pub struct Secured {
    dir: PathBuf,
}

impl Secured {
    /// Whether the files of `layout` exist.
    pub fn exists(layout: &Layout) -> bool {
        layout.secrets().join("secured/ca.pem").exists()
    }

    /// Finds the files of `layout`, and creates those that do not exist yet.
    pub fn ready(layout: &Layout) -> Result<Self, StackError> {
        let dir = layout.secrets().join("secured");
        std::fs::create_dir_all(&dir).map_err(StackError::file("make", &dir))?;
        let secured = Self { dir };
        if !secured.ca().exists() {
            secured
                .certify()
                .map_err(|error| StackError::Refused(format!("making certificates: {error}")))??;
        }
        for (user, _) in users() {
            let path = secured.password_file(user);
            if !path.exists() {
                write_new(&path, random_hex(16).as_bytes())?;
            }
        }
        Ok(secured)
    }

    /// Creates an authority, whose key is not kept, and one certificate for all servers.
    fn certify(&self) -> Result<Result<(), StackError>, rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "Millrace's own authority");
        let authority_key = KeyPair::generate()?;
        let ca = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let cert = CertificateParams::new(HOSTS.map(str::to_owned))?.signed_by(&key, &issuer)?;
        let (cert, key) = (cert.pem(), key.serialize_pem());
        let write = || {
            write_new(&self.cert(), cert.as_bytes())?;
            write_new(&self.key(), key.as_bytes())?;
            write_new(&self.key_and_cert(), format!("{key}{cert}").as_bytes())?;
            // Written last: if it exists, the others do too.
            write_new(&self.ca(), ca.pem().as_bytes())
        };
        Ok(write())
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The servers' certificate.
    pub fn cert(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    /// The key of the servers' certificate.
    pub fn key(&self) -> PathBuf {
        self.dir.join("server.key")
    }

    /// Certificate and key in one file, as Kafka needs them.
    pub fn key_and_cert(&self) -> PathBuf {
        self.dir.join("server-key-and-cert.pem")
    }

    /// Copies certificate and key into `dir`, readable by `user` alone.
    pub fn for_user(
        &self,
        dir: &Path,
        user: Option<&User>,
    ) -> Result<(PathBuf, PathBuf), StackError> {
        let copy = |from: PathBuf, name: &str| -> Result<PathBuf, StackError> {
            let to = dir.join(name);
            std::fs::copy(&from, &to).map_err(StackError::file("copy", &from))?;
            if let Some(user) = user {
                std::os::unix::fs::chown(&to, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                    .map_err(StackError::file("hand over", &to))?;
            }
            Ok(to)
        };
        Ok((copy(self.cert(), "server.pem")?, copy(self.key(), "server.key")?))
    }

    /// The file with the password of a user of the broker.
    pub fn password_file(&self, user: &str) -> PathBuf {
        self.dir.join(format!("{user}.password"))
    }

    fn password(&self, user: &str) -> Result<String, StackError> {
        let path = self.password_file(user);
        std::fs::read_to_string(&path).map_err(StackError::file("read", &path))
    }

    /// The variables by which a program of Millrace connects to broker and registry as `user`.
    pub fn environment(&self, user: &str) -> Vec<(String, OsString)> {
        let mechanism =
            users().find(|(name, _)| *name == user).map_or(MECHANISM, |(_, mechanism)| mechanism);
        let password: OsString = self.password_file(user).into();
        [
            ("MILLRACE_BROKERS_TLS", "true".into()),
            ("MILLRACE_SASL_MECHANISM", mechanism.into()),
            ("MILLRACE_SASL_USER", user.into()),
            ("MILLRACE_SASL_PASSWORD_FILE", password.clone()),
            ("MILLRACE_REGISTRY_USER", user.into()),
            ("MILLRACE_REGISTRY_PASSWORD_FILE", password),
            ("MILLRACE_CA_FILE", self.ca().into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The options of Kafka's storage tool that create the SCRAM users, one a line. The tool reads
    /// them from a file, because every user of the machine can see a command line.
    pub fn scram_users(&self) -> Result<String, StackError> {
        let mut options = String::new();
        for (user, mechanism) in users().filter(|(_, mechanism)| mechanism.starts_with("SCRAM")) {
            let password = self.password(user)?;
            options += &format!("--add-scram\n{mechanism}=[name={user},password={password}]\n");
        }
        Ok(options)
    }

    /// The settings of a secured broker that listens for clients at `address` and for itself at
    /// `internal`. They follow those of the unsecured broker, and the last value of a key counts.
    /// The internal listener asks for no password, and every client there may do everything.
    pub fn broker_properties(
        &self,
        address: &str,
        internal: &str,
        controller: &str,
    ) -> Result<String, StackError> {
        let module = "org.apache.kafka.common.security";
        let mut plain = Vec::new();
        for (user, _) in users().filter(|(_, mechanism)| *mechanism == "PLAIN") {
            plain.push(format!("user_{user}=\"{}\"", self.password(user)?));
        }
        Ok(format!(
            "
# --secured
listeners=SECURED://{address},INTERNAL://{internal},CONTROLLER://{controller}
advertised.listeners=SECURED://{address},INTERNAL://{internal}
listener.security.protocol.map=SECURED:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
listener.name.secured.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.secured.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.secured.plain.sasl.jaas.config={module}.plain.PlainLoginModule required {plain};
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{ADMIN};User:ANONYMOUS
",
            plain = plain.join(" "),
            keystore = self.key_and_cert().display(),
        ))
    }

    /// The registry's users, in nginx's format.
    pub fn registry(&self) -> Result<String, StackError> {
        users().map(|(user, _)| Ok(format!("{user}:{{PLAIN}}{}\n", self.password(user)?))).collect()
    }

    /// The file of the registry's users.
    pub fn registry_users(&self) -> PathBuf {
        self.dir.join("registry.users")
    }

    /// Settings with which kcat connects as the admin.
    pub fn kcat(&self) -> Result<String, StackError> {
        Ok(format!(
            "security.protocol=SASL_SSL\nssl.ca.location={}\nsasl.mechanism=SCRAM-SHA-512\nsasl.username={ADMIN}\nsasl.password={}\n",
            self.ca().display(),
            self.password(ADMIN)?
        ))
    }
}
