//! Redis, with its append-only file on: a restart finds what was there. It is never trusted to; what it holds can be rebuilt.

use super::{Context, make, program};
use crate::stack::{Kind, Part, Ready, StackError};

pub(super) fn part(context: &Context) -> Result<Part, StackError> {
    let data = context.layout.data.join("redis");
    make(&data)?;
    let command = crate::command![
        program("redis-server")?,
        "--bind",
        "127.0.0.1",
        "--port",
        context.ports.of("redis").to_string(),
        "--dir",
        &data,
        "--appendonly",
        "yes",
        "--save",
        "",
    ];
    let address = context.ports.at("redis");
    Ok(Part::new("redis", Kind::Server, 1, command, Ready::Redis(address.clone())).at(address))
}
