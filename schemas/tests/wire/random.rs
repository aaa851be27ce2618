//! Random records and random bytes.

use proptest::prelude::*;
use schemas::{
    Codec, Message as _, Outcome, Record as _, Verdict,
    engine::{Handled, Header, Parked},
};
use uuid::Uuid;

use crate::encode;

prop_compose! {
    fn any_outcome()(
        id: u128, verdict in 0..3usize, texts in prop::array::uniform4(".*"), code in prop::option::of(".*"),
        detail in prop::option::of(".*"), fingerprint in prop::option::of(".*"), version: i64, decided_at: i64,
    ) -> Outcome {
        let [command_type, aggregate, aggregate_id, principal] = texts;
        let verdict = [Verdict::Accepted, Verdict::Refused, Verdict::Failed][verdict];
        Outcome {
            command_id: Uuid::from_u128(id), command_type, verdict, code, detail, aggregate, aggregate_id, version,
            principal, fingerprint, decided_at,
        }
    }
}

prop_compose! {
    fn any_parked()(
        topic in ".*", partition: i32, offset: i64, error in ".*", received_at: i64,
        headers in prop::collection::vec((".*", prop::collection::vec(any::<u8>(), 0..9)), 0..4),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..99)),
    ) -> Parked {
        let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        Parked { topic, partition, offset, error, received_at, headers, value }
    }
}

schemas::messages! {
    enum Any { Outcome(Outcome), Parked(Parked), Handled(Handled) }
}

proptest! {
    #[test]
    fn written_record_is_read_back(outcome in any_outcome(), parked in any_parked(), received_at: i64) {
        let codec = Codec::local();
        let handled = Handled { fingerprint: None, received_at, outcome: Some(outcome.clone()) };
        for message in [Any::from(outcome), Any::from(parked), Any::from(handled)] {
            let bytes = encode(&codec, &message);
            prop_assert_eq!(Any::decode(&codec, &bytes), Ok(message));
        }
    }

    #[test]
    fn garbage_never_panics_and_truncated_records_are_errors(
        which in 0..8usize, garbage in prop::collection::vec(any::<u8>(), 0..99), at: usize, byte: u8,
        outcome in any_outcome(), parked in any_parked(),
    ) {
        let codec = Codec::local();
        // Two ids whose records are resolved.
        codec.learn(1000, &Handled::SCHEMA.json.replace("\"received_at\"", "\"got_at\"")).expect("a schema");
        let longer = Parked::SCHEMA.json.replacen("\"int\"", "\"long\"", 1);
        codec.learn(1001, &longer).expect("a schema");
        let ids = [Outcome::SCHEMA, Parked::SCHEMA, Handled::SCHEMA].map(|schema| codec.id_of(schema).expect("known"));
        let id = *ids.get(which).unwrap_or(&[1000, 1001, 9999][which % 3]);
        let _ = Any::decode(&codec, &[&[0], &id.to_be_bytes()[..], &garbage].concat());
        for mut bytes in [encode(&codec, &outcome), encode(&codec, &parked)] {
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Any::decode(&codec, &bytes);
            bytes.truncate(at);
            prop_assert!(Any::decode(&codec, &bytes).is_err());
        }
    }
}
