//! Escapes what a terminal would interpret or hide. A value of a record could otherwise move the
//! cursor, change the title, or make one text look like another.

use std::fmt::Write as _;

use serde_json::Value;

/// Whether a terminal may interpret the character, or show text in another order or not at all:
/// control characters (C0, DEL, C1), and those of Unicode for the direction and format of text.
fn is_interpreted(one: char) -> bool {
    one.is_control()
        || matches!(one,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line, with `\n`, `\u{1b}` and the like for what a terminal interprets.
pub(crate) fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for one in text.chars() {
        match is_interpreted(one) {
            true => line.extend(one.escape_default()),
            false => line.push(one),
        }
    }
    line
}

/// The document in lines, indented. What a terminal interprets is escaped as JSON does it, so a
/// program reads the same values.
pub(crate) fn json(value: &Value) -> Vec<String> {
    // `Display` of a value never fails.
    format!("{value:#}").lines().map(json_line).collect()
}

/// JSON has escaped C0 in strings already, and outside of strings there is only ASCII.
fn json_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for one in text.chars() {
        if is_interpreted(one) {
            for unit in one.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(one);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A title, a colour, the one-character form of CSI, a line end, DEL, the reversed direction, a
    /// tag, and an invisible space.
    const HOSTILE: &str =
        "\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\r\n\u{7f}\u{202e}\u{e0041}\u{200b}end";

    #[test]
    fn nothing_that_a_terminal_interprets_is_left() {
        let shown = line(HOSTILE);
        assert_eq!(
            shown,
            r"\u{1b}]0;title\u{7}\u{1b}[31m\u{9b}2J\r\n\u{7f}\u{202e}\u{e0041}\u{200b}end"
        );
        assert!(!shown.chars().any(is_interpreted));
        // Escaping again changes nothing, so it is harmless to do it at several places.
        assert_eq!(line(&shown), shown);
        let ordinary = "Zoë – 水車, 5 €, \\n 'quoted' \"twice\" 🦀";
        assert_eq!(line(ordinary), ordinary);
    }

    #[test]
    fn escaped_document_is_the_same_document() {
        let value = json!({ "key": HOSTILE, HOSTILE: ["Zoë", 1.5, null] });
        let lines = json(&value);
        assert!(!lines.concat().chars().any(is_interpreted), "{lines:?}");
        assert!(lines[1].contains(r"\u009b2J") && lines[1].contains(r"\udb40\udc41"), "{lines:?}");
        assert_eq!(serde_json::from_str::<Value>(&lines.join("\n")).expect("JSON"), value);
    }
}
