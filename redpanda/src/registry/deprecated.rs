//! Reports uses of deprecated schemas. It refuses none.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use schemas::{Codec, Use};

/// The same codec, which logs a warning when it first writes or reads a record of a deprecated
/// schema, and passes each such use to `count`: the schema's name, and whether it was written.
pub fn watched(codec: Codec, count: impl Fn(&'static str, Use) + Send + Sync + 'static) -> Codec {
    let warned = Mutex::new(BTreeSet::new());
    codec.watched(move |schema, deprecated, usage| {
        if warned.lock().unwrap_or_else(PoisonError::into_inner).insert(schema.name) {
            tracing::warn!(
                schema.name,
                schema.since = deprecated.since,
                schema.successor = deprecated.successor,
                "a deprecated schema is still in use"
            );
        }
        count(schema.name, usage);
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use schemas::{Message as _, Record, Schema};
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Old {}

    impl Record for Old {
        const SCHEMA: &'static Schema = {
            static SCHEMA: Schema = Schema::foreign(
                "test.Old",
                r#"{"type":"record","name":"Old","namespace":"test","fields":[],
                    "deprecated":{"since":"2026-11-25","successor":"test.New"}}"#,
            );
            &SCHEMA
        };
    }

    /// The log lines.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_use_of_a_deprecated_schema_is_counted_and_the_first_is_logged() {
        let (log, uses) = (Log::default(), Arc::new(Mutex::new(Vec::new())));
        let (writer, counted) = (log.clone(), uses.clone());
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let codec = watched(
            Codec::of([(Old::SCHEMA, 1), (schemas::Outcome::SCHEMA, 2)]),
            move |name, usage| {
                counted.lock().expect("nobody panicked").push((name, usage));
            },
        );

        tracing::subscriber::with_default(subscriber, || {
            let mut bytes = Vec::new();
            Old {}.encode(&codec, &mut bytes).expect("written");
            Old::decode(&codec, &bytes).expect("read");
        });

        let uses = uses.lock().expect("nobody panicked").clone();
        assert_eq!(uses, [("test.Old", Use::Written), ("test.Old", Use::Read)]);
        let text = String::from_utf8(log.0.lock().expect("nobody panicked").clone()).expect("text");
        assert_eq!(text.matches("a deprecated schema is still in use").count(), 1, "{text}");
        assert!(text.contains("test.New"), "{text}");
    }
}
