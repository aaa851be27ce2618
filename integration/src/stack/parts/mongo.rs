//! mongo-java-server in MongoDB's place: the wire protocol over an H2 file. It has no transactions,
//! no pipeline updates and no bulk API, so nothing that works here proves that those do.

use super::{Context, java, make};
use crate::stack::{Kind, Part, Ready, StackError};

pub(super) fn part(context: &Context) -> Result<Part, StackError> {
    let data = context.layout.data.join("mongo");
    make(&data)?;
    let mut command = java(384, &[context.layout.jars("mongo").join("*")])?;
    command.extend(crate::command![
        context.layout.root.join("integration/mongo/MongoServer.java"),
        context.ports.of("mongo").to_string(),
        data.join("mongo.h2"),
    ]);
    let address = context.ports.at("mongo");
    if let Some(secured) = &context.secured {
        command.extend(crate::command!["127.0.0.1", secured.cert(), secured.key()]);
    }
    Ok(Part::new("mongo", Kind::Server, 1, command, Ready::Tcp(address.clone())).at(address))
}
