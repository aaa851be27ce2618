//! The declared access rules, compared with the declared topics.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::{
    provision::{ProvisionError, retry::RetryPolicy},
    topics,
};

#[test]
fn only_the_owner_of_a_topic_may_write_it() {
    let acls = Acls::all();
    for topic in topics::all().iter() {
        let mut owners = BTreeSet::from([topic.owner.as_str()]);
        if topic.name == "notification.commands" {
            // The mail worker reports deliveries.
            owners.insert("notification");
        }
        let may =
            |program: &&str| acls.of(program).is_some_and(|may| may.write.contains(&topic.name));
        let writers: BTreeSet<_> = acls.programs().filter(may).collect();
        assert_eq!(writers, owners, "{}", topic.name);
    }
}

#[test]
fn only_the_user_service_may_read_topics_with_password_hashes() {
    let acls = Acls::all();
    for topic in ["user.commands", "user.credentials"] {
        let may = |program: &&str| {
            acls.of(program).is_some_and(|may| may.read.iter().any(|t| t == topic))
        };
        assert_eq!(acls.programs().filter(may).collect::<Vec<_>>(), ["user"], "{topic}");
    }
    assert!(acls.of("gateway").expect("a gateway").read.is_empty());
}

#[test]
fn processor_may_do_what_follows_from_its_topics() {
    let acls = Acls::parse("{}", topics::all()).expect("no rules");
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let may = acls.of("notification").expect("a processor");
    let own = ["commands", "events", "followups", "operations", "outcomes", "state"];
    let mut read = sorted(&own.map(|kind| format!("notification.{kind}")));
    read.extend(of(&["notification.commands.dead", "notification.followups.dead"]));
    read.extend(of(&["order.events.dead", "user.events.dead"]));
    assert_eq!(sorted(&may.read), read);
    assert_eq!(sorted(&may.groups), of(&["notification"]));
    assert_eq!(sorted(&may.transactions), of(&["notification-"]));
    let gateway = acls.of("gateway").expect("an owner");
    assert!(gateway.groups.is_empty() && gateway.transactions.is_empty(), "{gateway:?}");
}

#[test]
fn rules_are_printed_as_rpk_commands() {
    let text = "shop: {read: [order.events], groups: [shop], transactions: [shop-], manage: ['*']}";
    let acls = Acls::parse(text, topics::all()).expect("rules");
    let rules = acls.rules().into_iter().filter(|rule| rule.program == "shop");
    let lines: Vec<_> = rules.map(|rule| rule.to_string()).collect();
    let command = "rpk security acl create --allow-principal User:shop --operation";
    let manage = "create,alter,describe,describeConfigs,alterConfigs";
    let expected = [
        format!("{command} read --topic 'order.events'"),
        format!("{command} read --group 'shop'"),
        format!("{command} read --group 'shop.' --resource-pattern-type prefixed"),
        format!("{command} write --transactional-id 'shop-' --resource-pattern-type prefixed"),
        format!("{command} {manage} --topic '*'"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn unknown_topic_is_an_error_that_names_it() {
    let error =
        Acls::parse("shop: {read: [order.event]}", topics::all()).expect_err("no such topic");
    assert_eq!(error.to_string(), "shop: there is no topic order.event");
    assert!(Acls::parse("shop: {reads: [order.events]}", topics::all()).is_err());
}

#[tokio::test]
async fn rules_are_created_again_while_no_broker_answers() {
    let reports = Arc::<AtomicUsize>::default();
    let counted = reports.clone();
    let report = move |_: &ProvisionError| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let retries = RetryPolicy::new(Duration::from_secs(2), report);
    // Nothing listens at port 1.
    let (acls, request_max) = (Acls::all(), Duration::from_millis(200));
    let created = acls.create_within("127.0.0.1:1", &retries, request_max).await;
    let error = created.expect_err("nobody answers");
    assert!(matches!(error, ProvisionError::GaveUp { .. }), "{error:?}");
    assert!(reports.load(Ordering::Relaxed) > 0, "the failure was not reported");
}
