//! `schemas apply`: changes registry and topics to what the files say, unless that breaks
//! something. It never deletes.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Result, ensure};
use clap::Args;
use redpanda::provision::Plan;
use serde_json::Value;

use crate::{
    plan::{self, Cluster},
    print::out,
    stop::Stop,
};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    cluster: Cluster,
    /// A plan of `schemas plan --out`. It is refused if anything has changed since.
    plan: Option<PathBuf>,
}

pub(crate) async fn run(
    folder: impl FnOnce() -> Result<PathBuf>,
    arguments: Arguments,
) -> Result<()> {
    let kept = arguments.plan.map(read).transpose()?;
    let provision = arguments.cluster.provision(&folder()?)?;
    let plan = provision.plan().await?;
    if !plan.conflicts.is_empty() {
        plan::show(&plan)?;
        let why = format!("problems: {}; nothing is applied", plan.conflicts.len());
        return Err(Stop::Invalid(why).into());
    }
    if plan.is_empty() {
        out!("nothing to do: all topics and schemas are as the files say")?;
        return Ok(());
    }
    if let Some(kept) = kept {
        compare(&kept, &plan)?;
    }
    // A closed standard output does not end the command halfway.
    provision.apply_all(&plan, |step| drop(out!("{step}"))).await?;
    let left = provision.plan().await?;
    plan::show(&left)?;
    ensure!(
        left.is_empty(),
        "the broker or the registry took all changes, and shows others than were made"
    );
    out!("changes made: {}", plan.steps.len())?;
    Ok(())
}

fn read(file: PathBuf) -> Result<Value> {
    let text = fs::read_to_string(&file)
        .map_err(|error| Stop::Usage(format!("reading {}: {error}", file.display())))?;
    let plan = serde_json::from_str(&text).ok().filter(|plan: &Value| plan["steps"].is_array());
    let why = || Stop::Invalid(format!("{} is no plan of `schemas plan --out`", file.display()));
    Ok(plan.ok_or_else(why)?)
}

/// Refuses a stored plan that differs from a new one: cluster or files have changed since, or
/// someone has edited the plan.
fn compare(kept: &Value, now: &Plan) -> Result<()> {
    let now = now.to_json();
    if *kept == now {
        return Ok(());
    }
    let mut why = Vec::new();
    if kept["cluster"] != now["cluster"] {
        why.push(format!(
            "it was made for cluster {}, this is {}",
            kept["cluster"], now["cluster"]
        ));
    }
    let (before, after) = (steps(kept), steps(&now));
    for (what, step) in &before {
        match after.get(what) {
            None => why.push(format!("{what} is not pending")),
            Some(other) if other != step => why.push(format!("{what} is another change now")),
            Some(_) => {}
        }
    }
    let unplanned = after.keys().filter(|what| !before.contains_key(*what));
    why.extend(unplanned.map(|what| format!("{what} is not in the plan")));
    if why.is_empty() {
        why.push("it is in another form, or of another version of this program".to_owned());
    }
    let why = why.join("\n  ");
    Err(Stop::Invalid(format!("the plan is stale; make a new one. Nothing is applied:\n  {why}"))
        .into())
}

/// The steps of a plan, by their action and its object.
fn steps(plan: &Value) -> BTreeMap<String, &Value> {
    let name = |step: &Value| {
        let text = |key: &str| step[key].as_str().map(str::to_owned);
        let on = text("topic").or_else(|| text("subject")).unwrap_or_default();
        format!("{} {on}", text("do").unwrap_or_default())
    };
    plan["steps"].as_array().into_iter().flatten().map(|step| (name(step), step)).collect()
}
