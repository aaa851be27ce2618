//! A client that reads all the time: one `kcat` process for each topic, read committed, while
//! faults happen. The suite compares what it wrote to its files with the log afterwards. It judges
//! nothing, and its processes never outlive the suite, however the suite ends.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

/// Readers of every topic of events or outcomes. They end when this is dropped.
pub struct LiveReader {
    readers: Vec<Child>,
    files: Vec<PathBuf>,
}

impl LiveReader {
    /// Starts to read at the beginning, and writes what it reads into one file a topic in `folder`.
    ///
    /// The kernel kills a reader when the thread that called this ends, so that thread must live as
    /// long as the suite: the main one.
    ///
    /// # Errors
    /// When a file can't be created, or `setpriv` or `kcat` can't be started.
    pub fn start(brokers: &str, folder: &Path) -> anyhow::Result<Self> {
        let mut live = Self { readers: Vec::new(), files: Vec::new() };
        let topics = redpanda::topics::all().iter().map(|topic| topic.name.as_str());
        let read = |name: &&str| name.ends_with(".events") || name.ends_with(".outcomes");
        for topic in topics.filter(read) {
            let file = folder.join(format!("read.{topic}.tsv"));
            let reader = Command::new("setpriv")
                // A suite that is killed drops nothing, so the kernel has to stop its readers.
                .args(["--pdeathsig", "KILL", "kcat"])
                // -E: it waits for a broker that is away; -u: it writes each record at once.
                .args(["-C", "-E", "-u", "-q", "-b", brokers, "-t", topic, "-o", "beginning"])
                .args(["-X", "isolation.level=read_committed", "-f", "%t\t%p\t%o\t%k %h\n"])
                .stdout(File::create(&file)?)
                .stderr(Stdio::null())
                .spawn()
                .context("starting setpriv")?;
            live.readers.push(reader);
            live.files.push(file);
        }
        Ok(live)
    }

    /// The whole lines that it has written so far: topic, partition, offset, key and headers.
    pub fn seen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for file in &self.files {
            let text = std::fs::read(file).unwrap_or_default();
            // kcat may be in the middle of the last line.
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            lines.extend(String::from_utf8_lossy(&text[..whole]).lines().map(str::to_owned));
        }
        lines
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        for reader in &mut self.readers {
            // A reader that has ended already needs neither.
            drop(reader.kill());
            drop(reader.wait());
        }
    }
}
