use secrecy::ExposeSecret as _;

use super::*;

fn parsed(arguments: &[&str]) -> Result<Config, clap::Error> {
    let required = ["gateway", "--jwt-keys", "keys", "--secret-file", "secret"];
    Config::try_parse_from(required.iter().chain(arguments))
}

#[test]
fn wrong_setting_is_refused_before_anything_is_bound() {
    assert!(parsed(&["--rate-limit", "7", "--trusted-proxies", "10.0.0.0/8,::1"]).is_ok());
    for wrong in [
        ["--rate-limit", "0"],
        ["--listen", "nowhere"],
        ["--trusted-proxies", "example.org"],
        ["--prometheus-url", "nowhere"],
        ["--admin-email", "a@example.org"],
    ] {
        assert!(parsed(&wrong).is_err(), "{wrong:?}");
    }
    let error = parsed(&[]).expect("settings").secrets().err().expect("no such file");
    let expected = "MILLRACE_SECRET_FILE: can't read secret";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn first_admin_whom_the_domain_would_refuse_is_a_wrong_setting() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("UTF-8");
    let admin = |email: &str, password: &str| {
        std::fs::write(path, password).expect("written");
        let arguments = ["--admin-email", email, "--admin-password-file", path];
        parsed(&arguments).expect("settings").admin().map_err(|error| error.to_string())
    };
    let (email, password) =
        admin(" Ada@Example.ORG ", "12345678\n").expect("fine").expect("an admin");
    assert_eq!((&*email, password.expose_secret()), ("ada@example.org", "12345678"));
    let error = admin("nobody", "12345678").expect_err("no address");
    assert!(error.starts_with("MILLRACE_ADMIN_EMAIL: expected an address"), "{error}");
    // Eight bytes, but four characters.
    let long = "x".repeat(129);
    for wrong in ["\u{e4}\u{e4}\u{e4}\u{e4}", "1234567", long.as_str()] {
        let error = admin("ada@example.org", wrong).expect_err(wrong);
        assert!(error.contains("expected a password of at least 8 characters"), "{error}");
    }
}

#[test]
fn error_of_a_setting_names_each_cause_once() {
    let gone = std::io::Error::from(std::io::ErrorKind::NotFound);
    let keys = LoadError::File { path: "keys".into(), source: gone };
    let text = chain(&ConfigError::Keys(keys));
    assert_eq!(text, "MILLRACE_JWT_KEYS: can't read keys: entity not found");
}

#[test]
fn load_balancer_passes_on_what_two_gateways_take() {
    // Then each class is bounded by the gateways, and none takes the places of another.
    let site = include_str!("../../nginx.conf.template");
    let limit = |zone: &str| {
        let (_, limit) = site.split_once(&format!("limit_conn {zone} ")).expect("the limit");
        let (limit, _) = limit.split_once(';').expect("its end");
        limit.parse::<usize>().expect("a number")
    };
    let bounds = parsed(&[]).expect("settings").load();
    let load::Bounds { commands_max, reads_max, log_ins_max, waits_max, .. } = bounds;
    let (all, bodies) = (limit("requests"), limit("bodies"));
    assert!(bodies >= 2 * (commands_max + log_ins_max), "{bodies} and {bounds:?}");
    assert!(all - bodies >= 2 * (reads_max + waits_max), "{all}, {bodies} and {bounds:?}");
}
