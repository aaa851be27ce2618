//! Which names of schemas can be names in generated Rust, and how they are written there.
//!
//! The generator and `lint` call the same functions, so that schemas which pass `lint` compile. It
//! reads no files.

/// Why a name can't be one in generated Rust.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NameError(String);

/// Rust's keywords of all editions, and its reserved words.
const KEYWORDS: [&str; 53] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "Self", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "_",
];
/// Keywords that can't be raw identifiers (`r#...`).
const NEVER: [&str; 5] = ["crate", "self", "Self", "super", "_"];
/// Types and traits that generated code and its expanded macros use by their short names: those of
/// Rust's prelude, the imported ones, and the enums of a context's records.
const TYPES: [&str; 52] = [
    "AsMut",
    "AsRef",
    "AsyncFn",
    "AsyncFnMut",
    "AsyncFnOnce",
    "Box",
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Future",
    "Hash",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Self",
    "Send",
    "Serialize",
    "Sized",
    "Some",
    "String",
    "Sync",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Unpin",
    "Uuid",
    "Vec",
    "Command",
    "Event",
    "FollowUp",
];
/// The same, except in the module `state`, which defines no such enums.
const STAGES: [&str; 2] = ["State", "Child"];
/// Types at the root of the crate `schemas`, where the types of the root namespace stand too.
const ROOT_TYPES: [&str; 11] = [
    "Cause",
    "Codec",
    "CodecError",
    "Datum",
    "Deprecated",
    "Message",
    "Never",
    "Record",
    "Schema",
    "Shown",
    "Use",
];
/// Modules at that root, and crates and modules that generated code names.
const ROOT_MODULES: [&str; 27] = [
    "all",
    "alloc",
    "apache_avro",
    "avro",
    "bounds",
    "canonical",
    "chain",
    "codec",
    "common",
    "compatibility",
    "core",
    "edited",
    "error",
    "generated",
    "headers",
    "json",
    "message",
    "nested",
    "personal",
    "refusals",
    "schema",
    "serde",
    "shown",
    "state",
    "std",
    "table",
    "tests",
];
/// Rust's primitive types. A module of the same name would hide them.
const PRIMITIVES: [&str; 17] = [
    "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16",
    "u32", "u64", "u8", "usize",
];
/// The namespace whose inner namespaces become modules.
pub(crate) const ROOT: &str = "millrace";

/// The Rust name of a field.
pub(crate) fn field(name: &str) -> Result<String, NameError> {
    if NEVER.contains(&name) {
        return Err(NameError(format!("{name} is a keyword of Rust that can't be a field")));
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(NameError(format!(
            "field {name} does not begin with a small letter, as Rust's fields do"
        )));
    }
    if name.contains("__") {
        return Err(NameError(format!(
            "field {name} has two underscores in a row, which Rust warns of"
        )));
    }
    Ok(if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() })
}

/// The variant of a symbol: `OutOfStock` for `OUT_OF_STOCK`.
pub(crate) fn variant(symbol: &str) -> Result<String, NameError> {
    let mut out = String::new();
    for word in symbol.split('_') {
        let mut letters = word.chars();
        out.extend(letters.next());
        out.push_str(&letters.as_str().to_lowercase());
    }
    let is_name = out.starts_with(|first: char| first.is_ascii_alphabetic()) && out != "Self";
    if is_name {
        Ok(out)
    } else {
        Err(NameError(format!(
            "symbol {symbol} would be the variant {out:?}, which Rust does not take"
        )))
    }
}

/// Each symbol with the same variant as an earlier one, and the earlier one.
pub(crate) fn same_variants<'a>(symbols: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let same = |index: usize| {
        let before =
            symbols[..index].iter().find(|other| variant(other) == variant(symbols[index]));
        before.filter(|_| variant(symbols[index]).is_ok()).map(|other| (symbols[index], *other))
    };
    (0..symbols.len()).filter_map(same).collect()
}

/// Checks the full name of a record or enum.
pub(crate) fn type_name(full: &str) -> Result<(), NameError> {
    let (namespace, name) = full.rsplit_once('.').unwrap_or(("", full));
    let is_stage = namespace.rsplit('.').next() == Some("state");
    if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
        return Err(NameError(format!(
            "{name} does not begin with a capital letter, as Rust's types do"
        )));
    }
    if TYPES.contains(&name) || !is_stage && STAGES.contains(&name) {
        return Err(NameError(format!("{name} is a type that generated Rust uses itself")));
    }
    if namespace == ROOT && ROOT_TYPES.contains(&name) {
        return Err(NameError(format!(
            "{name} is a type of the crate schemas, beside which {full} would stand"
        )));
    }
    if KEYWORDS.contains(&name) {
        return Err(NameError(format!("{name} is a keyword of Rust")));
    }
    for part in namespace.split('.') {
        if KEYWORDS.contains(&part) {
            return Err(NameError(format!(
                "{part}, in the namespace {namespace}, is a keyword of Rust"
            )));
        }
    }
    let mut parts = namespace.split('.');
    if parts.next() == Some(ROOT)
        && let Some(context) = parts.next()
    {
        if ROOT_MODULES.contains(&context) || PRIMITIVES.contains(&context) {
            return Err(NameError(format!(
                "{context}, in the namespace {namespace}, is a module or type that Rust has already"
            )));
        }
        if !context.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_') {
            return Err(NameError(format!(
                "{context}, in the namespace {namespace}, is not in snake_case"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_become_variants_or_are_refused() {
        assert_eq!(variant("OUT_OF_STOCK"), Ok("OutOfStock".to_owned()));
        assert_eq!(variant("USER"), Ok("User".to_owned()));
        for symbol in ["SELF", "_", "__", "_1", "1"] {
            assert!(variant(symbol).is_err(), "{symbol}");
        }
        let symbols = ["LEVEL_1", "B", "LEVEL1", "_B"];
        assert_eq!(same_variants(&symbols), [("LEVEL1", "LEVEL_1"), ("_B", "B")]);
    }

    #[test]
    fn fields_that_are_keywords_are_written_raw_or_refused() {
        assert_eq!(field("try"), Ok("r#try".to_owned()));
        assert_eq!(field("tries"), Ok("tries".to_owned()));
        for name in ["self", "super", "crate", "_", "_a", "A", "a__b"] {
            assert!(field(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_rust_or_generated_code_uses_are_refused() {
        for full in [
            "millrace.order.Option",
            "millrace.order.Event",
            "millrace.order.State",
            "millrace.Record",
            "shop.type.A",
            "millrace.mod.A",
            "millrace.json.A",
            "millrace.state.A",
            "millrace.Order.A",
            "millrace.str.A",
            "millrace.order.bool",
            "millrace.order._",
            "Self",
        ] {
            assert!(type_name(full).is_err(), "{full}");
        }
        for full in ["millrace.order.Record", "millrace.order.state.State", "shop.Thing", "Thing"] {
            assert_eq!(type_name(full), Ok(()), "{full}");
        }
    }

    #[test]
    fn lists_have_every_module_and_type_at_the_root_of_the_crate() {
        let root = include_str!("../../src/lib.rs");
        for line in root.lines() {
            let module = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ");
            if let Some(module) = module.and_then(|module| module.strip_suffix(';')) {
                assert!(ROOT_MODULES.contains(&module), "module {module}");
            }
            if let Some((_, names)) =
                line.strip_prefix("pub use ").and_then(|used| used.split_once("::"))
            {
                for name in names
                    .trim_matches(['{', '}', ';', '*'])
                    .split(", ")
                    .filter(|name| !name.is_empty())
                {
                    let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
                    assert!(!is_type || ROOT_TYPES.contains(&name), "type {name}");
                }
            }
        }
    }
}
