//! Which changes of a schema are compatible.

use schemas::{
    avro::{Rule, Schemas, parse_one},
    compatibility::{Direction, Kind, Level, Severity, breaks, check, problems},
};

/// A record of these fields.
fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"test","fields":[{fields}]}}"#)
}

/// A record with the one field `f` of this type.
fn field(kind: &str) -> String {
    record(&format!(r#"{{"name":"f","type":{kind}}}"#))
}

fn why(writer: &str, reader: &str) -> Vec<String> {
    problems(writer, reader)
        .expect("schemas")
        .iter()
        .map(|one| format!("{} {one}", one.kind.id()))
        .collect()
}

#[test]
fn compatible_schemas_have_no_problems() {
    for (writer, reader) in [
        (field(r#""int""#), field(r#""long""#)),
        (field(r#""int""#), field(r#""double""#)),
        (field(r#""string""#), field(r#""bytes""#)),
        (field(r#""string""#), field(r#"["null","string"]"#)),
        (field(r#""int""#), field(r#"["null","long"]"#)),
        (field(r#"["null","int"]"#), field(r#"["null","long"]"#)),
        (field("[]"), field(r#""int""#)),
        (field(r#""string""#), record("")),
        (record(""), record(r#"{"name":"f","type":"string","default":""}"#)),
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
fn all_problems_are_reported_with_their_paths() {
    let inner = |kind: &str| {
        record(&format!(
            r#"{{"name":"lines","type":{{"type":"array","items":{{"type":"record","name":"Line","fields":[
                {{"name":"sku","type":"string"}},{{"name":"quantity","type":{kind}}}]}}}}}},
            {{"name":"note","type":{{"type":"map","values":{kind}}}}},
            {{"name":"either","type":["boolean",{kind}]}},
            {{"name":"first","type":["null","Line"]}}"#
        ))
    };

    assert_eq!(
        why(&inner(r#""string""#), &inner(r#""int""#)),
        [
            "type-changed lines[].quantity: string can't be read as int",
            "type-changed note{}: string can't be read as int",
            "branch-unknown either|string: string may be written, and can't be read as any of boolean, int",
            "type-changed first.quantity: string can't be read as int",
        ]
    );
}

#[test]
fn reader_prefers_the_branch_of_the_same_full_name() {
    let r = |namespace: &str, kind: &str| {
        format!(
            r#"{{"type":"record","name":"{namespace}.R","fields":[{{"name":"f","type":"{kind}"}}]}}"#
        )
    };
    let union = format!("[{},{}]", r("a", "int"), r("b", "string"));

    assert_eq!(why(&r("b", "string"), &union), Vec::<String>::new());
    assert_eq!(
        why(&r("c", "string"), &union),
        [
            "namespace-changed record c.R is read as record a.R: the specification leaves namespaces out, Redpanda does not",
            "type-changed f: string can't be read as int",
        ]
    );
}

#[test]
fn break_behind_a_thousand_warnings_is_found() {
    let schema = |kind: &str, last: &str| {
        let list = |one: &dyn Fn(usize) -> String| (0..32).map(one).collect::<Vec<_>>().join(",");
        let fields = list(&|at| format!(r#"{{"name":"f{at}","type":"{kind}"}}"#));
        let wide = format!(r#"{{"type":"record","name":"Wide","fields":[{fields}]}}"#);
        let uses = list(&|at| {
            let kind = if at == 0 { wide.clone() } else { r#""Wide""#.to_owned() };
            format!(r#"{{"name":"u{at}","type":{kind}}}"#)
        });
        record(&format!(
            r#"{uses},{{"name":"last","type":{{"type":"record","name":"Last","fields":[{last}]}}}}"#
        ))
    };
    let found = problems(
        &schema("bytes", r#"{"name":"a","type":"int"}"#),
        &schema("string", r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#),
    );
    let found = found.expect("schemas");
    let breaks = found.iter().filter(|one| one.kind.severity() == Severity::Break);
    assert_eq!(breaks.map(|one| one.path.as_str()).collect::<Vec<_>>(), ["last.b"]);
    assert!((1000..2000).contains(&found.len()), "{}", found.len());
}

/// Each record has two fields of the next one, and the last one a warning: 16 million of them.
#[test]
fn warnings_that_multiply_are_bounded() {
    let nested = |kind: &str| {
        let leaf = format!(
            r#"{{"type":"record","name":"R24","fields":[{{"name":"f","type":"{kind}"}}]}}"#
        );
        (0..24).rev().fold(leaf, |inner, at| {
            let next = at + 1;
            format!(
                r#"{{"type":"record","name":"R{at}","fields":[
                    {{"name":"a","type":{inner}}},{{"name":"b","type":"R{next}"}}]}}"#
            )
        })
    };
    let found = problems(&nested("bytes"), &nested("string")).expect("schemas");
    assert!((1000..2000).contains(&found.len()), "{}", found.len());
}

#[test]
fn record_within_itself_is_compared_once() {
    let list = |kind: &str| {
        format!(
            r#"{{"type":"record","name":"L","fields":[{{"name":"v","type":"{kind}"}},{{"name":"next","type":["null","L"]}}]}}"#
        )
    };

    assert_eq!(why(&list("int"), &list("long")), Vec::<String>::new());
    assert_eq!(why(&list("long"), &list("int")), ["type-changed v: long can't be read as int"]);
}

#[test]
fn level_decides_which_versions_and_directions_are_checked() {
    let parse = |text: String| parse_one(&text).expect("a schema");
    let first = parse(record(""));
    let second = parse(record(r#"{"name":"a","type":"int","default":0}"#));
    let working =
        parse(record(r#"{"name":"a","type":"long","default":0},{"name":"b","type":"string"}"#));
    let root = |schemas: &'static Schemas| schemas.root(0).expect("a type");
    let [first, second, working] =
        [first, second, working].map(|one| root(Box::leak(Box::new(one))));
    let released = [("version 1", first), ("version 2", second)];
    let found = |level| {
        let found = check(level, &released, working);
        found
            .iter()
            .map(|one| format!("{:?} {} {}", one.direction, one.release, one.problem.path))
            .collect::<Vec<_>>()
    };

    assert_eq!(found(Level::None), Vec::<String>::new());
    assert_eq!(found(Level::Backward), ["Backward version 2 b"]);
    assert_eq!(found(Level::BackwardTransitive), ["Backward version 1 b", "Backward version 2 b"]);
    assert_eq!(found(Level::Forward), ["Forward version 2 a"]);
    assert_eq!(found(Level::ForwardTransitive), ["Forward version 2 a"]);
    assert_eq!(found(Level::Full), ["Backward version 2 b", "Forward version 2 a"]);
    assert_eq!(
        found(Level::FullTransitive),
        ["Backward version 1 b", "Backward version 2 b", "Forward version 2 a"]
    );
    let found = check(Level::Full, &released, working);
    assert_eq!(found[1].direction, Direction::Forward);
    assert_eq!(found[1].problem.kind.severity(), Severity::Break);
    assert_eq!((found[1].before(), found[1].after()), (Some("int"), Some("long")));
}

#[test]
fn breaks_include_changes_of_meaning_and_leave_warnings_out() {
    let time =
        |unit: &str| field(&format!(r#"{{"type":"long","logicalType":"timestamp-{unit}"}}"#));
    let kinds = |working: &str, old: &str| {
        let found = breaks(working, &[("version 1".to_owned(), old)]).expect("schemas");
        found.iter().map(|one| one.problem.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&time("micros"), &time("millis")), [Kind::LogicalTypeChanged; 2]);
    assert_eq!(kinds(&field(r#""bytes""#), &field(r#""string""#)), []);
}

#[test]
fn invalid_schemas_are_errors() {
    let rules = |writer: &str, reader: &str| {
        let invalid = problems(writer, reader).expect_err("no schema");
        invalid.iter().map(|one| one.rule).collect::<Vec<_>>()
    };

    assert_eq!(rules("{", "\"int\""), [Rule::Json]);
    assert_eq!(rules("\"int\"", r#"{"type":"record"}"#), [Rule::Attribute, Rule::Attribute]);
}
