//! Text for terminals: escaping, tables, trees and the values of JSON documents. It is pure.

pub(crate) mod escape;
pub(crate) mod table;
pub(crate) mod tree;
pub(crate) mod value;

/// A line of a table with `|` between its columns, for tests.
#[cfg(test)]
pub(crate) fn columns(line: &str) -> String {
    // The branches of a tree begin with spaces too.
    let name = line.find(char::is_alphanumeric).unwrap_or_default();
    let columns = line[name..].split("  ").map(str::trim).filter(|column| !column.is_empty());
    format!("{}{}", &line[..name], columns.collect::<Vec<_>>().join("|"))
}
