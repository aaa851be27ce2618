//! What may change in a schema, and what may not.

use schemas::compatibility::{Break, breaks, problems};

/// A record of these fields.
fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"test","fields":[{fields}]}}"#)
}

/// A record with the one field `f` of this type.
fn field(kind: &str) -> String {
    record(&format!(r#"{{"name":"f","type":{kind}}}"#))
}

fn why(writer: &str, reader: &str) -> Vec<String> {
    problems(writer, reader).expect("schemas").iter().map(ToString::to_string).collect()
}

#[test]
fn these_can_be_read() {
    for (writer, reader) in [
        (field(r#""int""#), field(r#""long""#)),
        (field(r#""int""#), field(r#""double""#)),
        (field(r#""string""#), field(r#""bytes""#)),
        (field(r#""string""#), field(r#"["null","string"]"#)),
        (field(r#""int""#), field(r#"["null","long"]"#)),
        (field(r#"["null","int"]"#), field(r#"["null","long"]"#)),
        (field(r#""string""#), record("")),
        (record(""), record(r#"{"name":"f","type":"string","default":""}"#)),
        (field(r#""string""#), record(r#"{"name":"g","aliases":["f"],"type":"string"}"#)),
        (
            field(r#"{"type":"enum","name":"E","symbols":["A","B"]}"#),
            field(r#"{"type":"enum","name":"E","symbols":["C","A"],"default":"C"}"#),
        ),
        (
            field(r#"{"type":"enum","name":"E","symbols":["A"]}"#),
            field(r#"{"type":"enum","name":"E","symbols":["B","A"]}"#),
        ),
        (field(r#"{"type":"array","items":"int"}"#), field(r#"{"type":"array","items":"long"}"#)),
        (field(r#"["null","test.R"]"#), field(r#"["null","test.R"]"#)),
    ] {
        assert_eq!(why(&writer, &reader), Vec::<String>::new(), "{writer} as {reader}");
    }
}

#[test]
fn these_can_not() {
    for (writer, reader, expected) in [
        (field(r#""long""#), field(r#""int""#), "f: long can't be read as int"),
        (field(r#""bytes""#), field(r#""string""#), "f: bytes can't be read as string"),
        (field(r#"["null","string"]"#), field(r#""string""#), "f: null can't be read as string"),
        (field(r#""boolean""#), field(r#"["null","string"]"#), "f: boolean is none of null, string"),
        (
            field(r#"["null","int","boolean"]"#),
            field(r#"["null","int","string"]"#),
            "f|boolean: boolean is none of null, int, string",
        ),
        (record(""), field(r#""string""#), "f: it is not written, and has no default to be read as"),
        (
            field(r#"{"type":"enum","name":"E","symbols":["A","B"]}"#),
            field(r#"{"type":"enum","name":"E","symbols":["A"]}"#),
            "f: symbol B is not known, and there is no default to read it as",
        ),
        (
            field(r#"{"type":"string","logicalType":"uuid"}"#),
            field(r#""string""#),
            "f: uuid (string) can't be read as string",
        ),
        (
            field(r#"{"type":"long","logicalType":"timestamp-millis"}"#),
            field(r#"{"type":"long","logicalType":"timestamp-micros"}"#),
            "f: timestampmillis can't be read as timestampmicros",
        ),
        (
            field(r#"{"type":"array","items":["null","long"]}"#),
            field(r#"{"type":"array","items":["null","int"]}"#),
            "f[]: long is none of null, int",
        ),
        (
            field(r#"{"type":"map","values":"int"}"#),
            field(r#"{"type":"map","values":"null"}"#),
            "f{}: int can't",
        ),
        (field(r#""int""#), field(r#""int""#).replace("\"R\"", "\"S\""), "test.R can't be read as test.S"),
    ] {
        let why = why(&writer, &reader);
        assert!(why.iter().any(|why| why.starts_with(expected)), "{expected}: {why:?}");
    }
}

#[test]
fn all_problems_are_told_with_their_paths() {
    let inner = |kind: &str| {
        record(&format!(
            r#"{{"name":"lines","type":{{"type":"array","items":{{"type":"record","name":"Line","fields":[
                {{"name":"sku","type":"string"}},{{"name":"quantity","type":{kind}}}]}}}}}},
            {{"name":"note","type":{kind}}},
            {{"name":"first","type":["null","Line"]}}"#
        ))
    };

    assert_eq!(
        why(&inner(r#""string""#), &inner(r#""int""#)),
        [
            "lines[].quantity: string can't be read as int",
            "note: string can't be read as int",
            "first.quantity: string can't be read as int",
        ]
    );
}

#[test]
fn a_new_version_stands_beside_every_old_one_in_both_directions() {
    let first = record("");
    let second = record(r#"{"name":"a","type":"int","default":0}"#);
    let working = record(r#"{"name":"a","type":"long","default":0},{"name":"b","type":"string"}"#);

    let found = breaks(&working, [(1, first.as_str()), (2, second.as_str())]).expect("schemas");

    let told: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "what version 1 wrote can't be read any more: b: it is not written, and has no default to be read as",
            "what version 2 wrote can't be read any more: b: it is not written, and has no default to be read as",
            "programs that know version 2 can't read what is written now: a: long can't be read as int",
        ]
    );
    assert!(matches!(found[2], Break::Forward { version: 2, .. }));
}

#[test]
fn what_is_no_schema_is_said_so() {
    assert!(problems("{", "\"int\"").is_err());
    assert!(problems("\"int\"", r#"{"type":"record"}"#).is_err());
}
