//! Sends one request to one broker after the other until one answers.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{RequestHeader, TopicName};
use kafka_protocol::protocol::{Request, StrBytes};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Cluster;
use crate::gate::wire;

/// How long one broker may take to answer one request.
pub(super) const ASK_MAX: Duration = Duration::from_secs(5);

impl Cluster {
    /// Sends the request to one broker after the other until one answers.
    pub(super) async fn ask<T: Request>(
        &self,
        version: i16,
        request: &T,
    ) -> anyhow::Result<T::Response> {
        let mut failed = anyhow::anyhow!("the cluster has no brokers");
        for (_, address) in &self.brokers {
            match ask_one(address, version, request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failed = error,
            }
        }
        Err(failed.context("no broker answers"))
    }
}

pub(super) async fn ask_one<T: Request>(
    address: &str,
    version: i16,
    request: &T,
) -> anyhow::Result<T::Response> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let header = RequestHeader::default()
            .with_request_api_key(T::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(text("millrace-cluster")));
        stream
            .write_all(&wire::frame(&header, T::header_version(version), request, version)?)
            .await?;
        let answer = wire::read(&mut stream).await?.context("the connection was closed")?;
        wire::read_response(version, &answer)
    };
    let asked = tokio::time::timeout(ASK_MAX, asking).await;
    asked
        .with_context(|| format!("{address} does not answer"))?
        .with_context(|| format!("asking {address}"))
}

pub(super) fn check(code: i16) -> anyhow::Result<()> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => bail!("{error}"),
    }
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
