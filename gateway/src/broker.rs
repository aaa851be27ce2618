//! The log as the gateway's [`Commands`]: Avro in the Confluent wire format with CloudEvents
//! headers, over rskafka. Starts without log or registry, and is not ready until both have answered
//! once.

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
use schemas::{Codec, headers};

use crate::{
    commands::{Command, Commands, Outgoing, Unwritten},
    metrics::Metrics,
    reads::Health,
    time,
};

/// Who writes, in `ce_source`.
const SOURCE: &str = "/millrace/gateway";
/// For the log to say that it is there.
const PING_MAX: Duration = Duration::from_secs(2);

/// The log and the registry.
pub struct Broker {
    writer: CommandWriter,
    /// Known once the registry has said which ids this program's schemas have; it is not needed
    /// after that.
    codec: Arc<OnceLock<Codec>>,
    deadline: Duration,
}

impl Broker {
    /// Writes to the cluster behind `brokers`, with schemas that `registry` knows; each write may
    /// take `deadline`. To be called on a Tokio runtime.
    pub fn new(
        brokers: &Brokers,
        registry: Registry,
        deadline: Duration,
        metrics: &Metrics,
    ) -> Self {
        let codec = Arc::new(OnceLock::new());
        let (known, deprecated) = (codec.clone(), metrics.deprecated.clone());
        tokio::spawn(async move {
            let found = registry.wait_for_codec(&Command::schemas()).await;
            // It reads no records.
            let count = move |schema: &str, _| deprecated.with_label_values(&[schema]).inc();
            let _ = known.set(registry::watched(found, count));
            tracing::info!("the registry knows all commands");
        });
        Self { writer: CommandWriter::new(brokers), codec, deadline }
    }
}

fn stamped(outgoing: &Outgoing) -> Headers {
    let id = outgoing.id.to_string();
    let mut stamped = Headers::default();
    let mut put = |name: &'static str, value: &str| stamped.push(name, value);
    put(headers::SPEC_VERSION, headers::CLOUD_EVENTS);
    put(headers::ID, &id);
    put(headers::TYPE, outgoing.command.name());
    put(headers::SOURCE, SOURCE);
    put(headers::TIME, &time::text(time::now_ms()));
    put(headers::SUBJECT, &outgoing.key);
    put(headers::CONTENT_TYPE, headers::AVRO);
    put(headers::CORRELATION_ID, &id);
    put(headers::PRINCIPAL, &outgoing.principal);
    put(headers::FINGERPRINT, &outgoing.fingerprint);
    if let Some(parent) = &outgoing.trace_parent {
        put(headers::TRACE_PARENT, parent);
    }
    stamped
}

impl Commands for Broker {
    fn write(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<(), Unwritten>> {
        async move {
            let topic = outgoing.command.topic();
            let unwritten = |why: String| Unwritten { topic, why };
            let codec = self
                .codec
                .get()
                .ok_or_else(|| unwritten("the registry has not answered yet".to_owned()))?;
            let value =
                outgoing.command.encode(codec).map_err(|error| unwritten(error.to_string()))?;
            let headers = stamped(&outgoing);
            let written = self
                .writer
                .write(topic, &outgoing.key, value.into(), &headers, self.deadline)
                .await;
            written.map(|_| ()).map_err(|error| unwritten(error.to_string()))
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        async {
            let broker = self.writer.ping(PING_MAX).await.map_err(|error| error.to_string());
            let registry = match self.codec.get() {
                Some(_) => Ok(()),
                None => Err("it has not said which ids the commands have".to_owned()),
            };
            Health::from([("broker", broker), ("registry", registry)])
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use schemas::user::EndSession;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn headers_are_those_of_the_contract() {
        let (user_id, session_id, id) =
            (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let command = schemas::user::Command::from(EndSession { user_id, session_id });
        let outgoing = Outgoing {
            id,
            principal: user_id.to_string(),
            fingerprint: "ab".into(),
            key: user_id.to_string(),
            trace_parent: None,
            command: command.into(),
        };

        let stamped = stamped(&outgoing);

        assert_eq!(stamped.text(headers::ID), Some(id.to_string().as_str()));
        assert_eq!(stamped.text(headers::TYPE), Some("millrace.user.EndSession"));
        assert_eq!(stamped.text(headers::SUBJECT), Some(user_id.to_string().as_str()));
        assert!(
            stamped
                .iter()
                .all(|(name, _)| headers::ALL.iter().any(|known| known.as_bytes() == name))
        );
        assert!(outgoing.command.encode(&Codec::local()).is_ok());
    }
}
