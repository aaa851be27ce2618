//! The kcat commands in the documents: each runs once, exactly as printed, and must end by itself.
//! The rpk commands beside them are not run, because there is no rpk here. Run under `stack run`,
//! as integration/test does; it needs the services, because one of them has to write a dead letter.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use redpanda::scan;

/// The longest that a command may take: with `-e` it ends at the end of the topic.
const COMMAND_S_MAX: u32 = 30;
/// The longest that a processor may take to write a dead letter.
const WRITTEN_MAX: Duration = Duration::from_secs(30);
/// The broker's address in the documents.
const ADDRESS: &str = "localhost:9092";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

fn brokers() -> String {
    std::env::var("MILLRACE_BROKERS")
        .expect("MILLRACE_BROKERS is not set: run this under `stack run`")
}

/// The lines of a document's code blocks.
fn typed(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::<String>::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let line = line.trim().trim_start_matches("$ ");
            // A command goes on after a backslash or a pipe at the end of a line.
            match lines.last_mut() {
                Some(last) if last.ends_with(['\\', '|']) => {
                    *last = format!("{} {line}", last.trim_end_matches('\\'));
                }
                _ => lines.push(line.to_owned()),
            }
        }
    }
    lines
}

/// The commands of all documents that begin with `program`, each with its document.
fn commands(program: &str) -> Vec<(String, String)> {
    let tracked = Command::new("git").args(["ls-files", "*.md"]).current_dir(root()).output();
    let tracked = String::from_utf8(tracked.expect("git").stdout).expect("names");
    let of = |document: &str| {
        let text = std::fs::read_to_string(root().join(document)).expect("a document");
        let typed = typed(&text).into_iter().filter(|line| line.starts_with(program));
        typed.map(|line| (document.to_owned(), line)).collect::<Vec<_>>()
    };
    tracked.lines().flat_map(of).collect()
}

/// Runs a command in a shell, with a time limit.
fn run(command: &str) -> Output {
    let command = command.replace(ADDRESS, &brokers());
    let script = format!("set -o pipefail; {command}");
    let timeout = COMMAND_S_MAX.to_string();
    let output = Command::new("timeout")
        .args([&timeout, "bash", "-c", &script])
        .current_dir(root())
        .output();
    output.expect("bash runs")
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The sum of the end offsets of the dead letters of orders.
fn dead_letters() -> i64 {
    let spans =
        scan::spans(&brokers(), "order.commands.dead").expect("an answer").expect("a topic");
    spans.iter().map(|(_, end)| end).sum()
}

/// Writes a command that can't be decoded, and waits for its dead letter.
fn write_dead_letter() {
    let before = dead_letters();
    let written =
        run(&format!("echo nonsense | kcat -P -b {ADDRESS} -t order.commands -k nonsense"));
    assert!(written.status.success(), "{written:?}");
    let since = Instant::now();
    while dead_letters() == before {
        assert!(since.elapsed() < WRITTEN_MAX, "the order service writes no dead letter");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs the stack"]
fn every_kcat_command_of_the_documents_ends_by_itself() {
    write_dead_letter();
    let consuming = commands("kcat").into_iter().filter(|(_, command)| !command.contains(" -P "));
    let consuming: Vec<_> = consuming.collect();
    assert!(consuming.iter().any(|(document, _)| document == "grafana/README.md"), "{consuming:?}");
    assert!(consuming.iter().any(|(document, _)| document == "README.md"), "{consuming:?}");
    for (document, command) in consuming {
        let output = run(&command);
        let printed = lines(&output);
        let code = output.status.code();
        assert_eq!(
            code,
            Some(0),
            "{document}: {command}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // Other topics may be empty.
        if command.contains(".dead") || command.contains(" -L") {
            assert!(!printed.is_empty(), "{document}: {command} prints nothing");
        }
    }
}

#[test]
#[ignore = "needs the stack"]
fn last_offset_of_a_topic_that_ends_in_a_transaction_holds_no_record() {
    write_dead_letter();
    let output = run(&format!("kcat -b {ADDRESS} -C -t order.commands.dead -o -1 -e -q"));
    assert_eq!(lines(&output), [""; 0], "grafana/README.md says that this prints nothing");
}

#[test]
fn no_document_asks_for_the_last_offset() {
    for (document, command) in [commands("kcat"), commands("rpk topic consume")].concat() {
        assert!(!command.contains("-o -1") && !command.contains("-o-1"), "{document}: {command}");
    }
}
