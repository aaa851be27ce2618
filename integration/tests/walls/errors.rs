//! How errors are written: the text of an error does not repeat its source, because whatever logs
//! or prints it prints the chain (`schemas::chain`).

use crate::workspace::{read, root, sources};

/// One error of a `thiserror` derive: its text, and the fields up to the next text.
struct Variant<'a> {
    text: &'a str,
    fields: &'a str,
}

fn variants(code: &str) -> impl Iterator<Item = Variant<'_>> {
    code.split("#[error(").skip(1).filter_map(|part| {
        let (text, fields) = part.split_once(")]")?;
        // The fields end where the item or the variant does.
        let end = ["\n}", "\n    }", ");", "),\n"].iter().filter_map(|end| fields.find(end)).min();
        Some(Variant { text, fields: &fields[..end.unwrap_or(fields.len())] })
    })
}

/// The name of the field that is the source: its number in a tuple.
fn source(fields: &str) -> Option<&str> {
    let marked = ["#[source]", "#[from]"].iter().find_map(|mark| fields.split_once(mark));
    match marked {
        Some((before, _)) if before.trim_end().ends_with('(') => Some("0"),
        Some((_, after)) => after.trim_start().trim_start_matches("pub ").split(':').next(),
        None => fields.contains("source: ").then_some("source"),
    }
}

/// Whether the text of an error shows its source.
fn repeats(Variant { text, fields }: &Variant<'_>) -> bool {
    source(fields).is_some_and(|name| {
        ["{NAME}", "{NAME:", ".NAME)", ".NAME,"]
            .iter()
            .any(|shown| text.contains(&shown.replace("NAME", name)))
    })
}

#[test]
fn no_text_of_an_error_repeats_its_source() {
    let folders = ["schemas", "redpanda", "pipeline", "gateway", "integration"];
    let files = folders.iter().flat_map(|folder| sources(&root().join(folder)));
    let mut seen = 0;
    for path in files.filter(|path| path.iter().any(|part| part == "src")) {
        // A test may have an error that repeats, as those of some libraries do.
        let code = read(&path);
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        for variant in variants(code) {
            seen += usize::from(source(variant.fields).is_some());
            assert!(!repeats(&variant), "{}: {}", path.display(), variant.text);
        }
    }
    assert!(seen > 20, "only {seen} errors with a source were found");
}

#[test]
fn text_that_shows_its_source_is_found() {
    let repeating = [
        "#[error(\"a: {0}\")]\n    A(#[from] B),\n",
        "#[error(\"{what}: {source}\")]\n    A {\n        what: String,\n        source: B,\n    },\n",
        "#[error(\"{doing}: {cause:?}\")]\npub struct A {\n    #[source]\n    pub cause: B,\n}\n",
    ];
    for code in repeating {
        assert!(variants(code).all(|variant| repeats(&variant)), "{code}");
    }
    let two = "#[error(\"{0}\")]\n    A(String),\n    #[error(\"b\")]\n    B(#[source] C),\n";
    assert!(!variants(two).any(|variant| repeats(&variant)));
}
