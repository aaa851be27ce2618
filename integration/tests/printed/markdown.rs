//! The steps of a Markdown file: edits in `diff` blocks, and commands with their output in
//! `console` blocks. A command follows `$ `, its further lines follow `> `. In the output, `...`
//! stands for any text within a line, or for any lines. The distance between columns does not
//! matter.

use regex::Regex;

/// A step.
pub(crate) enum Step {
    /// An edit for `git apply`.
    Edit(String),
    /// A command.
    Run(Run),
}

/// A command and its expected output.
pub(crate) struct Run {
    /// The command.
    pub(crate) command: String,
    /// The range of the printed lines, from 0.
    pub(crate) lines: (usize, usize),
    /// The expected output.
    pub(crate) expected: Vec<String>,
}

/// The steps of a text, in their order.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let (mut steps, mut block) = (Vec::new(), "");
    for (number, line) in text.lines().enumerate() {
        if let Some(fence) = line.strip_prefix("```") {
            block = if block.is_empty() { fence } else { "" };
            if block == "diff" {
                steps.push(Step::Edit(String::new()));
            }
            continue;
        }
        match (block, steps.last_mut()) {
            ("diff", Some(Step::Edit(edit))) => {
                edit.push_str(line);
                edit.push('\n');
            }
            ("console", last) => {
                if let Some(command) = line.strip_prefix("$ ") {
                    let command = command.to_owned();
                    steps.push(Step::Run(Run {
                        command,
                        lines: (number + 1, number + 1),
                        expected: Vec::new(),
                    }));
                    continue;
                }
                let Some(Step::Run(run)) = last else {
                    panic!("line {}: output without a command", number + 1)
                };
                match line.strip_prefix("> ").filter(|_| run.expected.is_empty()) {
                    Some(more) => {
                        run.command.push('\n');
                        run.command.push_str(more);
                        run.lines = (number + 1, number + 1);
                    }
                    None => {
                        run.expected.push(line.to_owned());
                        run.lines.1 = number + 1;
                    }
                }
            }
            _ => {}
        }
    }
    steps
}

/// Whether `printed` matches `expected`.
pub(crate) fn matches(expected: &[String], printed: &[String]) -> bool {
    let columns = Regex::new(" {2,}").expect("a pattern");
    let line = |line: &String| match line.trim() {
        "..." => r"(?:.*\n)*?".to_owned(),
        _ => format!(
            "{}\n",
            columns.replace_all(&regex::escape(line).replace(r"\.\.\.", ".*"), " +")
        ),
    };
    let pattern: String = expected.iter().map(line).collect();
    let pattern = Regex::new(&format!(r"\A{pattern}\z")).expect("a pattern");
    let printed: String = printed.iter().map(|line| format!("{line}\n")).collect();
    pattern.is_match(&printed)
}

#[test]
fn text_is_parsed_and_output_is_compared() {
    let text = "Prose\n```console\n$ a <<E\n> b\n> E\none ...\n...\nlast\n$ c\n```\n```sh\n$ not this\n```\n```diff\n-x\n+y\n```\n";
    let steps = steps(text);
    let [Step::Run(a), Step::Run(c), Step::Edit(edit)] = steps.as_slice() else {
        panic!("{}", steps.len())
    };
    assert_eq!(
        (a.command.as_str(), a.lines, c.command.as_str(), edit.as_str()),
        ("a <<E\nb\nE", (5, 8), "c", "-x\n+y\n")
    );

    let printed = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(matches(&a.expected, &printed(&["one 1", "two", "three", "last"])));
    assert!(matches(&a.expected, &printed(&["one 1", "last"])));
    assert!(!matches(&a.expected, &printed(&["one 1", "two", "last", "more"])));
    assert!(!matches(&c.expected, &printed(&["anything"])));
    assert!(matches(&c.expected, &[]));
}
