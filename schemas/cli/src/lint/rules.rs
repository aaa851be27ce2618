//! The rules that valid schemas may still break: what readers would ignore or never end, and how this house writes schemas.

use std::collections::{BTreeMap, BTreeSet};

use schemas::avro::{Field, Kind, Record, Span, Type, TypeId, Use};
use serde_json::Value;

use crate::{
    names,
    report::{Finding, Place, Weight},
    texts::{Texts, uses},
};

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
        find: logical_types,
    },
    Rule {
        id: "misplaced-logical-type",
        explanation: "\"logicalType\" stands in the type, beside the word \"string\" or \"long\", not in the field around it.\n\
            There it is an attribute that no reader looks at.",
        find: misplaced_logical_types,
    },
    Rule {
        id: "union-default",
        explanation: "A union's default is a value of its first branch. Any branch will do since Avro 1.12, but older readers,\n\
            apache-avro for Rust and registries refuse or misread it.",
        find: union_defaults,
    },
    Rule {
        id: "endless-record",
        explanation: "A record does not hold itself without a way out: an optional field, an array or a map. Such a schema is valid,\n\
            but none of its values has an end.",
        find: endless_records,
    },
    Rule {
        id: "recursive-type",
        explanation: "No record holds itself, not even through an array: a reader could not bound how deep a value goes.",
        find: recursive_types,
    },
    Rule {
        id: "reference-cycle",
        explanation: "Files do not refer to each other in a circle: registered as references, neither could be the first, and\n\
            neither can be read without the other.",
        find: reference_cycles,
    },
    Rule {
        id: "nesting",
        explanation: "A schema nests at most 127 levels deep, with all types that it uses in one text. That is how schemas are\n\
            released and registered, and readers of JSON stop at the next level.",
        find: nesting,
    },
    Rule {
        id: "doc",
        explanation: "Every record, enum, fixed and field says in its \"doc\" what it is.",
        find: docs,
    },
    Rule {
        id: "rename",
        explanation: "Nothing is renamed through an alias: Redpanda's registry and apache-avro for Rust do not follow aliases of\n\
            fields. A new name is a new field, and the old one stays until nobody reads it.",
        find: renames,
    },
    Rule {
        id: "pii",
        explanation: "Personal data is marked: \"pii\": true on the field. A field is personal if it has a name such as email, phone\n\
            or birth_date, or if a field of its name is marked in another record of the same namespace. Where it is not,\n\
            \"pii\": false says so.",
        find: pii,
    },
    Rule {
        id: "enum-growth",
        explanation: "An enum has a \"default\" symbol from its first version on. Without one, it never takes another symbol: readers\n\
            that are not updated would fail on it.",
        find: enum_growth,
    },
    Rule {
        id: "naming",
        explanation: "Types are in PascalCase, fields in snake_case, symbols in SCREAMING_SNAKE_CASE: generated code then needs no\n\
            renaming in any language.",
        find: naming,
    },
    Rule {
        id: "rust-name",
        explanation: "Every name can be one in generated Rust: no type of the prelude, no module that the crate has, no keyword\n\
            that can't be written raw, and no two symbols that are one variant, as LEVEL_1 and LEVEL1 are.",
        find: rust_names,
    },
    Rule {
        id: "file-name",
        explanation: "A file holds one named type, and is called after it: Line.avsc for shop.Line.",
        find: file_names,
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
    let broken = texts.problems.iter().map(|problem| problem.span.source).collect();
    let mut found = Found { texts, broken, rule: "", findings: Vec::new() };
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

/// What the rules see and say.
struct Found<'a> {
    texts: &'a Texts,
    /// Files with problems of validity.
    broken: BTreeSet<u32>,
    rule: &'static str,
    findings: Vec<Finding>,
}

impl<'a> Found<'a> {
    fn say(
        &mut self,
        subject: &str,
        path: &str,
        at: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let help = help.into();
        self.findings.push(Finding {
            id: self.rule,
            weight: Weight::Error,
            subject: subject.to_owned(),
            path: path.to_owned(),
            message: message.into(),
            place: Some(Place::new(self.texts, at, "")),
            other: None,
            notes: if help.is_empty() { Vec::new() } else { vec![("help", help)] },
        });
    }

    /// All definitions of named types in valid files, with their full names.
    fn named(&self) -> Vec<(&'a str, &'a Type)> {
        let sound = |one: &&Type| one.span.is_some_and(|span| !self.broken.contains(&span.source));
        let types = self.texts.schemas.types().filter(sound);
        types.filter_map(|one| Some((one.kind.name()?.full(), one))).collect()
    }

    fn records(&self) -> Vec<(&'a str, &'a Record)> {
        let named = self.named().into_iter();
        named
            .filter_map(|(name, one)| match &one.kind {
                Kind::Record(record) => Some((name, record)),
                _ => None,
            })
            .collect()
    }

    fn fields(&self) -> Vec<(&'a str, &'a Field)> {
        let records = self.records().into_iter();
        records.flat_map(|(name, record)| record.fields.iter().map(move |field| (name, field))).collect()
    }

    /// Types without a name inside a use, with their paths.
    fn unnamed(&self, used: Use, path: &str, out: &mut Vec<(String, &'a Type)>) {
        let one = self.texts.schemas.get(used.id);
        if one.kind.name().is_some() {
            return;
        }
        out.push((path.to_owned(), one));
        let step = match &one.kind {
            Kind::Array(_) => "[]",
            Kind::Map(_) => "{}",
            _ => "",
        };
        for inner in uses(&one.kind) {
            self.unnamed(inner, &format!("{path}{step}"), out);
        }
    }
}

fn logical_types(found: &mut Found<'_>) {
    let mut all: Vec<(String, String, &Type)> =
        found.named().into_iter().map(|(name, one)| (name.to_owned(), String::new(), one)).collect();
    for (name, field) in found.fields() {
        let mut inside = Vec::new();
        found.unnamed(field.kind, &field.name, &mut inside);
        all.extend(inside.into_iter().map(|(path, one)| (name.to_owned(), path, one)));
    }
    for (source, file) in found.texts.files.iter().enumerate() {
        if let Some(root) = found.texts.schemas.root(source)
            && !found.broken.contains(&(source as u32))
        {
            let mut inside = Vec::new();
            found.unnamed(root.at, "", &mut inside);
            all.extend(inside.into_iter().map(|(path, one)| (file.path.clone(), path, one)));
        }
    }
    for (subject, path, one) in all {
        if let Some((at, why)) = &one.ignored_logical {
            found.say(&subject, &path, *at, format!("readers ignore this logical type: {why}"), "");
        }
    }
}

fn misplaced_logical_types(found: &mut Found<'_>) {
    for (name, field) in found.fields() {
        for (attribute, value, at) in &field.extra {
            if attribute == "logicalType" {
                let message = "this logical type stands in the field, where readers do not look";
                let kind = found.texts.schemas.get(field.kind.id).kind.word();
                let help = format!("write \"type\": {{\"type\": {kind:?}, \"logicalType\": {value}}}");
                found.say(name, &field.name, *at, message, help);
            }
        }
    }
}

fn union_defaults(found: &mut Found<'_>) {
    for (name, field) in found.fields() {
        let (Kind::Union(branches), Some(default)) =
            (&found.texts.schemas.get(field.kind.id).kind, &field.default)
        else {
            continue;
        };
        let Some(first) = branches.first() else { continue };
        if found.texts.schemas.fits(first.id, &default.json).is_err() {
            let first = found.texts.schemas.describe(first.id);
            let message =
                format!("the default {} is no value of the union's first branch, {first}", default.json);
            found.say(name, &field.name, default.span, message, "put the branch of the default first");
        }
    }
}

fn endless_records(found: &mut Found<'_>) {
    let endless = endless(found);
    for (name, record) in found.records() {
        if endless.contains(name) {
            let message = "every value of this record holds another one, without end";
            found.say(
                name,
                "",
                record.name_span,
                message,
                "make the field that holds it optional: [\"null\", ...]",
            );
        }
    }
}

/// The records that no finite value has.
fn endless<'a>(found: &Found<'a>) -> BTreeSet<&'a str> {
    let records = found.records();
    let mut endless: BTreeSet<&str> = records.iter().map(|(name, _)| *name).collect();
    loop {
        let ends =
            |record: &Record| record.fields.iter().all(|field| has_end(found, field.kind.id, &endless));
        let ended: Vec<&str> = records
            .iter()
            .filter(|(name, record)| endless.contains(name) && ends(record))
            .map(|(name, _)| *name)
            .collect();
        if ended.is_empty() {
            return endless;
        }
        ended.into_iter().for_each(|name| {
            endless.remove(name);
        });
    }
}

fn has_end(found: &Found<'_>, id: TypeId, endless: &BTreeSet<&str>) -> bool {
    match &found.texts.schemas.get(id).kind {
        Kind::Record(record) => !endless.contains(record.name.full()),
        Kind::Union(branches) => branches.iter().any(|branch| has_end(found, branch.id, endless)),
        _ => true,
    }
}

fn recursive_types(found: &mut Found<'_>) {
    let endless = endless(found);
    for (name, record) in found.records() {
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<TypeId> = record.fields.iter().map(|field| field.kind.id).collect();
        let mut is_recursive = false;
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            let kind = &found.texts.schemas.get(id).kind;
            is_recursive |= kind.name().is_some_and(|inner| inner.full() == name);
            waiting.extend(uses(kind).into_iter().map(|used| used.id));
        }
        if is_recursive && !endless.contains(name) {
            let message = "this record can hold itself, as deep as a writer likes";
            found.say(name, "", record.name_span, message, "refer to the other record by its id");
        }
    }
}

fn reference_cycles(found: &mut Found<'_>) {
    let mut references: BTreeMap<u32, BTreeMap<u32, Span>> = BTreeMap::new();
    for one in found.texts.schemas.types() {
        for used in uses(&one.kind) {
            if let Some(defined) = found.texts.schemas.get(used.id).span
                && defined.source != used.span.source
            {
                references.entry(used.span.source).or_default().entry(defined.source).or_insert(used.span);
            }
        }
    }
    for (&source, others) in &references {
        // The shortest way back to the file.
        let mut ways: Vec<Vec<u32>> = others.keys().map(|&other| vec![other]).collect();
        let mut seen = BTreeSet::new();
        let mut index = 0;
        while index < ways.len() {
            let way = ways[index].clone();
            let last = way[way.len() - 1];
            if last == source {
                let path = |source: &u32| found.texts.file(*source).path.clone();
                let told: Vec<String> = std::iter::once(&source).chain(&way).map(path).collect();
                let subject = found.texts.schemas.root(source as usize).and_then(|root| root.name());
                let subject = subject.map_or(path(&source), |name| name.full().to_owned());
                let message = format!("files refer to each other in a circle: {}", told.join(" -> "));
                found.say(
                    &subject,
                    "",
                    others[&way[0]],
                    message,
                    "move what both need into a file of its own",
                );
                break;
            }
            if seen.insert(last) {
                for &next in references.get(&last).into_iter().flat_map(BTreeMap::keys) {
                    ways.push([way.as_slice(), &[next]].concat());
                }
            }
            index += 1;
        }
    }
}

/// As deep as `serde_json` reads.
const NESTING_MAX: usize = 127;

fn nesting(found: &mut Found<'_>) {
    let mut known = BTreeMap::new();
    for (name, one) in found.named() {
        let id = found.texts.schemas.named(name);
        let Some((at, id)) = one.kind.name_span().zip(id) else { continue };
        let depth = depth(found, id, &mut known);
        if depth > NESTING_MAX {
            let message = format!("it nests {depth} levels deep, with all types that it uses in one text");
            found.say(name, "", at, message, "hold the inner records by their ids");
        }
    }
}

/// How deep a type nests where it stands with all types that it uses. One that holds itself is another rule's problem.
fn depth(found: &Found<'_>, id: TypeId, known: &mut BTreeMap<TypeId, usize>) -> usize {
    if let Some(depth) = known.get(&id) {
        return *depth;
    }
    known.insert(id, 0);
    let one = found.texts.schemas.get(id);
    let attributes = one.extra.iter().map(|(_, value)| depth_of_json(value)).max().unwrap_or(0);
    let depth = match &one.kind {
        Kind::Record(record) => {
            let of = |field: &Field| {
                let default = field.default.iter().map(|default| &default.json);
                let attributes = field.extra.iter().map(|(_, value, _)| value).chain(default);
                let attributes = attributes.map(depth_of_json).max().unwrap_or(0);
                depth(found, field.kind.id, known).max(attributes)
            };
            // The record, its list of fields, and a field.
            let fields = record.fields.iter().map(of).max().map_or(2, |depth| 3 + depth);
            fields.max(1 + attributes)
        }
        Kind::Enum(_) => 2.max(1 + attributes),
        kind => {
            let inner = uses(kind).iter().map(|used| depth(found, used.id, known)).max().unwrap_or(0);
            usize::from(one.span.is_some()) + inner.max(attributes)
        }
    };
    known.insert(id, depth);
    depth
}

fn depth_of_json(json: &Value) -> usize {
    match json {
        Value::Array(values) => 1 + values.iter().map(depth_of_json).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth_of_json).max().unwrap_or(0),
        _ => 0,
    }
}

fn docs(found: &mut Found<'_>) {
    let is_missing = |doc: Option<&str>| doc.is_none_or(|doc| doc.trim().is_empty());
    for (name, one) in found.named() {
        if let Some(at) = one.kind.name_span()
            && is_missing(one.kind.doc())
        {
            found.say(
                name,
                "",
                at,
                format!("this {} has no doc", one.kind.word()),
                "say in \"doc\" what it is",
            );
        }
    }
    for (name, field) in found.fields() {
        if is_missing(field.doc.as_deref()) {
            found.say(
                name,
                &field.name,
                field.name_span,
                "this field has no doc",
                "say in \"doc\" what it is",
            );
        }
    }
}

fn renames(found: &mut Found<'_>) {
    let help = "add what is new under the new name, and keep the old one while anyone reads it";
    for (name, one) in found.named() {
        for (alias, at) in one.kind.aliases() {
            found.say(name, "", *at, format!("a type is renamed here, by the alias {alias}"), help);
        }
    }
    for (name, field) in found.fields() {
        for (alias, at) in &field.aliases {
            found.say(name, &field.name, *at, format!("a field is renamed here, by the alias {alias}"), help);
        }
    }
}

/// Names of fields that hold personal data wherever they stand.
const PERSONAL: [&str; 17] = [
    "address",
    "birth_date",
    "birthday",
    "date_of_birth",
    "email",
    "email_address",
    "first_name",
    "full_name",
    "iban",
    "ip_address",
    "last_name",
    "mobile",
    "phone",
    "phone_number",
    "postal_address",
    "ssn",
    "street",
];

fn pii(found: &mut Found<'_>) {
    let mark = |field: &Field| {
        let mut marks = field.extra.iter().filter(|(attribute, ..)| attribute == "pii");
        marks.next().map(|(_, value, at)| (value.as_bool(), *at))
    };
    let namespace = |name: &str| name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
    let fields = found.fields();
    let marked: BTreeMap<(String, &str), &str> = fields
        .iter()
        .filter(|(_, field)| matches!(mark(field), Some((Some(true), _))))
        .map(|(name, field)| ((namespace(name), field.name.as_str()), *name))
        .collect();
    let help = "mark it with \"pii\": true, or say with \"pii\": false that it is not";
    for (name, field) in fields {
        match mark(field) {
            Some((Some(_), _)) => {}
            Some((None, at)) => {
                found.say(name, &field.name, at, "\"pii\" is true or false", "");
            }
            None if PERSONAL.contains(&field.name.as_str()) => {
                let message = format!("{} is personal data by its name, and is not marked", field.name);
                found.say(name, &field.name, field.name_span, message, help);
            }
            None => {
                if let Some(other) = marked.get(&(namespace(name), field.name.as_str())) {
                    let message =
                        format!("{} is marked as personal data in {other}, and not here", field.name);
                    found.say(name, &field.name, field.name_span, message, help);
                }
            }
        }
    }
}

fn enum_growth(found: &mut Found<'_>) {
    for (name, one) in found.named() {
        if let Kind::Enum(symbols) = &one.kind
            && symbols.default.is_none()
        {
            let message = "this enum has no default symbol, so that it can never take another one";
            let help =
                "name the symbol that readers take for those that they do not know: \"default\": \"...\"";
            found.say(name, "", symbols.name_span, message, help);
        }
    }
}

fn naming(found: &mut Found<'_>) {
    let small = |text: &str| text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
    let large = |text: &str| text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_');
    for (name, one) in found.named() {
        let simple = name.rsplit('.').next().unwrap_or(name);
        if let Some(at) = one.kind.name_span()
            && (!simple.starts_with(|c: char| c.is_ascii_uppercase()) || simple.contains('_'))
        {
            found.say(name, "", at, format!("{simple} is not in PascalCase"), "");
        }
        if let Kind::Enum(one) = &one.kind {
            for (symbol, at) in one.symbols.iter().filter(|(symbol, _)| !large(symbol)) {
                found.say(name, "", *at, format!("symbol {symbol} is not in SCREAMING_SNAKE_CASE"), "");
            }
        }
    }
    for (name, field) in found.fields() {
        if !small(&field.name) {
            let message = format!("field {} is not in snake_case", field.name);
            found.say(name, &field.name, field.name_span, message, "");
        }
    }
}

fn rust_names(found: &mut Found<'_>) {
    for (name, one) in found.named() {
        if let (Err(why), Some(at)) = (names::type_name(name), one.kind.name_span()) {
            found.say(name, "", at, why, "take another name");
        }
        let Kind::Enum(one) = &one.kind else { continue };
        let symbols: Vec<&str> = one.symbols.iter().map(|(symbol, _)| symbol.as_str()).collect();
        let same = names::same_variants(&symbols);
        for (symbol, at) in &one.symbols {
            if let Err(why) = names::variant(symbol) {
                found.say(name, "", *at, why, "take another symbol");
            } else if let Some((_, other)) = same.iter().find(|(one, _)| one == symbol) {
                let message = format!("symbols {other} and {symbol} would be one variant");
                found.say(name, "", *at, message, "take another symbol");
            }
        }
    }
    for (name, field) in found.fields() {
        if let Err(why) = names::field(&field.name) {
            found.say(name, &field.name, field.name_span, why, "take another name");
        }
    }
}

fn file_names(found: &mut Found<'_>) {
    for (source, file) in found.texts.files.iter().enumerate() {
        let Some(root) = found.texts.schemas.root(source) else { continue };
        if found.broken.contains(&(source as u32)) {
            continue;
        }
        let is = file.name();
        match (root.name(), root.kind().name_span()) {
            (Some(name), Some(at)) => {
                let wanted = format!("{}.avsc", name.simple());
                if is != wanted && is != format!("{name}.avsc") {
                    let message = format!("the file of {name} is called {is}");
                    found.say(name.full(), "", at, message, format!("call it {wanted}"));
                }
            }
            _ => {
                let message = "this file holds no named type";
                found.say(&file.path, "", root.at.span, message, "a file holds one record, enum or fixed");
            }
        }
    }
}
