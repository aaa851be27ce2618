//! The log as the gateway's [`Commands`]: Avro in the Confluent wire format with CloudEvents
//! headers, over rskafka. It starts without brokers or registry, and is not ready until both have
//! answered once. It never reads a topic.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use redpanda::{
    brokers::Brokers,
    log::Headers,
    registry::{self, Registry},
    writer::CommandWriter,
};
use schemas::{Codec, Message as _, headers as names};

use crate::{
    commands::{Command, CommandRecord, Commands, Confirmed, Unwritten},
    health::{self, Cause, Health},
    metrics::Metrics,
    time,
};

/// The value of `ce_source`.
const SOURCE: &str = "/millrace/gateway";
/// Why commands can't be encoded yet.
const NO_IDS: &str = "the registry has not answered with the ids of the commands' schemas yet";
/// How long the brokers may take to answer a health check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The brokers and the registry.
pub struct Broker {
    writer: CommandWriter,
    /// Set once the registry has answered with the ids of this program's schemas. The registry is
    /// not needed after that.
    codec: Arc<OnceLock<Codec>>,
    write_timeout: Duration,
}

impl Broker {
    /// Writes to the cluster of `brokers` with the schemas of `registry`. Must be called on a Tokio
    /// runtime.
    pub fn new(
        brokers: &Brokers,
        registry: Registry,
        write_timeout: Duration,
        metrics: &Metrics,
    ) -> Self {
        let codec = Arc::new(OnceLock::new());
        let (known, deprecated) = (codec.clone(), metrics.deprecated.clone());
        tokio::spawn(async move {
            let found = registry.wait_for_codec(Command::schemas()).await;
            // The second argument tells reading from writing; the gateway only writes.
            let count = move |schema: &str, _| deprecated.with_label_values(&[schema]).inc();
            let _ = known.set(registry::watched(found, count));
            tracing::info!("the registry has the schemas of all commands");
        });
        Self { writer: CommandWriter::new(brokers), codec, write_timeout }
    }

    /// The command as the value of a record.
    fn encoded(&self, command: &Command) -> Result<Vec<u8>, Cause> {
        let codec = self.codec.get().ok_or_else(|| health::cause(NO_IDS))?;
        let mut value = Vec::new();
        command.encode(codec, &mut value).map_err(health::cause)?;
        Ok(value)
    }

    async fn try_write(
        &self,
        record: &CommandRecord,
        confirmed: Confirmed,
    ) -> Result<(), Unwritten> {
        let topic = record.command.topic().map_err(|error| Unwritten {
            topic: error.topic.clone(),
            source: health::cause(error),
        })?;
        let unwritten = |source| Unwritten { topic: topic.clone(), source };
        let value = self.encoded(&record.command).map_err(unwritten)?;
        let (headers, timeout) = (headers_of(record), self.write_timeout);
        let (writer, key) = (&self.writer, &record.key);
        let written = writer.write_then(&topic, key, value.into(), &headers, timeout, confirmed);
        written.await.map(|_| ()).map_err(|error| unwritten(health::cause(error)))
    }
}

impl Commands for Broker {
    fn write(
        &self,
        record: CommandRecord,
        confirmed: Confirmed,
    ) -> BoxFuture<'_, Result<(), Unwritten>> {
        async move { self.try_write(&record, confirmed).await }.boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        async {
            let broker = self.writer.ping(PING_TIMEOUT).await.map_err(health::cause);
            let registry = self.codec.get().map(|_| ()).ok_or_else(|| health::cause(NO_IDS));
            Health::from([("broker", broker), ("registry", registry)])
        }
        .boxed()
    }
}

/// The headers of a command's record.
fn headers_of(record: &CommandRecord) -> Headers {
    let id = record.id.to_string();
    let mut headers = Headers::default();
    let mut put = |name: &'static str, value: &str| headers.push(name, value);
    put(names::SPEC_VERSION, names::CLOUD_EVENTS);
    put(names::ID, &id);
    put(names::TYPE, record.command.name());
    put(names::SOURCE, SOURCE);
    put(names::TIME, &time::text(time::now_ms()));
    put(names::SUBJECT, &record.key);
    put(names::CONTENT_TYPE, names::AVRO);
    put(names::CORRELATION_ID, &id);
    put(names::PRINCIPAL, &record.principal);
    put(names::FINGERPRINT, &record.fingerprint);
    if let Some(parent) = &record.trace_parent {
        put(names::TRACE_PARENT, parent);
    }
    headers
}

#[cfg(test)]
mod tests {
    use schemas::user::EndSession;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn headers_are_those_of_the_metadata_contract() {
        let (user_id, session_id, id) =
            (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let command = schemas::user::Command::from(EndSession { user_id, session_id });
        let record = CommandRecord {
            id,
            principal: user_id.to_string(),
            fingerprint: "ab".into(),
            key: user_id.to_string(),
            trace_parent: None,
            command: command.into(),
        };

        let headers = headers_of(&record);

        assert_eq!(headers.text(names::ID), Some(id.to_string().as_str()));
        assert_eq!(headers.text(names::TYPE), Some("millrace.user.EndSession"));
        assert_eq!(headers.text(names::SUBJECT), Some(user_id.to_string().as_str()));
        let is_known = |name: &[u8]| names::ALL.iter().any(|known| known.as_bytes() == name);
        assert!(headers.iter().all(|(name, _)| is_known(name)));
        assert!(record.command.encode(&Codec::local(), &mut Vec::new()).is_ok());
    }
}
