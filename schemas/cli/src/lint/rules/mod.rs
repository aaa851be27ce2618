//! The rules that valid schemas may still break: what readers would ignore or never end, and how
//! this house writes schemas.

mod depth;
mod found;
mod house;
mod readers;

use crate::{
    report::{Finding, Weight},
    texts::Texts,
};

use found::Found;

/// A rule.
pub(super) struct Rule {
    /// The name that people and tools know it by.
    pub(super) id: &'static str,
    /// What it asks for, and why.
    pub(super) explanation: &'static str,
    find: fn(&mut Found<'_>),
}

/// All rules, in the order in which they are listed.
pub(super) const ALL: &[Rule] = &[
    Rule {
        id: "logical-type",
        explanation: "A logical type is one of the specification, stands on the type that it is for, and has sound parameters.\n\
            Readers ignore any other, without a word: the value is then the plain type.",
        find: readers::logical_types,
    },
    Rule {
        id: "misplaced-logical-type",
        explanation: "\"logicalType\" stands in the type, beside the word \"string\" or \"long\", not in the field around it.\n\
            There it is an attribute that no reader looks at.",
        find: readers::misplaced_logical_types,
    },
    Rule {
        id: "union-default",
        explanation: "A union's default is a value of its first branch. Any branch will do since Avro 1.12, but older readers,\n\
            apache-avro for Rust and registries refuse or misread it.",
        find: readers::union_defaults,
    },
    Rule {
        id: "endless-record",
        explanation: "A record does not hold itself without a way out: an optional field, an array or a map. Such a schema is valid,\n\
            but none of its values has an end.",
        find: depth::endless_records,
    },
    Rule {
        id: "recursive-type",
        explanation: "No record holds itself, not even through an array: a reader could not bound how deep a value goes.",
        find: depth::recursive_types,
    },
    Rule {
        id: "reference-cycle",
        explanation: "Files do not refer to each other in a circle: registered as references, neither could be the first, and\n\
            neither can be read without the other.",
        find: depth::reference_cycles,
    },
    Rule {
        id: "nesting",
        explanation: "A schema nests at most 127 levels deep, with all types that it uses in one text. That is how schemas are\n\
            released and registered, and readers of JSON stop at the next level.",
        find: depth::nesting,
    },
    Rule {
        id: "doc",
        explanation: "Every record, enum, fixed and field says in its \"doc\" what it is.",
        find: house::docs,
    },
    Rule {
        id: "rename",
        explanation: "Nothing is renamed through an alias: Redpanda's registry and apache-avro for Rust do not follow aliases of\n\
            fields. A new name is a new field, and the old one stays until nobody reads it.",
        find: house::renames,
    },
    Rule {
        id: "pii",
        explanation: "Personal data is marked: \"pii\": true on the field. A field is personal if it has a name such as email, phone\n\
            or birth_date, or if a field of its name is marked in another record of the same namespace. Where it is not,\n\
            \"pii\": false says so.",
        find: house::pii,
    },
    Rule {
        id: "enum-growth",
        explanation: "An enum has a \"default\" symbol from its first version on. Without one, it never takes another symbol: readers\n\
            that are not updated would fail on it.",
        find: house::enum_growth,
    },
    Rule {
        id: "naming",
        explanation: "Types are in PascalCase, fields in snake_case, symbols in SCREAMING_SNAKE_CASE: generated code then needs no\n\
            renaming in any language.",
        find: house::naming,
    },
    Rule {
        id: "rust-name",
        explanation: "Every name can be one in generated Rust: no type of the prelude, no module that the crate has, no keyword\n\
            that can't be written raw, and no two symbols that are one variant, as LEVEL_1 and LEVEL1 are.",
        find: house::rust_names,
    },
    Rule {
        id: "file-name",
        explanation: "A file holds one named type, and is called after it: Line.avsc for shop.Line.",
        find: house::file_names,
    },
    Rule {
        id: UNUSED_ALLOW,
        explanation: "Every exception in schemas.toml is about something that is found. One that is not needed any more hides the\n\
            next finding.",
        find: |_| {},
    },
];

const UNUSED_ALLOW: &str = "unused-allow";

/// Every finding of every rule, but for files that are not valid.
pub(super) fn find(texts: &Texts) -> Vec<Finding> {
    let mut found = Found::new(texts);
    for rule in ALL {
        found.rule = rule.id;
        (rule.find)(&mut found);
    }
    found.findings
}

/// An exception that nothing is found for.
pub(super) fn unused_allow(rule: &str, at: &str) -> Finding {
    Finding {
        id: UNUSED_ALLOW,
        weight: Weight::Error,
        subject: "schemas.toml".to_owned(),
        path: String::new(),
        message: format!("nothing is found for rule {rule} at {at}"),
        place: None,
        other: None,
        notes: vec![("help", "take the exception out".to_owned())],
    }
}
