//! A reader that is there all the time: kcat, one process a topic, read committed, while faults
//! happen. What it writes down is compared with the log afterwards.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

/// Readers of every topic of events and of the outcomes. They end when this is dropped.
pub struct LiveReader {
    readers: Vec<Child>,
    files: Vec<PathBuf>,
}

impl LiveReader {
    /// Starts reading at the beginning, into a file a topic in `folder`.
    pub fn start(brokers: &str, folder: &Path) -> anyhow::Result<Self> {
        let (mut readers, mut files) = (Vec::new(), Vec::new());
        let topics = redpanda::topics::all().iter().map(|topic| topic.name.as_str());
        for topic in topics.filter(|name| name.ends_with(".events") || *name == "outcomes") {
            let file = folder.join(format!("read.{topic}.tsv"));
            let reader = Command::new("kcat")
                // -E: a broker that is away is waited for; -u: what was read is written at once.
                .args(["-C", "-E", "-u", "-q", "-b", brokers, "-t", topic, "-o", "beginning"])
                .args(["-X", "isolation.level=read_committed", "-f", "%t\t%p\t%o\t%k %h\n"])
                .stdout(File::create(&file)?)
                .stderr(Stdio::null())
                .spawn()
                .context("kcat")?;
            readers.push(reader);
            files.push(file);
        }
        Ok(Self { readers, files })
    }

    /// What it has written so far, whole lines: topic, partition, offset, key and headers.
    pub fn seen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for file in &self.files {
            let text = std::fs::read(file).unwrap_or_default();
            // The last line may be half written.
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            lines.extend(String::from_utf8_lossy(&text[..whole]).lines().map(str::to_owned));
        }
        lines
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        for reader in &mut self.readers {
            // One that is gone already is gone.
            drop(reader.kill());
            drop(reader.wait());
        }
    }
}
