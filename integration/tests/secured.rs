//! A cluster with TLS, users and access rules: the whole system works on it, and each program can
//! do what its access rules allow and nothing else. It needs a stack of its own: `stack run
//! --secured -- cargo test -p integration --test secured -- --ignored --test-threads=1`.

// A module, so that a run of all tests on another stack can skip them by its name.
mod secured {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use clap::Parser;
    use integration::demo;
    use redpanda::{
        brokers::{BrokerSettings, Brokers},
        log::{Connect as _, Headers, LogError, TopicPartition},
        scan::{self, Isolation},
        session,
        tls::TlsSettings,
        writer::CommandWriter,
    };

    const AT_MOST: Duration = Duration::from_secs(10);

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        brokers: BrokerSettings,
        #[command(flatten)]
        tls: TlsSettings,
    }

    fn variable(name: &str) -> String {
        std::env::var(name).unwrap_or_else(|_| {
            panic!("{name} is not set: run this under `stack run --secured --`")
        })
    }

    /// The brokers with the settings of a program with this user, mechanism and password.
    fn brokers_with(user: &str, mechanism: &str, password: &str) -> Brokers {
        let (addresses, ca) = (variable("MILLRACE_BROKERS"), variable("MILLRACE_CA_FILE"));
        let arguments =
            ["test", "--brokers", &addresses, "--brokers-tls", "true", "--ca-file", &ca];
        let login =
            ["--sasl-mechanism", mechanism, "--sasl-user", user, "--sasl-password", password];
        let program = Program::try_parse_from(arguments.iter().chain(&login)).expect("settings");
        program.brokers.open(&program.tls.load().expect("an authority")).expect("settings")
    }

    fn password(user: &str) -> String {
        let file = match user {
            "admin" => variable("MILLRACE_SASL_PASSWORD_FILE"),
            user => variable(&format!("MILLRACE_PASSWORD_FILE_{}", user.to_uppercase())),
        };
        std::fs::read_to_string(file).expect("a password")
    }

    /// The brokers with the settings of `user`.
    fn brokers(user: &str) -> Brokers {
        let mechanism = if user == "order" { "SCRAM-SHA-256" } else { "SCRAM-SHA-512" };
        brokers_with(user, mechanism, &password(user))
    }

    /// Reads `topic` from the beginning as `user`; returns the number of records.
    fn read(user: &str, topic: &str) -> Result<usize, String> {
        let brokers = brokers(user);
        let read =
            scan::scan(&brokers, topic, 4, Isolation::Committed, &mut BTreeMap::new(), AT_MOST);
        read.map(|records| records.len()).map_err(|error| schemas::chain(&error))
    }

    async fn write(brokers: &Brokers, topic: &str) -> Result<(), String> {
        let value = b"no Avro".as_slice().into();
        let written = CommandWriter::new(brokers)
            .write(topic, "key", value, &Headers::default(), AT_MOST)
            .await;
        written.map(drop).map_err(|error| schemas::chain(&error))
    }

    fn assert_refused<T: std::fmt::Debug>(what: &str, result: Result<T, String>) {
        let error = result.expect_err(what);
        assert!(
            error.to_lowercase().contains("authoriz"),
            "{what}: refused for another reason: {error}"
        );
    }

    #[tokio::test]
    #[ignore = "needs a stack of its own: `stack run --secured`"]
    async fn demo_order_succeeds_on_a_secured_cluster() {
        let target = demo::Target {
            url: variable("MILLRACE_URL"),
            admin_email: variable("MILLRACE_ADMIN_EMAIL"),
            admin_password_file: variable("MILLRACE_ADMIN_PASSWORD_FILE").into(),
        };
        demo::run(&target).await.expect("the demo order");

        // The topics that are refused below are not empty: an administrator reads them.
        for topic in
            ["order.events", "user.events", "user.credentials", "user.commands", "order.outcomes"]
        {
            let found =
                tokio::task::spawn_blocking(move || read("admin", topic)).await.expect("no panic");
            assert!(found.expect("the admin may read it") > 0, "{topic} is empty");
        }
    }

    #[tokio::test]
    #[ignore = "needs a stack of its own: `stack run --secured`"]
    async fn gateway_writes_commands_and_can_neither_write_an_event_nor_read_a_topic() {
        let gateway = brokers("gateway");
        write(&gateway, "order.commands").await.expect("a command may be written");
        for topic in
            ["order.events", "user.events", "order.followups", "order.outcomes", "user.credentials"]
        {
            assert_refused(topic, write(&gateway, topic).await);
        }
        for topic in ["order.commands", "user.commands", "order.events", "user.credentials"] {
            let answer = tokio::task::spawn_blocking(move || read("gateway", topic))
                .await
                .expect("no panic");
            assert_refused(topic, answer);
        }
    }

    #[test]
    #[ignore = "needs a stack of its own: `stack run --secured`"]
    fn order_service_reads_its_own_topics_and_not_those_with_password_hashes() {
        read("order", "order.commands").expect("its own may be read");
        for topic in ["user.credentials", "user.commands", "user.state", "notification.state"] {
            assert_refused(topic, read("order", topic));
        }
    }

    #[tokio::test]
    #[ignore = "needs a stack of its own: `stack run --secured`"]
    async fn order_service_writes_no_outcome_of_another_service() {
        for topic in ["user.outcomes", "notification.outcomes"] {
            assert_refused(topic, write(&brokers("order"), topic).await);
        }
    }

    #[test]
    #[ignore = "needs a stack of its own: `stack run --secured`"]
    fn order_service_can_not_fence_transactions_of_other_services() {
        let settings = session::Settings {
            brokers: brokers("order"),
            group: "order".to_owned(),
            inputs: vec!["order.commands".into()],
            transactional_id: "user-0-0".to_owned(),
            delivery: session::Delivery::ExactlyOnce,
        };
        let opened = settings.open().map(|_| ()).map_err(|error| schemas::chain(&error));
        assert_refused("the user service's transactional id", opened);
    }

    #[test]
    #[ignore = "needs a stack of its own: `stack run --secured`"]
    fn restore_without_the_right_to_the_changelog_or_to_an_input_is_denied() {
        for (changelog, input) in
            [("user.state", "order.commands"), ("order.state", "user.commands")]
        {
            let settings = session::Settings {
                brokers: brokers("order"),
                group: "order".to_owned(),
                inputs: vec!["order.commands".into()],
                transactional_id: "order-restore-0".to_owned(),
                delivery: session::Delivery::ExactlyOnce,
            };
            let mut session = settings.open().expect("it opens");
            let (changelog, inputs) =
                (TopicPartition::new(changelog, 0), [TopicPartition::new(input, 0)]);
            let mut restore = session.restore(&changelog, &inputs, &[]).expect("it begins");
            let begun = Instant::now();
            let error = loop {
                match restore.poll(Duration::from_millis(100), 1, &mut Vec::new()) {
                    Err(error @ LogError::Denied { .. }) => break error,
                    other => assert!(begun.elapsed() < AT_MOST, "not denied: {other:?}"),
                }
            };
            assert_refused("the restore", Err::<(), _>(schemas::chain(&error)));
        }
    }

    #[tokio::test]
    #[ignore = "needs a stack of its own: `stack run --secured`"]
    async fn client_without_rights_or_with_a_wrong_password_gets_nothing() {
        let stranger = brokers("stranger");
        assert_refused("order.commands", write(&stranger, "order.commands").await);
        for topic in ["order.commands", "order.events", "user.credentials", "order.outcomes"] {
            let answer = tokio::task::spawn_blocking(move || read("stranger", topic))
                .await
                .expect("no panic");
            assert_refused(topic, answer);
        }

        // A client with a wrong password, or without TLS, gets no answer at all.
        let wrong = brokers_with("gateway", "SCRAM-SHA-512", "not the password");
        let plain = Brokers::from(&variable("MILLRACE_BROKERS"));
        for (what, brokers) in [("a wrong password", wrong), ("no TLS", plain)] {
            let begun = Instant::now();
            let pinged = CommandWriter::new(&brokers).ping(Duration::from_secs(3)).await;
            assert!(pinged.is_err(), "{what}: answered after {:?}", begun.elapsed());
        }
    }
}
