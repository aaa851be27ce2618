//! Which records are subjects: `check`, `diff` and `release` agree for every kind of baseline.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Each file, and whether its type is a subject. A state contains `Placed`, which is a subject all
/// the same.
const FILES: [(&str, bool); 8] = [
    ("common/Money", true),
    ("order/Loose", true),
    ("order/events/Placed", true),
    ("order/state/Kept", true),
    ("order/types/Line", false),
    ("order/types/Unused", false),
    ("order/types/Colour", false),
    ("order/types/deep/Part", false),
];

fn schema(file: &str) -> String {
    let mut parts = file.split('/');
    let (context, kind) = (parts.next().expect("a context"), parts.next().expect("a kind"));
    let name = file.rsplit('/').next().expect("a name");
    let namespace = match (context, kind) {
        ("common", _) => "millrace".to_owned(),
        (context, "state") => format!("millrace.{context}.state"),
        (context, _) => format!("millrace.{context}"),
    };
    let body = match name {
        "Colour" => r#""type":"enum","symbols":["RED"],"default":"RED""#.to_owned(),
        _ => {
            let kind = match name {
                "Kept" => r#""millrace.order.Placed""#,
                "Placed" => r#""millrace.order.Line""#,
                _ => r#""int""#,
            };
            format!(r#""type":"record","fields":[{{"name":"one","doc":"D.","type":{kind}}}]"#)
        }
    };
    format!(r#"{{"name":"{name}","namespace":"{namespace}","doc":"D.",{body}}}"#)
}

struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().expect("a folder"));
        project.write_all("avro");
        project
    }

    fn write_all(&self, folder: &str) {
        for (file, _) in FILES {
            write(&self.path(folder).join(format!("{file}.avsc")), &schema(file));
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// The exit code and the output.
    fn schemas(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
        let command = command.args(arguments).current_dir(self.0.path());
        let output = command.env_remove("MILLRACE_SCHEMAS").output().expect("the command runs");
        (
            output.status.code(),
            String::from_utf8([output.stdout, output.stderr].concat()).expect("text"),
        )
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (_, printed) = self.schemas(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&printed).expect(&printed)
    }

    /// The full names of the schemas that `release` would release.
    fn pending(&self) -> BTreeSet<String> {
        let (_, printed) = self.schemas(&["release", "--dry-run"]);
        let names = printed
            .lines()
            .filter_map(|line| line.strip_prefix("would release ")?.split(' ').next());
        names.map(str::to_owned).collect()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
}

fn names(report: &Value, list: &str, id: Option<&str>) -> BTreeSet<String> {
    let all = report[list].as_array().expect("a list").iter();
    let wanted = all.filter(|one| id.is_none_or(|id| one["id"] == id));
    wanted
        .map(|one| one.get("subject").unwrap_or(one).as_str().expect("a name").to_owned())
        .collect()
}

fn expected() -> BTreeSet<String> {
    let full = [
        "millrace.Money",
        "millrace.order.Loose",
        "millrace.order.Placed",
        "millrace.order.state.Kept",
    ];
    assert_eq!(full.len(), FILES.iter().filter(|(_, is_subject)| *is_subject).count());
    full.map(str::to_owned).into()
}

#[test]
fn new_subjects_are_the_same_for_check_diff_and_release() {
    let project = Project::new();
    write(&project.path("empty/types/None.avsc"), &schema("order/types/Unused"));
    for against in [&[][..], &["--against", "empty"]] {
        let check = project.json(&[&["check"], against].concat());
        assert_eq!(names(&check, "checked", None), expected(), "{against:?}");
        let diff = project.json(&[&["diff"], against].concat());
        assert_eq!(names(&diff, "findings", Some("schema-added")), expected(), "{against:?}");
    }
    assert_eq!(project.pending(), expected());
}

#[test]
fn changed_subjects_are_the_same_for_diff_and_release_and_a_folder() {
    let project = Project::new();
    assert_eq!(project.schemas(&["release"]).0, Some(0));
    project.write_all("old");
    // Three parts change. An event uses one of them, and a state contains the event.
    for part in ["Line", "Unused"] {
        let text =
            schema(&format!("order/types/{part}")).replace(r#""D.","type""#, r#""E.","type""#);
        write(&project.path(&format!("avro/order/types/{part}.avsc")), &text);
    }
    let colour = schema("order/types/Colour").replace("D.", "E.");
    write(&project.path("avro/order/types/Colour.avsc"), &colour);

    let changed: BTreeSet<String> =
        ["millrace.order.Placed", "millrace.order.state.Kept"].map(str::to_owned).into();
    assert_eq!(project.pending(), changed);
    assert_eq!(names(&project.json(&["diff"]), "findings", None), changed);
    assert_eq!(names(&project.json(&["diff", "--against", "old"]), "findings", None), changed);
    for against in [&["check"][..], &["check", "--against", "old"]] {
        let (code, printed) = project.schemas(against);
        assert_eq!(
            (code, printed.as_str()),
            (Some(0), "4 schemas against 4 released versions: fine\n")
        );
    }
}

#[test]
fn subject_that_becomes_a_part_is_gone_for_check_diff_and_release() {
    let project = Project::new();
    assert_eq!(project.schemas(&["release"]).0, Some(0));
    project.write_all("old");
    let moved = project.path("avro/order/types/Placed.avsc");
    fs::rename(project.path("avro/order/events/Placed.avsc"), moved).expect("moved");

    for arguments in [
        &["check"][..],
        &["check", "--against", "old"],
        &["diff"],
        &["diff", "--against", "old"],
        &["release", "--dry-run"],
    ] {
        let report = project.json(arguments);
        let gone = names(&report, "findings", Some("subject-removed"));
        assert_eq!(gone, ["millrace.order.Placed".to_owned()].into(), "{arguments:?}: {report}");
        let message = &report["findings"][0]["message"];
        assert!(
            message.as_str().is_some_and(|message| message.contains("only a part")),
            "{message}"
        );
    }
}
