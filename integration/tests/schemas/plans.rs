//! `plan` and `apply`: what they change, what they refuse and what they leave alone.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::project::{ADDED, OLD, Project, ask, setting};

#[test]
#[ignore = "needs the stack: integration/test"]
fn plan_is_applied_once_and_nothing_remains_to_do() {
    let project = Project::new();
    let kept = project.path("plan.json");

    let plan = project.bring(&["plan", "--out", &kept]);
    assert_eq!(plan.code, 1, "{}{}", plan.text, plan.error);
    let expected = format!(
        "create   {} (2 partitions)\nregister {}\nchanges pending: 2\n",
        project.topic,
        project.subject()
    );
    assert_eq!(plan.text, expected);
    assert_eq!(project.versions(), [] as [u32; 0]);

    let applied = project.bring(&["apply", &kept]);
    assert_eq!(applied.code, 0, "{}{}", applied.text, applied.error);
    assert!(applied.text.ends_with("changes made: 2\n"), "{}", applied.text);
    for again in [&["apply", &kept][..], &["apply"], &["plan"]] {
        let again = project.bring(again);
        assert_eq!(again.code, 0, "{}{}", again.text, again.error);
        assert_eq!(again.text, "nothing to do: all topics and schemas are as the files say\n");
    }
    assert_eq!(project.versions(), [1]);
}

#[test]
#[ignore = "needs the stack"]
fn stale_plan_and_incomplete_plan_are_refused() {
    let project = Project::new();
    let kept = project.path("plan.json");
    assert_eq!(project.bring(&["plan", "--out", &kept]).code, 1);
    let whole = fs::read_to_string(&kept).expect("a plan");

    let mut part: Value = serde_json::from_str(&whole).expect("JSON");
    part["steps"].as_array_mut().expect("steps").remove(0);
    fs::write(&kept, part.to_string()).expect("written");
    let refused = project.bring(&["apply", &kept]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert!(
        refused.error.contains(&format!("create {} is not in the plan", project.topic)),
        "{}",
        refused.error
    );

    fs::write(&kept, whole).expect("written");
    project.fields(&format!("{OLD},{ADDED}"));
    let refused = project.bring(&["apply", &kept]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    let what = format!("register {} is another change now", project.subject());
    assert!(
        refused.error.contains("the plan is stale") && refused.error.contains(&what),
        "{}",
        refused.error
    );

    fs::write(&kept, "{}").expect("written");
    let refused = project.bring(&["apply", &kept]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert!(refused.error.contains("is no plan of `schemas plan --out`"), "{}", refused.error);
    assert_eq!(project.versions(), [] as [u32; 0]);
    assert_eq!(project.bring(&["plan"]).text.lines().count(), 3, "the topic is not made");
}

#[test]
#[ignore = "needs the stack"]
fn incompatible_change_is_named_and_nothing_is_applied() {
    let project = Project::new();
    assert_eq!(project.bring(&["apply"]).code, 0);

    project.fields(r#"{"name":"title","type":"string","doc":"A."}"#);
    project.keep("3d");
    let kept = project.path("plan.json");
    let plan = project.bring(&["plan", "--out", &kept]);
    assert_eq!(plan.code, 2, "{}", plan.text);
    let what = format!(
        "breaks   {}, version 1: title: this field is new, and has no default",
        project.subject()
    );
    assert!(plan.text.contains(&what), "{}", plan.text);
    assert!(!Path::new(&kept).exists());

    let refused = project.bring(&["apply"]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert_eq!(project.versions(), [1]);

    project.fields(OLD);
    let plan = project.bring(&["plan"]);
    assert_eq!(plan.code, 1, "the other change is still to be made: {}", plan.text);
    assert!(plan.text.contains("retention.ms 604800000 -> 259200000"), "{}", plan.text);
}

#[test]
#[ignore = "needs the stack"]
fn compatibility_level_is_set_again_and_another_spelling_is_no_difference() {
    let project = Project::new();
    let spelled = format!(
        r#"{{"doc":"A trial.","fields":[{{"doc":"A.","type":{{"type":"string"}},"name":"name"}}],"name":"{}","type":"record"}}"#,
        project.subject()
    );
    let path = format!("/subjects/{}/versions", project.subject());
    ask(reqwest::Method::POST, &path, &json!({ "schema": spelled }));
    let level = format!("/config/{}", project.subject());
    ask(reqwest::Method::PUT, &level, &json!({ "compatibility": "BACKWARD" }));

    let applied = project.bring(&["apply"]);

    assert_eq!(applied.code, 0, "{}{}", applied.text, applied.error);
    let what = format!("level    {}: BACKWARD -> FULL_TRANSITIVE\n", project.subject());
    assert!(applied.text.contains(&what) && !applied.text.contains("register"), "{}", applied.text);
    assert_eq!(project.versions(), [1]);
    assert_eq!(project.bring(&["plan"]).code, 0);
    // It is written with the id of the other spelling.
    let bytes = project.encoded(&json!({ "name": "x" }));
    assert_eq!(project.run(&["decode"], &bytes).code, 0);
}

#[test]
#[ignore = "needs the stack"]
fn versions_that_refer_to_other_subjects_are_compared_and_read_with_what_they_refer_to() {
    let project = Project::new();
    let url = setting("MILLRACE_REGISTRY_URL");
    let part = |size: &str| {
        format!(
            r#"{{"type":"record","name":"{}Part","namespace":"millrace.trial","doc":"A part.","fields":[{{"name":"size","type":"{size}","doc":"A."}}]}}"#,
            project.record
        )
    };
    let whole = |part: &str| format!(r#"{{"name":"part","type":{part},"doc":"A."}}"#);
    project.fields(&whole(&part("long")));
    let name = format!("{}Part", project.subject());
    ask(
        reqwest::Method::POST,
        &format!("/subjects/{name}/versions"),
        &json!({ "schema": part("long") }),
    );
    let referring = format!(
        r#"{{"type":"record","name":"{}","namespace":"millrace.trial","doc":"A trial.","fields":[{}]}}"#,
        project.record,
        whole(&format!("\"{name}\""))
    );
    let references = json!([{ "name": name, "subject": name, "version": 1 }]);
    let body = json!({ "schema": referring, "references": references });
    ask(reqwest::Method::POST, &format!("/subjects/{}/versions", project.subject()), &body);

    // In the files the part is nested in the whole, which is no difference.
    let check = || project.run(&["check", "--registry", &url], &[]);
    let same = check();
    assert_eq!(
        (same.code, same.text.as_str()),
        (0, "1 schema against 1 released version: fine\n"),
        "{}",
        same.error
    );
    let plan = project.bring(&["plan"]);
    assert!(plan.code == 1 && !plan.text.contains("register"), "{}{}", plan.text, plan.error);
    let bytes = project.encoded(&json!({ "part": { "size": 3 } }));
    let decoded = project.run(&["decode"], &bytes);
    assert_eq!(decoded.code, 0, "{}", decoded.error);

    project.fields(&whole(&part("string")));
    let broken = check();
    assert_eq!(broken.code, 2, "{}{}", broken.text, broken.error);
    let what = format!(
        "error[type-changed]: {}: part.size: long can't be read as string",
        project.subject()
    );
    assert!(broken.text.contains(&what), "{}", broken.text);
    assert!(broken.text.contains(&format!("registry:{}@1:", project.subject())), "{}", broken.text);
    let plan = project.bring(&["plan"]);
    assert_eq!(plan.code, 2, "{}{}", plan.text, plan.error);
    let what = format!(
        "breaks   {}, version 1: part.size: long can't be read as string",
        project.subject()
    );
    assert!(plan.text.contains(&what), "{}", plan.text);
    assert_eq!(project.versions(), [1]);
}

#[test]
#[ignore = "needs the stack"]
fn other_settings_of_a_topic_stay() {
    let project = Project::new();
    assert_eq!(project.bring(&["apply"]).code, 0);

    // A topic that is kept forever has no segment.ms of its own, so the earlier value stays.
    project.keep("forever");
    let altered = project.bring(&["apply"]);
    assert_eq!(altered.code, 0, "{}{}", altered.text, altered.error);
    assert!(altered.text.contains("retention.ms 604800000 -> -1"), "{}", altered.text);

    project.keep("7d");
    let plan = project.bring(&["plan"]);
    assert!(plan.text.contains("retention.ms -1 -> 604800000"), "{}", plan.text);
    assert!(!plan.text.contains("segment.ms"), "{}", plan.text);
}
