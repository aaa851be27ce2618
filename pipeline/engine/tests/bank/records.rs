//! The records of the bank: commands, follow-ups, events and states.

use domain::decider::Addressed;
use schemas::{Record, Schema, messages};
use serde::{Deserialize, Serialize, Serializer};

macro_rules! record {
    ($record:ident { $($(#[$with:meta])? $field:ident: $kind:ty),* }, $fields:literal) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $record { $($(#[$with])? pub $field: $kind),* }

        impl Record for $record {
            const SCHEMA: &'static Schema = {
                static SCHEMA: Schema = Schema::foreign(
                    concat!("bank.", stringify!($record)),
                    concat!(
                        r#"{"type":"record","namespace":"bank","name":""#,
                        stringify!($record), r#"","fields":["#, $fields, "]}"
                    ),
                );
                &SCHEMA
            };
        }
    };
}

record!(Deposit { amount: i64 }, r#"{"name":"amount","type":"long"}"#);
record!(
    Transfer { to: String, amount: i64 },
    r#"{"name":"to","type":"string"},{"name":"amount","type":"long"}"#
);
record!(
    Give { to: String, amount: i64 },
    r#"{"name":"to","type":"string"},{"name":"amount","type":"long"}"#
);
record!(Memo { text: String }, r#"{"name":"text","type":"string"}"#);
record!(Panic { why: String }, r#"{"name":"why","type":"string"}"#);
record!(
    Credit { from: String, amount: i64 },
    r#"{"name":"from","type":"string"},{"name":"amount","type":"long"}"#
);
record!(Acknowledge { amount: i64 }, r#"{"name":"amount","type":"long"}"#);
record!(
    Gift { from: String, amount: i64 },
    r#"{"name":"from","type":"string"},{"name":"amount","type":"long"}"#
);
record!(Deposited { amount: i64 }, r#"{"name":"amount","type":"long"}"#);
record!(
    Sent { to: String, amount: i64 },
    r#"{"name":"to","type":"string"},{"name":"amount","type":"long"}"#
);
record!(
    Credited { from: String, amount: i64 },
    r#"{"name":"from","type":"string"},{"name":"amount","type":"long"}"#
);
record!(Arrived { amount: i64 }, r#"{"name":"amount","type":"long"}"#);
record!(Overdue { amount: i64 }, r#"{"name":"amount","type":"long"}"#);
record!(
    Given { to: String, amount: i64 },
    r#"{"name":"to","type":"string"},{"name":"amount","type":"long"}"#
);
record!(
    Received { from: String, amount: i64 },
    r#"{"name":"from","type":"string"},{"name":"amount","type":"long"}"#
);
record!(Noted { text: String }, r#"{"name":"text","type":"string"}"#);
record!(
    Balance {
        amount: i64,
        #[serde(serialize_with = "encodable")]
        memos: String
    },
    r#"{"name":"amount","type":"long"},{"name":"memos","type":"string"}"#
);
/// Memos that a state can't be encoded with contain this.
pub const NOT_ENCODABLE: &str = "not encodable";

fn encodable<S: Serializer>(memos: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match memos.contains(NOT_ENCODABLE) {
        true => Err(serde::ser::Error::custom("memos can't be encoded")),
        false => serializer.serialize_str(memos),
    }
}

record!(Note { amount: i64 }, r#"{"name":"amount","type":"long"}"#);

messages! {
    pub enum Command {
        Deposit(Deposit), Transfer(Transfer), Memo(Memo), Panic(Panic), Give(Give),
    }
}
messages! {
    pub enum FollowUp { Credit(Credit), Acknowledge(Acknowledge), Gift(Gift) }
}
messages! {
    pub enum Event {
        Deposited(Deposited), Sent(Sent), Credited(Credited), Arrived(Arrived), Overdue(Overdue),
        Noted(Noted), Given(Given), Received(Received),
    }
}

impl Addressed for FollowUp {
    const TOPIC: &'static str = "account.followups";
}
