//! The rules that a valid schema may break: constructs that readers ignore or that have no end, and
//! the house style.

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
    /// Its id for people and tools.
    pub(super) id: &'static str,
    /// What it demands, and why.
    pub(super) explanation: &'static str,
    find: fn(&mut Found<'_>),
}

/// All rules, in the order of `--explain`.
pub(super) const ALL: &[Rule] = &[
    Rule {
        id: "logical-type",
        explanation: "A logical type is defined by the specification, is on the right type, and has\n\
            valid parameters. Readers silently ignore any other: the value then has the\n\
            plain type.",
        find: readers::logical_types,
    },
    Rule {
        id: "misplaced-logical-type",
        explanation: "\"logicalType\" belongs into the object of the type, beside \"string\" or\n\
            \"long\", and not into the field. Readers ignore it in a field.",
        find: readers::misplaced_logical_types,
    },
    Rule {
        id: "union-default",
        explanation: "A union's default is a value of its first branch. Any branch will do since Avro\n\
            1.12, but older readers, apache-avro for Rust and registries refuse or misread\n\
            it.",
        find: readers::union_defaults,
    },
    Rule {
        id: "bytes-default",
        explanation: "A default of bytes has no character above U+007F. By the specification \
            U+00FF is\n\
            the byte FF, but apache-avro for Rust reads it as the two bytes of its UTF-8.",
        find: readers::bytes_defaults,
    },
    Rule {
        id: "endless-record",
        explanation: "A record that contains itself needs an end: an optional field, an array or a\n\
            map. Without one, the schema is valid, but no value of it is finite.",
        find: depth::endless_records,
    },
    Rule {
        id: "recursive-type",
        explanation: "No record contains itself, not even through an array: readers could not bound\n\
            the depth of its values.",
        find: depth::recursive_types,
    },
    Rule {
        id: "reference-cycle",
        explanation: "Files do not refer to each other in a circle: registered as references, neither\n\
            could be the first, and neither can be read without the other.",
        find: depth::reference_cycles,
    },
    Rule {
        id: "nesting",
        explanation: "A schema nests at most 127 levels deep, with all types that it uses in one text.\n\
            That is how schemas are released and registered, and readers of JSON stop at the\n\
            next level.",
        find: depth::nesting,
    },
    Rule {
        id: "doc",
        explanation: "Every record, enum, fixed and field says in its \"doc\" what it is.",
        find: house::docs,
    },
    Rule {
        id: "rename",
        explanation: "Nothing is renamed through an alias: Redpanda's registry and apache-avro for\n\
            Rust do not follow aliases of fields. A new name is a new field, and the old one\n\
            stays until no program reads it.",
        find: house::renames,
    },
    Rule {
        id: "pii",
        explanation: "Personal data is marked: \"pii\": true on the field. A field is personal if it\n\
            has a name such as email, phone or birth_date, or if a field of its name is\n\
            marked in another record of the same namespace. Where it is not, \"pii\": false\n\
            says so.",
        find: house::pii,
    },
    Rule {
        id: "enum-growth",
        explanation: "An enum has a \"default\" symbol from its first version on. Without one, it\n\
            never takes another symbol: readers that are not updated would fail on it.",
        find: house::enum_growth,
    },
    Rule {
        id: "naming",
        explanation: "Types are in PascalCase, fields in snake_case, symbols in SCREAMING_SNAKE_CASE:\n\
            generated code then needs no renaming in any language.",
        find: house::naming,
    },
    Rule {
        id: "rust-name",
        explanation: "Every name can be one in generated Rust: no type of the prelude, no module that\n\
            the crate has, no keyword that can't be written raw, and no two symbols that are\n\
            one variant, as LEVEL_1 and LEVEL1 are.",
        find: house::rust_names,
    },
    Rule {
        id: "file-name",
        explanation: "A file holds one named type, and is called after it: Line.avsc for shop.Line.",
        find: house::file_names,
    },
    Rule {
        id: UNUSED_ALLOW,
        explanation: "Every exception in schemas.toml is about something that is found. One that is\n\
            not needed any more hides the next finding.",
        find: |_| {},
    },
];

const UNUSED_ALLOW: &str = "unused-allow";

/// All findings of all rules in valid files.
pub(super) fn find(texts: &Texts) -> Vec<Finding> {
    let mut found = Found::new(texts);
    for rule in ALL {
        found.rule = rule.id;
        (rule.find)(&mut found);
    }
    found.findings
}

/// The finding of an exception without a finding.
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
