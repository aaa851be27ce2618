//! Tables of aligned columns, separated by two spaces. The last column is as wide as its text.

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::escape;

/// A column of a list: its heading, and the text of an item.
pub(crate) type Column = (&'static str, fn(&Value) -> String);

/// The items of a list, or a sentence if there are none.
pub(crate) fn list(columns: &[Column], items: &[Value], empty: &str) -> Vec<String> {
    if items.is_empty() {
        return vec![empty.to_owned()];
    }
    let headings = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let row = |item| columns.iter().map(|(_, text)| text(item)).collect();
    aligned(std::iter::once(headings).chain(items.iter().map(row)).collect())
}

/// Rows with aligned columns, escaped.
pub(crate) fn aligned(rows: Vec<Vec<String>>) -> Vec<String> {
    let escaped = |row: Vec<String>| row.iter().map(|cell| escape::line(cell)).collect();
    let rows: Vec<Vec<String>> = rows.into_iter().map(escaped).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.width())).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + 2));
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::value::text;

    const COLUMNS: &[Column] = &[("KEY", |it| text(it, "key")), ("ERROR", |it| text(it, "error"))];

    #[test]
    fn columns_are_aligned_by_the_width_that_a_terminal_shows() {
        let items = [json!({ "key": "水車", "error": "a" }), json!({ "key": "longer" })];
        let lines = list(COLUMNS, &items, "none");
        assert_eq!(lines, ["KEY     ERROR", "水車    a", "longer  -"]);
        assert_eq!(list(COLUMNS, &[], "No key is parked."), ["No key is parked."]);
    }

    #[test]
    fn value_can_neither_begin_a_line_nor_a_column_of_its_own() {
        let lines = list(COLUMNS, &[json!({ "key": "a\nb\u{1b}[2J", "error": "\t" })], "");
        assert_eq!(lines, ["KEY            ERROR", r"a\nb\u{1b}[2J  \t"]);
    }
}
