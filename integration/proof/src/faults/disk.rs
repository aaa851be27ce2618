//! A full disk: the folder of a server moves to a small disk of its own (tmpfs), which is filled.
//! Afterwards the filler is removed, and the folder moves back.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio_postgres::error::SqlState;

use super::secs;
use crate::world::World;

/// The free space of the small disk at first, in bytes.
const ROOM: u64 = 96 << 20;

/// Returns why a tmpfs can't be mounted here, or `None` if it can.
pub(super) fn cannot() -> Option<&'static str> {
    let at = std::env::temp_dir().join(format!("millrace-disk-{}", std::process::id()));
    let made = std::fs::create_dir(&at).is_ok()
        && run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &[&at]).is_ok();
    let gone = !made || run("umount", &[], &[&at]).is_ok();
    // A folder that stays does no harm.
    drop(std::fs::remove_dir(&at));
    (!made || !gone).then_some("this machine forbids to mount a tmpfs")
}

/// The broker dies, or acknowledges nothing any more.
pub(super) async fn broker_full(world: &World) -> anyhow::Result<()> {
    let folder = match world.system.containers {
        true => world.control.volume("redpanda").await?,
        false => {
            let data = std::env::var_os("MILLRACE_DATA").context("MILLRACE_DATA is not set")?;
            PathBuf::from(data).join("kafka")
        }
    };
    on_small_disk(world, "broker", &folder, async |disk| {
        disk.fill()?;
        let full = Instant::now();
        let mut acknowledged = (world.load.acknowledged(), Instant::now());
        // Until it is dead, or nothing was acknowledged for longer than a write may take.
        while world.control.part("broker").await?.pid.is_some()
            && acknowledged.1.elapsed() < secs(8)
        {
            if world.load.acknowledged() > acknowledged.0 {
                acknowledged = (world.load.acknowledged(), Instant::now());
            }
            if full.elapsed() > secs(120) {
                bail!("the full disk had no effect on the broker: the fault did not happen");
            }
            // Space that the broker has freed is filled too.
            disk.fill()?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        disk.empty()
    })
    .await
}

/// PostgreSQL refuses to write, or dies; commands are decided without it.
pub(super) async fn postgres_full(world: &World) -> anyhow::Result<()> {
    let (owner, folder) = match world.system.containers {
        true => (world.stores.postgres.clone(), world.control.volume("postgres").await?),
        false => {
            let owner = world.stores.postgres.replacen("millrace@", "postgres@", 1);
            let folder = data_directory(&owner).await?;
            (owner, folder)
        }
    };
    on_small_disk(world, "postgres", &folder, async |disk| {
        disk.fill()?;
        let full = Instant::now();
        while !refuses(&owner).await {
            if full.elapsed() > secs(120) {
                bail!("the full disk had no effect on PostgreSQL: the fault did not happen");
            }
            disk.fill()?;
        }
        tokio::select! {
            () = world.wait_for_outcomes(200) => {}
            failed = disk.keep_full() => return Err(failed),
        }
        if !refuses(&owner).await {
            bail!("PostgreSQL wrote again while its disk was full: the fault did not last");
        }
        disk.empty()
    })
    .await
}

async fn data_directory(url: &str) -> anyhow::Result<PathBuf> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let folder: String = client.query_one("SHOW data_directory", &[]).await?.get(0);
    Ok(folder.into())
}

/// Whether PostgreSQL refuses a write.
async fn refuses(url: &str) -> bool {
    let Ok((client, connection)) = tokio_postgres::connect(url, tokio_postgres::NoTls).await else {
        return true;
    };
    tokio::spawn(connection);
    let rows = "CREATE TEMPORARY TABLE filler AS SELECT repeat(md5(n::text), 100) FROM generate_series(1, 2000) AS n";
    let written = client.batch_execute(rows).await;
    written.is_err_and(|error| error.is_closed() || error.code() == Some(&SqlState::DISK_FULL))
}

/// Moves a server's folder to a small disk, runs `harm`, and moves it back, also after an error.
/// The server restarts for each move.
async fn on_small_disk(
    world: &World,
    server: &str,
    folder: &Path,
    harm: impl AsyncFnOnce(&SmallDisk) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    world.kill(server).await?;
    let disk = SmallDisk::under(folder)?;
    let harmed = async {
        world.start(server, &[]).await?;
        world.wait_for_commands(50).await?;
        harm(&disk).await?;
        world.kill(server).await?;
        // With free space it must start without help.
        world.start(server, &[]).await?;
        world.wait_for_commands(50).await
    }
    .await;
    world.kill(server).await?;
    disk.back().await?;
    world.start(server, &[]).await?;
    harmed
}

/// A tmpfs mounted over a folder, with the folder's files on it.
struct SmallDisk {
    folder: PathBuf,
    /// Another mount point of the same disk, for access when it is not mounted over the folder.
    beside: PathBuf,
}

impl SmallDisk {
    fn under(folder: &Path) -> anyhow::Result<Self> {
        let beside = folder.with_extension("small");
        std::fs::create_dir_all(&beside)?;
        let size = format!("size={}", used(folder)? + ROOM);
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], &[&beside])?;
        let disk = Self { folder: folder.to_owned(), beside };
        // From here on, dropping it unmounts the disk.
        copy(&disk.folder, &disk.beside)?;
        run("mount", &["--bind"], &[&disk.beside, &disk.folder])?;
        Ok(disk)
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Fills the disk.
    fn fill(&self) -> anyhow::Result<()> {
        let mut filler = std::fs::File::options().create(true).append(true).open(self.filler())?;
        for size in [1 << 20, 4 << 10] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
        Ok(())
    }

    /// Fills space that the server frees, again and again, and returns only why it can't.
    async fn keep_full(&self) -> anyhow::Error {
        loop {
            if let Err(error) = self.fill() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn empty(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.filler()).context("removing the filler")
    }

    /// Moves the files back. No process may use them.
    async fn back(self) -> anyhow::Result<()> {
        let killed = Instant::now();
        // A process that was killed may be busy in the kernel for a while.
        while let Err(error) = run("umount", &[], &[&self.folder]) {
            if killed.elapsed() > secs(30) {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for entry in std::fs::read_dir(&self.folder)?.flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                std::fs::remove_dir_all(&entry)?
            } else {
                std::fs::remove_file(&entry)?
            }
        }
        // If the fault has failed early, the filler still exists, and is no file of the server.
        drop(std::fs::remove_file(self.beside.join("filler")));
        copy(&self.beside, &self.folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a process may use them. The first mount has ended already if the files
        // were moved back.
        drop(Command::new("umount").args(["-l", "-q"]).arg(&self.folder).status());
        drop(Command::new("umount").args(["-l", "-q"]).arg(&self.beside).status());
        drop(std::fs::remove_dir(&self.beside));
    }
}

/// The bytes that a folder's files use on their disk.
fn used(folder: &Path) -> anyhow::Result<u64> {
    let answer =
        Command::new("du").args(["-s", "--block-size=1"]).arg(folder).output().context("du")?;
    let text = String::from_utf8_lossy(&answer.stdout);
    text.split_whitespace()
        .next()
        .and_then(|bytes| bytes.parse().ok())
        .context("du printed no number")
}

/// Copies a folder with owners, modes and holes.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    run("cp", &["-a", "--sparse=always", "-T"], &[from, to])
}

fn run(program: &str, options: &[&str], paths: &[&Path]) -> anyhow::Result<()> {
    let answer = Command::new(program)
        .args(options)
        .args(paths)
        .output()
        .with_context(|| program.to_owned())?;
    if !answer.status.success() {
        bail!(
            "{program} {options:?} {paths:?}: {}",
            String::from_utf8_lossy(&answer.stderr).trim()
        );
    }
    Ok(())
}
