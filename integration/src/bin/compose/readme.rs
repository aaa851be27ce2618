//! Runs the README's commands, exactly as printed, in a fresh shell.

use anyhow::{Context as _, ensure};

use crate::docker::Docker;

/// Returns the first `sh` block below the heading.
fn snippet(text: &str, heading: &str) -> anyhow::Result<String> {
    let (_, below) = text
        .split_once(&format!("\n## {heading}\n"))
        .with_context(|| format!("README has no \"{heading}\""))?;
    let section = below.split("\n## ").next().unwrap_or_default();
    let (_, block) =
        section.split_once("```sh\n").with_context(|| format!("\"{heading}\" has no commands"))?;
    let (commands, _) =
        block.split_once("```").with_context(|| format!("\"{heading}\" does not end"))?;
    Ok(commands.to_owned())
}

/// Runs the commands below a heading in a fresh shell and returns their output.
pub(crate) async fn typed(docker: &Docker, heading: &str) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(docker.root().join("README.md")).context("read README.md")?;
    let commands = snippet(&text, heading)?;
    docker.run("bash", &["--noprofile", "--norc", "-c", &commands]).await
}

/// Adds the products as "With Docker" says, and runs the tour.
pub(crate) async fn tour(docker: &Docker) -> anyhow::Result<String> {
    let stocked = typed(docker, "With Docker").await?;
    ensure!(
        stocked.matches("\"available\":1000").count() == 2,
        "the products were not stocked: {stocked}"
    );
    let seen = typed(docker, "A tour with curl").await?;
    ensure!(seen.contains("HTTP/1.1 201"), "the order was not answered: {seen}");
    let confirmed = seen.matches("\"status\":\"confirmed\"").count();
    ensure!(confirmed == 2, "the order is not confirmed, in its answer and in the list: {seen}");
    ensure!(seen.contains("order_confirmed"), "the inbox has no notification of it: {seen}");
    Ok("two products stocked; registered, ordered, confirmed, listed, notified".to_owned())
}
