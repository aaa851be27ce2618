//! Values of one schema that has every type, from JSON to bytes and back.

use serde_json::{Value, json};

use super::Converter;

const EVERYTHING: &str = r#"{"type":"record","name":"R","namespace":"a","fields":[
    {"name":"optional","type":["null","string"],"default":null},
    {"name":"choice","type":["int","long","string","bytes",
        {"type":"record","name":"N","fields":[{"name":"x","type":"int"}]}]},
    {"name":"bytes","type":"bytes"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}},
    {"name":"ratio","type":"double"}, {"name":"small","type":"float"},
    {"name":"id","type":{"type":"string","logicalType":"uuid"}},
    {"name":"kind","type":{"type":"enum","name":"E","symbols":["A","B"]}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"list","type":{"type":"array","items":"N"}},
    {"name":"map","type":{"type":"map","values":"boolean"}},
    {"name":"hash","type":{"type":"fixed","name":"F","size":2}}]}"#;

fn everything() -> Value {
    json!({
        "optional": "text", "choice": {"x": 7}, "bytes": "\u{0}ÿ", "at": 1_700_000_000_000_i64,
        "price": "\u{1}\u{2}", "ratio": "NaN", "small": 0.1, "id": "01900000-0000-7000-8000-000000000001",
        "kind": "B", "day": 10, "list": [{"x": 1}, {"x": -2}], "map": {"k": true}, "hash": "ab",
    })
}

fn converter() -> Converter {
    Converter::new(EVERYTHING, &[]).expect("a schema")
}

fn misfits(json: &Value) -> Vec<String> {
    let misfits = converter().to_avro(json).expect_err("it does not fit");
    misfits.iter().map(ToString::to_string).collect()
}

#[test]
fn printed_json_becomes_the_same_bytes_again() {
    let converter = converter();
    let choices =
        [json!(5), json!({"long": 5}), json!("s"), json!({"bytes": "s"}), json!({"x": 7})];
    for choice in choices {
        let mut json = everything();
        json["choice"] = choice;

        let avro = converter.to_avro(&json).expect("it fits");

        assert_eq!(converter.to_json(&avro), Ok(json));
    }
}

#[test]
fn named_branches_are_written_like_bare_ones() {
    let mut named = everything();
    named["optional"] = json!({"string": "text"});
    named["choice"] = json!({"a.N": {"x": 7}});

    assert_eq!(converter().to_avro(&named), converter().to_avro(&everything()));
}

#[test]
fn missing_field_gets_its_default() {
    let mut json = everything();
    json.as_object_mut().expect("an object").shift_remove("optional");

    let avro = converter().to_avro(&json).expect("it fits");

    assert_eq!(converter().to_json(&avro).expect("sound")["optional"], Value::Null);
}

#[test]
fn every_misfit_is_reported_with_its_path() {
    let mut json = everything();
    json["list"][1]["x"] = json!(5_000_000_000_i64);
    json["map"]["k"] = json!("yes");
    json["id"] = json!("1");
    json["kind"] = json!("C");
    json["optional"] = json!(1);
    json["choice"] = json!([]);
    json["hash"] = json!("abc");
    json["colour"] = json!(1);
    json.as_object_mut().expect("an object").shift_remove("day");

    assert_eq!(
        misfits(&json),
        [
            "optional: a string is expected, not 1",
            "choice: one of int, long, string, bytes, a.N is expected, not an array",
            "id: a UUID such as \"0190163d-8694-739b-aea5-966c26f8ad91\" is expected, not \"1\"",
            "kind: one of A, B is expected, not \"C\"",
            "day: it is missing, and has no default",
            "list[1].x: a whole number of 32 bits is expected, not 5000000000",
            "map[\"k\"]: true or false is expected, not \"yes\"",
            "hash: a string of 2 characters U+0000 to U+00FF is expected, not \"abc\"",
            "colour: a.R has no such field, but optional, choice, bytes, at, price, ratio, small, id, kind, \
             day, list, map, hash",
        ]
    );
    assert_eq!(misfits(&json!(3)), ["an object (a.R) is expected, not 3"]);
}

#[test]
fn truncated_and_surplus_bytes_are_reported_with_path_and_position() {
    let (converter, mut avro) = (converter(), converter().to_avro(&everything()).expect("it fits"));
    avro.push(9);
    let error = converter.to_json(&avro).expect_err("too many").to_string();
    assert_eq!(
        error,
        format!("byte {}: the record ends here, and 1 bytes are left", avro.len() - 1)
    );

    for end in 0..avro.len() - 1 {
        let error = converter.to_json(&avro[..end]).expect_err("cut off");
        assert!(error.why.contains("too soon"), "{end}: {error}");
    }
    let error = converter.to_json(&avro[..4]).expect_err("cut off").to_string();
    assert_eq!(error, "optional: byte 2: the record ends too soon: a string of 4 bytes, 2 left");
}

#[test]
fn wrong_lengths_are_errors() {
    let of = |schema: &str, avro: &[u8]| {
        Converter::new(schema, &[]).expect("a schema").to_json(avro).expect_err("wrong").to_string()
    };
    let many = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(
        of(r#"{"type":"array","items":"null"}"#, &many),
        format!("byte 10: {} items, where 0 bytes are left", i64::MAX)
    );
    assert_eq!(of(r#""bytes""#, &[1]), "byte 1: bytes of -1 bytes");
    assert_eq!(of(r#""long""#, &[0xff; 11]), "byte 0: a number takes more than 64 bits");
    assert_eq!(of(r#""int""#, &many), format!("byte 10: {} is out of an int's range", i64::MAX));
    assert_eq!(of(r#"["null","int"]"#, &[4]), "byte 1: there is no branch 2, but 2");
    assert_eq!(of(r#""string""#, &[2, 0xff]), "byte 2: the string before is not UTF-8");
    let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    let error = of(list, &[2; 1000]);
    assert!(error.ends_with("it is nested more than 120 deep"), "{error}");
}

#[test]
fn types_of_references_are_used() {
    let inner =
        r#"{"type":"record","name":"In","namespace":"a","fields":[{"name":"x","type":"int"}]}"#;
    let outer =
        r#"{"type":"record","name":"Out","namespace":"a","fields":[{"name":"in","type":"a.In"}]}"#;

    let converter = Converter::new(outer, &[inner.to_owned()]).expect("both are known");

    assert_eq!(converter.name().as_deref(), Some("a.Out"));
    assert_eq!(converter.to_json(&[4]), Ok(json!({"in": {"x": 2}})));
    assert!(Converter::new(outer, &[]).is_err());
}
