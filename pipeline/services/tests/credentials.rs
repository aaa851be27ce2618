//! A service whose password PostgreSQL refuses: the real program, a registry that has every schema,
//! and a PostgreSQL that accepts no log-in. The service needs no broker to find that out.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

/// Answers each connection with `answer` until the process of the test ends. Returns the address.
fn serve(answer: impl Fn(TcpStream) -> io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        listener.incoming().for_each(|stream| drop(stream.and_then(&answer)))
    });
    address
}

/// A registry that has every schema under the id 1.
fn registry(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let body = r#"{"id":1,"version":1}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    reader.into_inner().write_all(answer.as_bytes())
}

/// A PostgreSQL that refuses every password.
fn postgres(mut stream: TcpStream) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4])?;
    let text = "SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"millrace\"\0\0";
    let length = u32::try_from(text.len() + 4).expect("short").to_be_bytes();
    stream.write_all(&[&b"E"[..], &length, text.as_bytes()].concat())
}

#[test]
fn refused_password_ends_the_service_with_one_line_and_exit_code_64() {
    let ended = Command::new(env!("CARGO_BIN_EXE_user"))
        .env("MILLRACE_BROKERS", "127.0.0.1:1")
        .env("MILLRACE_REGISTRY_URL", format!("http://127.0.0.1:1,http://{}", serve(registry)))
        .env("MILLRACE_POSTGRES_URL", format!("postgres://millrace@{}/millrace", serve(postgres)))
        .env("MILLRACE_POSTGRES_PASSWORD", "s3cr3t/@:#")
        .env("MILLRACE_INTERNAL", "127.0.0.1:0")
        .env("RUST_LOG", "off")
        .output()
        .expect("it runs");

    let printed = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(64), "{printed}");
    let lines: Vec<_> = printed.lines().collect();
    let [line] = lines.as_slice() else { panic!("one line: {printed}") };
    let expected = "MILLRACE_POSTGRES_URL or MILLRACE_POSTGRES_PASSWORD is wrong: \
                    PostgreSQL refuses the credentials: ";
    assert!(line.starts_with(expected), "{line}");
    assert!(line.contains("password authentication failed"), "{line}");
    assert!(!line.contains("s3cr3t"), "{line}");
}
