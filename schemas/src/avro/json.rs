//! JSON text with the position of each part.
//!
//! serde_json decides whether a text is JSON; jsonc-parser finds the position of each part.

use std::fmt::Write as _;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, ObjectProp, ObjectPropName, Value},
    common::{Range, Ranged},
};

/// A text that is no JSON, with the position and the reason.
pub(super) struct NotJson {
    pub(super) at: Range,
    pub(super) why: String,
}

/// A text that is JSON.
pub(super) struct Read<'a> {
    /// Its value.
    pub(super) value: serde_json::Value,
    /// Its parts with their positions.
    pub(super) tree: Option<Value<'a>>,
}

/// Some editors write it at the start of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a text.
pub(super) fn read(text: &str) -> Result<Read<'_>, NotJson> {
    if text.starts_with(BYTE_ORDER_MARK) {
        let why = "it begins with a byte order mark (U+FEFF), which JSON has not: save it as UTF-8 without one";
        return Err(NotJson { at: Range::new(0, BYTE_ORDER_MARK.len_utf8()), why: why.to_owned() });
    }
    let value = serde_json::from_str(text).map_err(|error: serde_json::Error| {
        let at = offset(text, error.line(), error.column());
        let why = error.to_string();
        let mut why = why.split(" at line ").next().unwrap_or(&why).to_owned();
        let character = text[at..].chars().next();
        if let Some(character) = character.filter(|character| !character.is_ascii()) {
            // Many of these look like an ASCII space or quotation mark.
            let _ = write!(why, ", where U+{:04X} stands", u32::from(character));
        }
        NotJson { at: Range::new(at, at + character.map_or(0, char::len_utf8)), why }
    })?;
    match jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &OPTIONS) {
        Ok(parsed) => Ok(Read { value, tree: parsed.value }),
        Err(error) => Err(NotJson { at: error.range(), why: error.kind().to_string() }),
    }
}

const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The JSON path of the innermost value that holds a byte of a text, such as `$.fields[2].type`;
/// `$` if the text is no JSON.
pub fn json_path(text: &str, byte: usize) -> String {
    let mut path = "$".to_owned();
    let Ok(parsed) = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &OPTIONS) else {
        return path;
    };
    let mut value = parsed.value.as_ref();
    let holds = |range: Range| range.start <= byte && byte < range.end;
    while let Some(outer) = value {
        value = match outer {
            Value::Object(object) => {
                let inner = object.properties.iter().find(|property| holds(property.range));
                if let Some(property) = inner {
                    let _ = write!(path, ".{}", property.name.as_str());
                }
                inner.map(|property| &property.value)
            }
            Value::Array(array) => {
                let inner = array.elements.iter().position(|element| holds(element.range()));
                if let Some(index) = inner {
                    let _ = write!(path, "[{index}]");
                }
                inner.map(|index| &array.elements[index])
            }
            _ => None,
        };
    }
    path
}

/// The value of an attribute; `None` if it is no string.
pub(super) fn text<'a>(object: &'a Object<'_>, attribute: &str) -> Option<&'a str> {
    match &object.get(attribute)?.value {
        Value::StringLit(text) => Some(&text.value),
        _ => None,
    }
}

/// The position of an attribute's name.
pub(super) fn name_range(property: &ObjectProp<'_>) -> Range {
    match &property.name {
        ObjectPropName::String(name) => name.range,
        ObjectPropName::Word(name) => name.range,
    }
}

/// The kind of value, in words.
pub(super) fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "a string",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "a boolean",
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::NullKeyword(_) => "null",
    }
}

/// The position of a line and column in serde_json's errors. Both begin at 1; columns are bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    text.floor_char_boundary(start + column.saturating_sub(1))
}
