//! Definitions of enums and fixed types.

use std::collections::HashSet;

use jsonc_parser::{
    ast::{Object, Value},
    common::Ranged,
};

use super::{
    super::{
        json,
        model::{Enum, Fixed, Kind, Name, Span},
        names,
        rule::Rule,
    },
    reader::Reader,
};

impl Reader {
    /// Reads the symbols of an enum and its default.
    pub(super) fn enumeration(
        &mut self,
        object: &Object<'_>,
        name: Name,
        name_span: Span,
        path: &str,
    ) -> (Kind, &'static [&'static str]) {
        let aliases = self.type_aliases(object, &name, path);
        let doc = self.doc(object, path);
        let (mut symbols, mut known) = (Vec::<(String, Span)>::new(), HashSet::<&str>::new());
        match object.get("symbols").map(|property| &property.value) {
            Some(Value::Array(array)) => {
                for element in &array.elements {
                    let Value::StringLit(symbol) = element else {
                        let message = format!("a symbol is a string, not {}", json::kind(element));
                        self.problem(Rule::Attribute, path, element.range(), message);
                        continue;
                    };
                    if !names::is_name(&symbol.value) {
                        let message = format!("{:?} is no name for a symbol", symbol.value);
                        self.problem(Rule::Name, path, symbol.range, message).help =
                            Some(names::HELP.to_owned());
                    }
                    if !known.insert(&symbol.value) {
                        let message = format!("symbol {} is there already", symbol.value);
                        self.problem(Rule::DuplicateSymbol, path, symbol.range, message);
                    }
                    symbols.push((symbol.value.to_string(), self.span(symbol.range)));
                }
            }
            Some(other) => {
                let message =
                    format!("\"symbols\" is a list of strings, not {}", json::kind(other));
                self.problem(Rule::Attribute, path, other.range(), message);
            }
            None => {
                self.problem(
                    Rule::Attribute,
                    path,
                    object.range,
                    format!("enum {name} has no \"symbols\""),
                );
            }
        }
        let mut default = None;
        if let Some(property) = object.get("default") {
            match &property.value {
                Value::StringLit(symbol) if symbols.iter().any(|(one, _)| *one == symbol.value) => {
                    default = Some(symbol.value.to_string());
                }
                other => {
                    let found = match other {
                        Value::StringLit(symbol) => format!("{:?}", symbol.value),
                        other => json::kind(other).to_owned(),
                    };
                    let all: Vec<_> = symbols.iter().map(|(symbol, _)| symbol.as_str()).collect();
                    let message =
                        format!("the default of {name} is {found}, which is none of its symbols");
                    self.problem(Rule::EnumDefault, path, other.range(), message).help =
                        Some(format!("its symbols are {}", all.join(", ")));
                }
            }
        }
        let one = Enum { name, name_span, aliases, doc, symbols, default };
        (Kind::Enum(one), &["type", "name", "namespace", "aliases", "doc", "symbols", "default"])
    }

    /// Reads the size of a fixed type.
    pub(super) fn fixed(
        &mut self,
        object: &Object<'_>,
        name: Name,
        name_span: Span,
        path: &str,
    ) -> (Kind, &'static [&'static str]) {
        let aliases = self.type_aliases(object, &name, path);
        let doc = self.doc(object, path);
        let size = match object.get("size").map(|property| &property.value) {
            Some(Value::NumberLit(number)) => match number.value.parse() {
                Ok(size) => size,
                Err(_) => {
                    let message =
                        format!("a size is a whole number of bytes, not {}", number.value);
                    self.problem(Rule::FixedSize, path, number.range, message);
                    0
                }
            },
            Some(other) => {
                let message =
                    format!("a size is a whole number of bytes, not {}", json::kind(other));
                self.problem(Rule::FixedSize, path, other.range(), message);
                0
            }
            None => {
                self.problem(
                    Rule::Attribute,
                    path,
                    object.range,
                    format!("fixed {name} has no \"size\""),
                );
                0
            }
        };
        let one = Fixed { name, name_span, aliases, doc, size };
        (Kind::Fixed(one), &["type", "name", "namespace", "aliases", "doc", "size"])
    }
}
