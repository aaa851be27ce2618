//! The records of the benchmark: inputs, outputs and state. They are registered nowhere.

use schemas::{Codec, Record, Schema};
use serde::{Deserialize, Serialize};

macro_rules! record {
    ($record:ident { $($field:ident: $kind:ty),* }, $fields:literal) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $record { $(pub(crate) $field: $kind),* }

        impl Record for $record {
            const SCHEMA: &'static Schema = {
                static SCHEMA: Schema = Schema::foreign(
                    concat!("speed.", stringify!($record)),
                    concat!(
                        r#"{"type":"record","namespace":"speed","name":""#,
                        stringify!($record),
                        r#"","fields":["#,
                        $fields,
                        "]}"
                    ),
                );
                &SCHEMA
            };
        }
    };
}

record!(Add { body: String }, r#"{"name":"body","type":"string"}"#);
record!(
    Counted { count: i64, body: String },
    r#"{"name":"count","type":"long"},{"name":"body","type":"string"}"#
);
record!(
    Count { count: i64, body: String },
    r#"{"name":"count","type":"long"},{"name":"body","type":"string"}"#
);

pub(crate) fn codec() -> Codec {
    Codec::of([Add::SCHEMA, Counted::SCHEMA, Count::SCHEMA].into_iter().zip(1..))
}
