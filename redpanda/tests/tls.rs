//! The clients of brokers and registry, as every program's settings create them, against a server
//! that requires a certificate. The server answers nothing: the tests check the first bytes that it
//! receives.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use redpanda::{
    brokers::{BrokerSettings, Brokers},
    log::Input as _,
    reader::Reader,
    registry::{Registry, RegistrySettings},
    tls::TlsSettings,
    writer::CommandWriter,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::{io::AsyncReadExt as _, net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;

/// The deadline of a request; the machine may be busy.
const SOON: Duration = Duration::from_secs(20);
/// How long a refused client is observed. An accepted one sends within milliseconds.
const NEVER: Duration = Duration::from_secs(1);

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    brokers: BrokerSettings,
    #[command(flatten)]
    registry: RegistrySettings,
    #[command(flatten)]
    tls: TlsSettings,
}

/// The files of an authority, and of a server's and a client's certificate that it has signed.
struct Files(tempfile::TempDir);

impl Files {
    fn make() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().expect("a key");
        let ca = authority.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(authority, key);
        std::fs::write(dir.path().join("ca"), ca).expect("written");
        for name in ["server", "client"] {
            let key = KeyPair::generate().expect("a key");
            let hosts = CertificateParams::new(["127.0.0.1".to_owned()]).expect("parameters");
            let cert = hosts.signed_by(&key, &issuer).expect("a certificate").pem();
            std::fs::write(dir.path().join(name), cert).expect("written");
            std::fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem())
                .expect("written");
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A TLS server; returns its port, and the first bytes of each connection after the handshake.
async fn server(files: &Files) -> (u16, mpsc::UnboundedReceiver<Vec<u8>>) {
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        let found = CertificateDer::pem_file_iter(files.path(name)).expect("a file");
        found.collect::<Result<_, _>>().expect("certificates")
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let key = PrivateKeyDer::from_pem_file(files.path("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(known.build().expect("a verifier"))
        .with_single_cert(certificates("server"), key)
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut bytes = vec![0; 4096];
                let length = stream.read(&mut bytes).await?;
                if length > 0 {
                    bytes.truncate(length);
                    // The test may have ended.
                    let _ = sender.send(bytes);
                }
                std::io::Result::Ok(())
            });
        }
    });
    (port, received)
}

/// The clients that a program's settings create with these files.
fn clients(port: u16, ca: &Path, identity: Option<&Files>) -> (Brokers, Registry) {
    let (broker, url) = (format!("127.0.0.1:{port}"), format!("https://127.0.0.1:{port}"));
    let ca = ca.display().to_string();
    let mut arguments: Vec<String> = [
        "program",
        "--brokers",
        &broker,
        "--brokers-tls",
        "--registry-url",
        &url,
        "--ca-file",
        &ca,
    ]
    .map(str::to_owned)
    .into();
    arguments
        .extend(["--registry-user", "order", "--registry-password", "s3cr3t"].map(str::to_owned));
    if let Some(files) = identity {
        for (option, file) in [("--cert-file", "client"), ("--key-file", "client.key")] {
            arguments.extend([option.to_owned(), files.path(file).display().to_string()]);
        }
    }
    let program = Program::try_parse_from(arguments).expect("arguments");
    let tls = program.tls.load().expect("files");
    (program.brokers.open(&tls).expect("brokers"), program.registry.open(&tls).expect("a registry"))
}

/// Sends a request with each client. The results do not matter.
fn request_with_all(brokers: &Brokers, registry: Registry) {
    let mut reader = Reader::join(brokers, "group", "member", &["topic".into()]).expect("a reader");
    std::thread::spawn(move || {
        for _ in 0..100 {
            let _ = reader.poll(Duration::from_millis(100), 1, &mut Vec::new());
        }
    });
    let writer = CommandWriter::new(brokers);
    tokio::spawn(async move { writer.ping(SOON).await });
    tokio::spawn(async move { registry.level_of("subject").await });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_connects_with_its_certificate() {
    let files = Files::make();
    let (port, mut received) = server(&files).await;
    let (brokers, registry) = clients(port, &files.path("ca"), Some(&files));

    request_with_all(&brokers, registry);

    let (mut librdkafka, mut rskafka, mut has_registry) = (false, false, false);
    while !(librdkafka && rskafka && has_registry) {
        let what = format!("librdkafka {librdkafka}, rskafka {rskafka}, registry {has_registry}");
        let bytes =
            tokio::time::timeout(SOON, received.recv()).await.expect(&what).expect("a server");
        let text = String::from_utf8_lossy(&bytes);
        if text.starts_with("GET /config/subject") {
            // RFC 7617: order:s3cr3t
            assert!(
                text.to_lowercase().contains("authorization: basic b3jkzxi6cznjcjn0"),
                "{text}"
            );
            has_registry = true;
        } else {
            // Both begin with ApiVersions, after the length of the request.
            assert_eq!(bytes[4..6], [0, 18], "{bytes:?}");
            // librdkafka's request contains its name.
            match text.contains("librdkafka") {
                true => librdkafka = true,
                false => rskafka = true,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_without_a_certificate_is_refused() {
    let files = Files::make();
    let (port, mut received) = server(&files).await;
    let (brokers, registry) = clients(port, &files.path("ca"), None);
    request_with_all(&brokers, registry);
    let bytes = tokio::time::timeout(NEVER, received.recv()).await;
    assert!(bytes.is_err(), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_of_another_authority_receives_nothing() {
    let (files, other) = (Files::make(), Files::make());
    let (port, mut received) = server(&files).await;
    let (brokers, registry) = clients(port, &other.path("ca"), Some(&files));
    request_with_all(&brokers, registry);
    let bytes = tokio::time::timeout(NEVER, received.recv()).await;
    assert!(bytes.is_err(), "{bytes:?}");
}

#[test]
fn password_of_the_registry_is_sent_only_over_https_and_never_printed() {
    let open = |arguments: &[&str]| {
        let always = ["program", "--registry-user", "order", "--registry-password", "s3cr3t"];
        let program = Program::try_parse_from(always.iter().chain(arguments)).expect("arguments");
        program.registry.open(&program.tls.load().expect("no files"))
    };
    let error = open(&["--registry-url", "http://here"]).expect_err("not encrypted").to_string();
    assert!(error.contains("expected https") && !error.contains("s3cr3t"), "{error}");
}
