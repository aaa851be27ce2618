//! Rules about types that contain themselves, files that refer to each other, and the depth of
//! schemas.

use std::collections::{BTreeMap, BTreeSet};

use schemas::avro::{Field, Kind, Record, Span, TypeId};
use serde_json::Value;

use super::found::Found;
use crate::texts::uses;

pub(super) fn endless_records(found: &mut Found<'_>) {
    let endless = endless(found);
    for (name, record) in found.records() {
        if endless.contains(name) {
            let message = "every value of this record contains another one, without end";
            found.say(
                name,
                "",
                record.name_span,
                message,
                "make the field that contains it optional: [\"null\", ...]",
            );
        }
    }
}

/// The records without a finite value.
fn endless<'a>(found: &Found<'a>) -> BTreeSet<&'a str> {
    let records = found.records();
    let mut endless: BTreeSet<&str> = records.iter().map(|(name, _)| *name).collect();
    loop {
        let ends = |record: &Record| {
            record.fields.iter().all(|field| has_end(found, field.kind.id, &endless))
        };
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

pub(super) fn recursive_types(found: &mut Found<'_>) {
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
            let message = "this record can contain itself to any depth";
            found.say(name, "", record.name_span, message, "refer to the other record by its id");
        }
    }
}

pub(super) fn reference_cycles(found: &mut Found<'_>) {
    let mut references: BTreeMap<u32, BTreeMap<u32, Span>> = BTreeMap::new();
    for one in found.texts.schemas.types() {
        for used in uses(&one.kind) {
            if let Some(defined) = found.texts.schemas.get(used.id).span
                && defined.source != used.span.source
            {
                references
                    .entry(used.span.source)
                    .or_default()
                    .entry(defined.source)
                    .or_insert(used.span);
            }
        }
    }
    for (&source, others) in &references {
        // A search for the shortest path back to the file.
        let mut paths: Vec<Vec<u32>> = others.keys().map(|&other| vec![other]).collect();
        let mut seen = BTreeSet::new();
        let mut index = 0;
        while index < paths.len() {
            let path = paths[index].clone();
            let last = path[path.len() - 1];
            if last == source {
                let name = |source: &u32| found.texts.file(*source).path.clone();
                let files: Vec<String> = std::iter::once(&source).chain(&path).map(name).collect();
                let subject =
                    found.texts.schemas.root(source as usize).and_then(|root| root.name());
                let subject = subject.map_or(name(&source), |name| name.full().to_owned());
                let message =
                    format!("files refer to each other in a circle: {}", files.join(" -> "));
                found.say(
                    &subject,
                    "",
                    others[&path[0]],
                    message,
                    "move the common types to a file of their own",
                );
                break;
            }
            if seen.insert(last) {
                for &next in references.get(&last).into_iter().flat_map(BTreeMap::keys) {
                    paths.push([path.as_slice(), &[next]].concat());
                }
            }
            index += 1;
        }
    }
}

/// The depth that `serde_json` reads.
const NESTING_MAX: usize = 127;

pub(super) fn nesting(found: &mut Found<'_>) {
    let mut known = BTreeMap::new();
    for (name, one) in found.named() {
        let id = found.texts.schemas.named(name);
        let Some((at, id)) = one.kind.name_span().zip(id) else { continue };
        let depth = depth(found, id, &mut known);
        if depth > NESTING_MAX {
            let message =
                format!("it nests {depth} levels deep, with all types that it uses in one text");
            found.say(name, "", at, message, "refer to the inner records by their ids");
        }
    }
}

/// The depth of a type in one text with all types that it uses. A type that contains itself is the
/// problem of another rule.
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
            let inner =
                uses(kind).iter().map(|used| depth(found, used.id, known)).max().unwrap_or(0);
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
