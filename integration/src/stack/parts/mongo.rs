//! mongo-java-server instead of MongoDB: MongoDB's protocol over an H2 file. It has no
//! transactions, no pipeline updates and no `bulkWrite`, so no test here proves anything about
//! those.

use super::{Setup, java, make};
use crate::stack::{Part, PartKind, Ready, StackError};

pub(super) fn part(setup: &Setup) -> Result<Part, StackError> {
    let data = setup.layout.data.join("mongo");
    make(&data)?;
    let mut command = java(384, &[setup.layout.jars("mongo").join("*")])?;
    command.extend(crate::command![
        setup.layout.root.join("integration/mongo/MongoServer.java"),
        setup.ports.of("mongo").to_string(),
        data.join("documents.h2"),
    ]);
    let address = setup.ports.at("mongo");
    if let Some(secured) = &setup.secured {
        command.extend(crate::command!["127.0.0.1", secured.cert(), secured.key()]);
    }
    Ok(Part::new("mongo", PartKind::Server, 1, command, Ready::Tcp(address.clone())).at(address))
}
