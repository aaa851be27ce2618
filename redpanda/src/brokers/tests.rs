//! Settings that contradict each other, and what is never printed.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    brokers: BrokerSettings,
}

fn opened(arguments: &[&str]) -> Result<Brokers, SettingError> {
    let arguments = ["program"].iter().chain(arguments);
    Program::try_parse_from(arguments).expect("arguments").brokers.open(&Tls::default())
}

#[test]
fn contradicting_settings_are_errors_that_name_what_was_expected() {
    let user = ["--sasl-user", "order", "--sasl-password", "s3cr3t"];
    let with = |more: &[&'static str]| [&user[..], more].concat();
    assert!(opened(&[]).is_ok());
    assert!(opened(&["--brokers", "a:1, [::1]:2"]).is_ok());
    assert!(opened(&with(&["--sasl-mechanism", "SCRAM-SHA-512"])).is_ok());
    for (arguments, expected) in [
        (vec!["--brokers", "a:1,b"], "MILLRACE_BROKERS: 'b': expected host:port"),
        (vec!["--brokers", ""], "MILLRACE_BROKERS: '': expected host:port"),
        (with(&[]), "MILLRACE_SASL_MECHANISM: expected SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN"),
        (with(&["--sasl-mechanism", "PLAIN"]), "expected MILLRACE_BROKERS_TLS=true"),
        (vec!["--sasl-mechanism", "SCRAM-SHA-256"], "MILLRACE_SASL_USER: expected a user"),
        (
            vec!["--sasl-mechanism", "SCRAM-SHA-256", "--sasl-user", "order"],
            "MILLRACE_SASL_PASSWORD: expected a password",
        ),
    ] {
        let error = opened(&arguments).expect_err(expected).to_string();
        assert!(error.contains(expected) && !error.contains("s3cr3t"), "{error}");
    }
}

#[test]
fn error_of_an_unknown_mechanism_lists_the_known_ones() {
    let error =
        Program::try_parse_from(["program", "--sasl-mechanism", "GSSAPI"]).expect_err("none");
    assert!(error.to_string().contains("SCRAM-SHA-256, SCRAM-SHA-512, PLAIN"), "{error}");
}

#[test]
fn password_is_not_printed() {
    let arguments =
        ["--sasl-mechanism", "SCRAM-SHA-512", "--sasl-user", "u", "--sasl-password", "s3cr3t"];
    let shown = format!("{:?}", opened(&arguments).expect("settings"));
    assert!(shown.contains("ScramSha512") && !shown.contains("s3cr3t"), "{shown}");
}
