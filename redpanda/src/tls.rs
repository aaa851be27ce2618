//! TLS of outgoing connections: the trusted authorities, and the client's certificate.
//!
//! One setting serves every connection: brokers, registry, stores and the mail server. A
//! certificate and the name in it are always verified; no setting disables that.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::settings::SettingError;

const CA: &str = "MILLRACE_CA_FILE";
const CERT: &str = "MILLRACE_CERT_FILE";
const KEY: &str = "MILLRACE_KEY_FILE";

/// Files of certificates, for every program.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsSettings {
    /// A PEM file with the authorities that TLS connections trust, instead of the system's.
    #[arg(long, env = "MILLRACE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate chain, shown to brokers and registry.
    #[arg(long, env = "MILLRACE_CERT_FILE", value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the private key of the client's certificate, not encrypted.
    #[arg(long, env = "MILLRACE_KEY_FILE", value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

/// The loaded certificates. Clones share them.
#[derive(Clone, Default)]
pub struct Tls {
    authorities: Option<Arc<Authorities>>,
    identity: Option<Arc<Identity>>,
}

struct Authorities {
    file: PathBuf,
    /// The file's content, for clients that read PEM.
    pem: Vec<u8>,
    roots: RootCertStore,
}

struct Identity {
    cert_file: PathBuf,
    key_file: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.identity.as_deref().map(|identity| &identity.cert_file);
        f.debug_struct("Tls")
            .field("ca_file", &self.ca_file())
            .field("cert_file", &identity)
            .finish()
    }
}

impl TlsSettings {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// If a file can't be read, or does not contain what is expected.
    pub fn load(&self) -> Result<Tls, SettingError> {
        let authorities = self.ca_file.as_deref().map(authorities).transpose()?.map(Arc::new);
        let identity = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => Some(Arc::new(identity(cert, key)?)),
            _ => None,
        };
        let tls = Tls { authorities, identity };
        if tls.identity.is_some() {
            // Certificate and key may each be valid and not belong together.
            tls.client_config_with_identity()?;
        }
        Ok(tls)
    }
}

/// Makes ring the TLS provider of this process. Clients that choose none for themselves use it, and
/// no other one is compiled.
pub fn install_provider() {
    // A second call finds the provider of the first one.
    drop(rustls::crypto::ring::default_provider().install_default());
}

impl Tls {
    /// The file of the trusted authorities; `None` if the system's are trusted.
    pub fn ca_file(&self) -> Option<&Path> {
        self.authorities.as_deref().map(|authorities| authorities.file.as_path())
    }

    /// The content of that file.
    pub fn ca_pem(&self) -> Option<&[u8]> {
        self.authorities.as_deref().map(|authorities| authorities.pem.as_slice())
    }

    /// The files of the client's certificate and of its key.
    pub(crate) fn identity_files(&self) -> Option<(&Path, &Path)> {
        let identity = self.identity.as_deref()?;
        Some((&identity.cert_file, &identity.key_file))
    }

    /// The rustls configuration of a connection without a client certificate.
    ///
    /// # Errors
    /// If the system has no certificate authorities.
    pub fn client_config(&self) -> Result<ClientConfig, SettingError> {
        Ok(self.trusting()?.with_no_client_auth())
    }

    /// The rustls configuration of a connection with the client certificate, if there is one.
    pub(crate) fn client_config_with_identity(&self) -> Result<ClientConfig, SettingError> {
        let trusting = self.trusting()?;
        match self.identity.as_deref() {
            None => Ok(trusting.with_no_client_auth()),
            Some(Identity { chain, key, key_file, .. }) => {
                trusting.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(|error| {
                    let path = key_file.display();
                    wrong(
                        KEY,
                        format!("{path} is not the key of the certificate in {CERT}: {error}"),
                    )
                })
            }
        }
    }

    fn trusting(
        &self,
    ) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, SettingError>
    {
        let roots = match &self.authorities {
            Some(authorities) => authorities.roots.clone(),
            None => system_roots()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(CA, format!("TLS can't be set up: {error}")))?;
        Ok(builder.with_root_certificates(roots))
    }
}

fn system_roots() -> Result<RootCertStore, SettingError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        false => Ok(roots),
        true => {
            let why = "this system has no certificate authorities: expected the package \
                       ca-certificates, or a PEM file of authorities here";
            Err(wrong(CA, why.to_owned()))
        }
    }
}

fn authorities(file: &Path) -> Result<Authorities, SettingError> {
    let pem = read(CA, file)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CA, file, &pem)? {
        roots.add(certificate).map_err(|error| {
            wrong(
                CA,
                format!("{} has a certificate that can't be trusted: {error}", file.display()),
            )
        })?;
    }
    Ok(Authorities { file: file.to_owned(), pem, roots })
}

fn identity(cert_file: &Path, key_file: &Path) -> Result<Identity, SettingError> {
    let chain = certificates(CERT, cert_file, &read(CERT, cert_file)?)?;
    let key = PrivateKeyDer::from_pem_slice(&read(KEY, key_file)?).map_err(|_| {
        wrong(
            KEY,
            format!("{}: expected one private key in PEM, not encrypted", key_file.display()),
        )
    })?;
    Ok(Identity { cert_file: cert_file.to_owned(), key_file: key_file.to_owned(), chain, key })
}

fn certificates(
    variable: &'static str,
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong(variable, format!("{}: expected certificates in PEM", file.display()))),
    }
}

fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, SettingError> {
    std::fs::read(path).map_err(|source| SettingError::File {
        variable,
        path: path.to_owned(),
        source,
    })
}

fn wrong(variable: &'static str, why: String) -> SettingError {
    SettingError::Wrong { variable, why }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn load(
        ca: Option<&Path>,
        cert: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Tls, SettingError> {
        let [ca_file, cert_file, key_file] = [ca, cert, key].map(|path| path.map(Path::to_owned));
        TlsSettings { ca_file, cert_file, key_file }.load()
    }

    #[test]
    fn file_with_unexpected_content_is_named_in_the_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let other = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (cert, key) = (write("cert", &cert.pem()), write("key", &signing_key.serialize_pem()));
        let (empty, other) =
            (write("empty", ""), write("other", &other.signing_key.serialize_pem()));
        let missing = dir.path().join("missing");

        let tls = load(Some(&cert), Some(&cert), Some(&key)).expect("settings");
        assert!(!format!("{tls:?}").contains("PRIVATE"), "{tls:?}");
        for (result, expected) in [
            (load(Some(&missing), None, None), "MILLRACE_CA_FILE: can't read"),
            (load(Some(&empty), None, None), "empty: expected certificates in PEM"),
            (load(Some(&cert), Some(&key), Some(&key)), "MILLRACE_CERT_FILE"),
            (load(Some(&cert), Some(&cert), Some(&cert)), "expected one private key in PEM"),
            (load(Some(&cert), Some(&cert), Some(&other)), "is not the key of the certificate"),
        ] {
            let error = result.expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
