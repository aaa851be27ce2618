//! The time that decoding and encoding take for any bytes and schemas from outside. No I/O.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use schemas::{
    Codec, CodecError,
    avro::{Rule, parse_one},
    compatibility::problems,
    json::Converter,
};
use serde_json::{Value, json};

/// Far more than any of these needs, and far less than an algorithm whose time doubles per level.
const TIME_MAX: Duration = Duration::from_secs(5);

fn timed<T>(run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = run();
    let took = started.elapsed();
    assert!(took < TIME_MAX, "it took {took:?}");
    result
}

fn converter(schema: &str) -> Converter {
    Converter::new(schema, &[]).expect("a schema")
}

const LIST: &str = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;

/// Two records that differ only in their last field, behind the rest of the list.
const EITHER: &str = r#"{"type":"record","name":"A","fields":[
    {"name":"next","type":["null","A",{"type":"record","name":"B","fields":[
        {"name":"next","type":["null","A","B"]},{"name":"v","type":"string"}]}]},
    {"name":"v","type":"int"}]}"#;

/// Records with the same fields, so that JSON must name the branch.
const ALIKE: &str = r#"{"type":"record","name":"A","fields":[{"name":"next","type":["null","A",
    {"type":"record","name":"B","fields":[{"name":"next","type":["null","A","B"]}]},
    {"type":"map","values":"B"},{"type":"array","items":"A"}]}]}"#;

/// Each of `count` records has two fields of the next one.
fn doubling(count: usize) -> String {
    (0..count).rev().fold(r#"{"type":"record","name":"E","fields":[]}"#.to_owned(), |inner, index| {
        let name = if index + 1 == count { "E".to_owned() } else { format!("R{}", index + 1) };
        format!(
            r#"{{"type":"record","name":"R{index}","fields":[{{"name":"a","type":{inner}}},{{"name":"b","type":"{name}"}}]}}"#
        )
    })
}

#[test]
fn linked_list_of_100_items_is_decoded_and_encoded_in_time() {
    let converter = converter(LIST);
    let bytes = [vec![2; 100], vec![0]].concat();
    let json = timed(|| converter.to_json(&bytes)).expect("sound");
    assert_eq!(timed(|| converter.to_avro(&json)), Ok(bytes));
}

#[test]
fn unions_of_records_that_differ_at_the_end_are_decoded_and_encoded_in_time() {
    for (schema, levels, leaf) in [(EITHER, 100, Some("x")), (ALIKE, 50, None)] {
        let converter = converter(schema);
        let mut json = Value::Null;
        for _ in 0..levels {
            json = match leaf {
                Some(leaf) => json!({"next": json, "v": leaf}),
                None => json!({"B": {"next": json}}),
            };
        }
        json = if leaf.is_some() { json!({"next": json, "v": 1}) } else { json!({"next": json}) };
        let bytes = timed(|| converter.to_avro(&json)).expect("it fits");
        assert_eq!(timed(|| converter.to_json(&bytes)), Ok(json));
    }
}

#[test]
fn value_that_fits_no_branch_is_refused_in_time() {
    let mut json = json!({"next": null, "v": []});
    for _ in 0..100 {
        json = json!({"next": json, "v": "x"});
    }
    assert!(timed(|| converter(EITHER).to_avro(&json)).is_err());
}

#[test]
fn values_without_bytes_are_bounded() {
    // 65,535 items in three bytes, again and again.
    let nulls = [0xfe, 0xff, 0x07].repeat(100_000);
    let error = timed(|| converter(r#"{"type":"array","items":"null"}"#).to_json(&nulls))
        .expect_err("many");
    assert!(error.why.ends_with("values take no bytes"), "{error}");

    let error = timed(|| converter(&doubling(40)).to_json(&[])).expect_err("a trillion values");
    assert!(error.why.ends_with("values take no bytes"), "{error}");
}

#[test]
fn json_that_nests_deeper_than_it_could_be_decoded_again_is_refused() {
    let json = (0..200).fold(Value::Null, |next, _| json!({ "next": next }));
    let misfits = timed(|| converter(LIST).to_avro(&json)).expect_err("too deep");
    assert!(misfits[0].why.contains("nested more than"), "{misfits:?}");
}

#[test]
fn codec_refuses_to_learn_a_schema_whose_values_multiply() {
    for schema in [
        doubling(40),
        format!(
            r#"{{"type":"record","name":"T","fields":[{{"name":"f","type":{{"type":"array","items":{}}}}}]}}"#,
            doubling(40)
        ),
    ] {
        let learnt = timed(|| Codec::local().learn(9999, &schema));
        assert!(matches!(learnt, Err(CodecError::Unresolvable { .. })), "{learnt:?}");
    }
}

/// Each default is filled from the defaults inside it, whose number doubles with each record.
#[test]
fn defaults_in_defaults_take_no_longer_than_the_text_is_long() {
    let schema = doubling(26).replace(r#","type":"#, r#","default":{},"type":"#);
    let learnt = timed(|| Codec::local().learn(9999, &schema));
    assert!(matches!(learnt, Err(CodecError::Unresolvable { .. })), "{learnt:?}");

    let invalid = timed(|| parse_one(&schema)).expect_err("60 million values");
    assert_eq!(invalid.iter().map(|one| one.rule).collect::<Vec<_>>(), [Rule::Default]);
    assert!(invalid[0].message.contains("more than 1048576 values"), "{}", invalid[0]);
}

/// A text of a megabyte or more, from a registry.
#[test]
fn long_lists_are_parsed_and_compared_in_time() {
    let list = |one: &dyn Fn(usize) -> String| (0..60_000).map(one).collect::<Vec<_>>().join(",");
    let enumeration = |prefix: &str| {
        let symbols = list(&|at| format!(r#""{prefix}{at}""#));
        format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#)
    };
    let keys = list(&|at| format!(r#""k{at}":0"#));
    let fields = list(&|at| format!(r#"{{"name":"f{at}","aliases":["a{at}"],"type":"int"}}"#));
    for text in [
        enumeration("A"),
        format!(r#"{{"type":"fixed","name":"F","size":1,{keys}}}"#),
        format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#),
    ] {
        assert!(timed(|| parse_one(&text)).is_ok());
    }

    let (one, other) = (enumeration("A"), enumeration("B"));
    assert_eq!(timed(|| problems(&one, &one)).expect("schemas"), []);
    let found = timed(|| problems(&one, &other)).expect("schemas");
    assert_eq!(found.len(), 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Bytes that mostly are small numbers: lengths, counts and branches.
    #[test]
    fn any_bytes_are_decoded_in_time_and_what_they_say_is_encoded_again(
        which in 0..4_usize,
        bytes in prop::collection::vec(prop_oneof![4 => 0..12_u8, 1 => any::<u8>()], 0..600),
    ) {
        let schema = [LIST, EITHER, ALIKE, r#"{"type":"array","items":["null","int",{"type":"map","values":["int","long","string"]}]}"#][which];
        let converter = converter(schema);
        let started = Instant::now();
        if let Ok(json) = converter.to_json(&bytes) {
            let again = converter.to_avro(&json).expect("what was decoded can be encoded");
            prop_assert_eq!(converter.to_json(&again), Ok(json));
        }
        prop_assert!(started.elapsed() < TIME_MAX, "it took {:?}", started.elapsed());
    }
}
