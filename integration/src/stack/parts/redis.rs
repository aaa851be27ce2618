//! Redis with its append-only file, so that a restart finds its data. Nothing relies on that:
//! everything in Redis can be rebuilt.

use super::{Setup, make, program};
use crate::stack::{Part, PartKind, Ready, StackError};

pub(super) fn part(setup: &Setup) -> Result<Part, StackError> {
    let data = setup.layout.data.join("redis");
    make(&data)?;
    let (port, address) = (setup.ports.of("redis").to_string(), setup.ports.at("redis"));
    let mut command = crate::command![
        program("redis-server")?,
        "--bind",
        "127.0.0.1",
        "--dir",
        &data,
        "--appendonly",
        "yes",
        "--save",
        "",
    ];
    let ready = match &setup.secured {
        None => {
            command.extend(crate::command!["--port", &port]);
            Ready::Redis(address.clone())
        }
        Some(secured) => {
            let (cert, key, ca) = (secured.cert(), secured.key(), secured.ca());
            command.extend(crate::command![
                "--port",
                "0",
                "--tls-port",
                &port,
                "--tls-auth-clients",
                "no"
            ]);
            command.extend(crate::command!["--tls-cert-file", cert, "--tls-key-file", key]);
            command.extend(crate::command!["--tls-ca-cert-file", &ca]);
            let question = format!(
                "redis-cli --tls --cacert '{}' -p {port} ping | grep -q PONG",
                ca.display()
            );
            Ready::Command(crate::command!["sh", "-c", question])
        }
    };
    Ok(Part::new("redis", PartKind::Server, 1, command, ready).at(address))
}
