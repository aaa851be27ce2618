//! Bytes, ids and schemas that a codec refuses.

use schemas::{
    Codec, CodecError, Message as _, Never, Outcome, Record as _,
    engine::{Parked, Redrive, Timer},
};

use crate::{encode, outcome, parked};

#[test]
fn bytes_that_are_no_record_are_malformed() {
    let codec = Codec::local();
    let sound = encode(&codec, &outcome());
    for (bytes, why) in [
        (Vec::new(), "too few"),
        (sound[..4].to_vec(), "too few"),
        ([&[1], &sound[1..]].concat(), "begins with byte 1"),
        ([&sound[..], &[0]].concat(), "1 bytes too many"),
    ] {
        let error = Outcome::decode(&codec, &bytes).expect_err("not sound");
        assert!(
            matches!(&error, CodecError::Malformed { cause, .. } if cause.to_string().contains(why)),
            "{why}: {error}"
        );
    }
    for end in 5..sound.len() {
        let cut = Outcome::decode(&codec, &sound[..end]);
        assert!(matches!(cut, Err(CodecError::Malformed { .. })), "cut at {end}: {cut:?}");
    }
}

#[test]
fn enormous_lengths_are_malformed_and_not_allocated() {
    let codec = Codec::of([(Redrive::SCHEMA, 1), (Parked::SCHEMA, 2)]);
    // A string that announces i64::MAX bytes.
    let huge =
        [&[0, 0, 0, 0, 1][..], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]]
            .concat();
    // As many headers, and then i64::MIN.
    let many = encode(&codec, &Parked { headers: Vec::new(), value: None, ..parked() });
    let before = &many[..many.len() - 2];
    let count = [before, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]].concat();
    let negative =
        [before, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0]].concat();

    assert!(matches!(Redrive::decode(&codec, &huge), Err(CodecError::Malformed { .. })));
    for bytes in [count, negative] {
        assert!(matches!(Parked::decode(&codec, &bytes), Err(CodecError::Malformed { .. })));
    }
}

#[test]
fn record_of_another_type_is_unexpected() {
    let codec = Codec::local();
    let bytes = encode(&codec, &Timer { due_at: 1 });

    let error = Outcome::decode(&codec, &bytes).expect_err("a timer");
    let unexpected = CodecError::Unexpected {
        expected: vec!["millrace.Outcome"],
        found: "millrace.engine.Timer".to_owned(),
    };
    assert_eq!(error, unexpected);
    assert!(matches!(Never::decode(&codec, &bytes), Err(CodecError::Unexpected { .. })));
}

#[test]
fn id_is_unknown_until_the_codec_learns_it() {
    let (ours, theirs) = (Codec::of([(Timer::SCHEMA, 1)]), Codec::of([(Timer::SCHEMA, 2)]));
    let timer = Timer { due_at: 5 };
    let bytes = encode(&theirs, &timer);

    assert_eq!(Timer::decode(&ours, &bytes), Err(CodecError::UnknownId(2)));
    ours.learn(2, Timer::SCHEMA.json).expect("the same schema");
    ours.learn(2, Timer::SCHEMA.json).expect("a known id changes nothing");
    assert_eq!(Timer::decode(&ours, &bytes), Ok(timer));
}

#[test]
fn record_without_an_id_is_not_written() {
    let codec = Codec::of([]);
    let mut out = b"before".to_vec();

    let error = Timer { due_at: 5 }.encode(&codec, &mut out);

    assert_eq!(error, Err(CodecError::Unregistered("millrace.engine.Timer")));
    assert_eq!(out, b"before");
}

/// A record with one field of this type.
fn around(kind: &str) -> String {
    format!(r#"{{"type":"record","name":"T","fields":[{{"name":"f","type":{kind}}}]}}"#)
}

/// A union in which each record has a field of the one before it.
fn chain(levels: usize) -> String {
    let record = |level: usize| {
        let kind = if level == 0 { "int".to_owned() } else { format!("R{}", level - 1) };
        format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"f","type":"{kind}"}}]}}"#
        )
    };
    format!("[{}]", (0..levels).map(record).collect::<Vec<_>>().join(","))
}

/// A record of `2^levels` records without bytes, and one byte.
fn doubling(levels: usize) -> String {
    let empty = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    let double = |inner: String, level: usize| {
        let name = level - 1;
        format!(
            r#"{{"type":"record","name":"R{level}","fields":[
                {{"name":"a","type":{inner}}},{{"name":"b","type":"R{name}"}}]}}"#
        )
    };
    let inner = (1..=levels).fold(empty, double);
    format!(
        r#"{{"type":"record","name":"Item","fields":[
            {{"name":"a","type":{inner}}},{{"name":"b","type":"boolean"}}]}}"#
    )
}

#[test]
fn schemas_without_bounds_are_refused() {
    let codec = Codec::local();
    let array = |items: &str| around(&format!(r#"{{"type":"array","items":{items}}}"#));
    let fixed = |size: u64| around(&format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#));
    for (schema, why) in [
        (
            r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#
                .to_owned(),
            "contains itself",
        ),
        (array(r#""null""#), "take no bytes"),
        (array(&doubling(3)), "more than 8 parts a byte"),
        (array(&format!(r#"["null",{}]"#, doubling(14))), "more than 8 parts a byte"),
        (
            around(&format!(r#"{{"type":"map","values":{}}}"#, doubling(14))),
            "more than 8 parts a byte",
        ),
        (around(&doubling(16)), "more than 65536 parts"),
        (around(&chain(1_000)), "more than 64 deep"),
        (fixed((16 << 20) + 1), "has 16777217 bytes"),
        (fixed(1 << 62), "has 4611686018427387904 bytes"),
        (
            around(
                r#"{"type":"fixed","name":"F","size":4611686018427387904,
                    "logicalType":"decimal","precision":5}"#,
            ),
            "has 4611686018427387904 bytes",
        ),
        (r#""string""#.to_owned(), "not a record"),
        ("{".to_owned(), ""),
    ] {
        let error = codec.learn(1000, &schema).expect_err("no bounds").to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn schemas_within_the_bounds_are_learnt() {
    let codec = Codec::local();
    let array = |items: &str| around(&format!(r#"{{"type":"array","items":{items}}}"#));
    let schemas = [
        // Four parts without bytes, and one with a byte.
        array(&doubling(1)),
        array(r#"["null",{"type":"record","name":"M","fields":[{"name":"m","type":"long"}]}]"#),
        around(r#"{"type":"map","values":"null"}"#),
        around(&chain(60)),
        around(r#"{"type":"fixed","name":"F","size":16777216}"#),
    ];
    for (id, schema) in (1000..).zip(schemas) {
        assert_eq!(codec.learn(id, &schema), Ok(()), "{schema}");
    }
}
