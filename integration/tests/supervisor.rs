//! The supervisor with small shell scripts as parts: the order of starts and stops, deaths,
//! restarts, and failures at the start. It needs no server.

use std::path::Path;
use std::time::Duration;

use integration::command;
use integration::stack::{Layout, Part, PartKind, Ready, RestartPolicy, StackError, Supervisor};

const SOON: Duration = Duration::from_secs(10);

/// A part that writes into `journal` when it starts and when SIGTERM stops it, and is ready once it
/// has started.
fn scribe(dir: &Path, name: &str, stage: u8) -> Part {
    let script = format!(
        "trap 'echo {name} stops >> {dir}/journal; exit 0' TERM; echo {name} starts >> {dir}/journal; touch {dir}/{name}; \
         while :; do sleep 0.05; done",
        dir = dir.display()
    );
    let ready = Ready::Command(command!["test", "-e", dir.join(name)]);
    Part::new(name, PartKind::Server, stage, command!["sh", "-c", script], ready)
}

fn layout(dir: &Path) -> Layout {
    let layout = Layout { root: dir.into(), data: dir.join("data"), bins: dir.into() };
    layout.make().expect("folders");
    layout
}

fn journal(dir: &Path) -> Vec<String> {
    std::fs::read_to_string(dir.join("journal"))
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn parts_start_stage_by_stage_and_stop_in_reverse() {
    let dir = tempfile::tempdir().expect("a folder");
    let parts = vec![scribe(dir.path(), "late", 2), scribe(dir.path(), "early", 1)];
    let supervisor = Supervisor::new(layout(dir.path()), parts, RestartPolicy::Leave);

    supervisor.start_all().await.expect("both start");
    supervisor.stop_all().await;

    assert_eq!(
        ["early starts", "late starts", "late stops", "early stops"],
        journal(dir.path())[..]
    );
    assert!(supervisor.status().iter().all(|part| part.state == "stopped"));
}

#[tokio::test]
async fn signal_for_the_end_of_the_stack_is_not_used_to_stop_one_part() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut part = scribe(dir.path(), "member", 1);
    part.stop_with_all = Some(nix::sys::signal::Signal::SIGKILL);
    let supervisor = Supervisor::new(layout(dir.path()), vec![part], RestartPolicy::Leave);

    supervisor.start_all().await.expect("it starts");
    supervisor.stop("member").await.expect("it stops");
    // The next start must not take the sign of the first for its own.
    std::fs::remove_file(dir.path().join("member")).expect("the sign that it was ready");
    supervisor.start_all().await.expect("it starts again");
    supervisor.stop_all().await;

    assert_eq!(["member starts", "member stops", "member starts"], journal(dir.path())[..]);
    assert!(supervisor.status().iter().all(|part| part.state == "stopped"));
}

#[tokio::test]
async fn killed_part_stays_dead_in_run_and_is_restarted_in_up() {
    for (policy, comes_back) in [(RestartPolicy::Leave, false), (RestartPolicy::Restart, true)] {
        let dir = tempfile::tempdir().expect("a folder");
        let supervisor =
            Supervisor::new(layout(dir.path()), vec![scribe(dir.path(), "mortal", 1)], policy);
        supervisor.start_all().await.expect("it starts");

        supervisor.signal("mortal", nix::sys::signal::Signal::SIGKILL).await.expect("it is killed");

        let state = supervisor.status().remove(0);
        assert_eq!((None, "dead"), (state.pid, state.state.as_str()));
        assert_eq!(comes_back, supervisor.wait("mortal", SOON).await.is_ok());
        supervisor.stop_all().await;
    }
}

#[tokio::test]
async fn part_that_dies_at_its_start_is_reported_with_its_last_output() {
    let dir = tempfile::tempdir().expect("a folder");
    let command = command!["sh", "-c", "echo no licence found; exit 3"];
    let part = Part::new("doomed", PartKind::Server, 1, command, Ready::Command(command!["false"]));
    let supervisor = Supervisor::new(layout(dir.path()), vec![part], RestartPolicy::Restart);

    let error = supervisor.start_all().await.expect_err("it can't start").to_string();

    assert!(
        error.contains("doomed ended with code 3") && error.contains("no licence found"),
        "{error}"
    );
}

#[tokio::test]
async fn data_folder_is_used_by_one_stack_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let layout = layout(dir.path());
    let first = layout.lock().expect("it is free");

    assert!(matches!(layout.lock(), Err(StackError::Locked { .. })));
    drop(first);
    assert!(layout.lock().is_ok());
}
