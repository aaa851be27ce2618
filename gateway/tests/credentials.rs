//! The gateway's program with a PostgreSQL that refuses every password.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey as _};

/// A PostgreSQL that refuses every password until the test's process ends.
fn postgres() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let refuse = |mut stream: TcpStream| -> io::Result<()> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4])?;
        let text = "SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0";
        let length = u32::try_from(text.len() + 4).expect("short").to_be_bytes();
        stream.write_all(&[&b"E"[..], &length, text.as_bytes()].concat())
    };
    std::thread::spawn(move || {
        listener.incoming().for_each(|stream| drop(stream.and_then(refuse)))
    });
    address
}

#[test]
fn refused_password_ends_the_gateway_with_one_line_and_exit_code_64() {
    let folder = tempfile::tempdir().expect("a folder");
    let (keys, secret) = (folder.path().join("keys"), folder.path().join("secret"));
    fs::create_dir(&keys).expect("a folder");
    let pem = SigningKey::from_bytes(&[7; 32]).to_pkcs8_pem(Default::default()).expect("a key");
    fs::write(keys.join("1.pem"), pem.as_bytes()).expect("written");
    fs::write(&secret, "07".repeat(32)).expect("written");

    let ended = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .env("MILLRACE_BROKERS", "127.0.0.1:1")
        .env("MILLRACE_REGISTRY_URL", "http://127.0.0.1:1")
        .env("MILLRACE_POSTGRES_URL", format!("postgres://millrace@{}/millrace", postgres()))
        .env("MILLRACE_POSTGRES_PASSWORD", "s3cr3t/@:#")
        .env("MILLRACE_REDIS_URL", "redis://127.0.0.1:1")
        .env("MILLRACE_MONGO_URL", "mongodb://127.0.0.1:1")
        .env("MILLRACE_LISTEN", "127.0.0.1:0")
        .env("MILLRACE_INTERNAL", "127.0.0.1:0")
        .env("MILLRACE_JWT_KEYS", &keys)
        .env("MILLRACE_SECRET_FILE", &secret)
        .env("RUST_LOG", "off")
        .output()
        .expect("it runs");

    let printed = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(64), "{printed}");
    assert!(printed.contains("PostgreSQL refuses the credentials: "), "{printed}");
    assert!(
        printed.contains("password authentication failed; check MILLRACE_POSTGRES_URL"),
        "{printed}"
    );
    assert!(!printed.contains("s3cr3t"), "{printed}");
}
