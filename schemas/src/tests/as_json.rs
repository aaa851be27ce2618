//! The same values as JSON.

use proptest::prelude::*;

use super::{Numbers, RoundTrip, released};
use crate::{Codec, generated::ROUND_TRIPS, json::Converter};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_as_json_becomes_the_same_bytes_again(seed in 1..u64::MAX) {
        let mut numbers = Numbers(seed);
        for RoundTrip { schema, .. } in &ROUND_TRIPS {
            let bytes = numbers.record(schema.json, 1);
            let converter = Converter::new(schema.json, &[]).expect("a schema");

            let json = converter.to_json(&bytes[5..]).expect("sound");

            prop_assert_eq!(converter.to_avro(&json), Ok(bytes[5..].to_vec()), "{}: {}", schema.name, json);
        }
    }

    #[test]
    fn every_released_version_is_readable_as_json(seed in 1..u64::MAX) {
        let codec = Codec::local();
        let mut numbers = Numbers(seed);
        for (id, (_, path, json)) in (1000..).zip(released()) {
            codec.learn(id, &json).expect("a schema");
            let bytes = numbers.record(&json, id);

            let json = codec.open(&bytes).and_then(|datum| datum.json());

            prop_assert!(json.is_ok(), "{path}: {json:?}");
        }
    }
}
