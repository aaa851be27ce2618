//! Services that are killed: nothing is lost, nothing is done twice, and the system recovers by
//! itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::log::{codec, end, outcomes, read};
use crate::support::{
    Judge, RECOVERY_MAX, SEEN_MAX, Send, System, User, eventually, must, system, variable,
};

/// Places orders of one piece until stopped, or at most `at_most`. Returns the ids of the
/// acknowledged commands.
async fn order_until(user: &User, sku: &str, at_most: usize, stop: &AtomicBool) -> Vec<String> {
    let mut commands = Vec::new();
    // A steady stream, not as fast as the machine can.
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while commands.len() < at_most && !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let taken = user.client.place_order(&[(sku, 1)]).answer().await;
        // While the service is away, the gateways take a bounded number from one address.
        if taken.status == 503 {
            taken.problem(503, "overloaded");
            continue;
        }
        taken.expect(202);
        commands.push(taken.location_id().expect("an id").to_owned());
    }
    commands
}

/// Checks that each of these commands has exactly one outcome, and was accepted.
async fn all_accepted_once(commands: &[String]) {
    let codec = codec().await;
    let outcomes = eventually("an outcome for each command", RECOVERY_MAX, async || {
        let outcomes = outcomes(&codec).await;
        let without = commands.iter().filter(|id| !outcomes.contains_key(*id)).count();
        must(without == 0, format!("{without} of {} have none", commands.len()))?;
        Ok(outcomes)
    })
    .await;
    for id in commands {
        let found = &outcomes[id];
        assert_eq!(1, found.len(), "{found:?}");
        assert_eq!(schemas::Verdict::Accepted, found[0].verdict, "{found:?}");
    }
}

/// Kills a part twice during a stream of orders, restarts it, and checks the sums.
async fn kill_amid_orders(system: &System, part: &str) {
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10_000).await;
    let users = join_all((0..4).map(|_| system.user("Ada"))).await;
    let stop = AtomicBool::new(false);
    let ordering = join_all(users.iter().map(|user| order_until(user, &sku, 1_000, &stop)));
    let killing = async {
        for _ in 0..2 {
            // Kill it in the middle, when some orders are decided and more arrive.
            let before = end("order.events").await;
            eventually("orders arrive", RECOVERY_MAX, async || {
                let now = end("order.events").await;
                must(now > before + 100, (before, now))
            })
            .await;
            system.control.kill(part).await.expect("killed");
            system.restart(part).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (commands, ()) = join(ordering, killing).await;
    let commands = commands.concat();
    println!("{part} killed twice amid {} orders", commands.len());
    all_accepted_once(&commands).await;

    // Every order took one piece, and each user has as many orders as were acknowledged.
    stock_adds_up(&admin, &sku, 10_000, i64::try_from(commands.len()).expect("few")).await;
    let raised = async || {
        let mut raised: BTreeMap<String, usize> = BTreeMap::new();
        for record in read("notification.events").await {
            if record.header("ce_type") == "millrace.notification.NotificationRaised" {
                *raised.entry(record.key()).or_default() += 1;
            }
        }
        raised
    };
    assert!(raised().await.values().all(|times| *times == 1), "a notification was raised twice");
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn order_is_killed_amid_orders_and_nothing_is_lost_or_doubled() {
    kill_amid_orders(&system().await, "order-0").await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn notification_is_killed_amid_orders_and_every_user_is_notified_once() {
    let system = system().await;
    kill_amid_orders(&system, "notification-0").await;
    let ada = system.user("Ada").await;
    let welcomed = async || {
        must(!ada.client.get("/v1/notifications").answer().await.items().is_empty(), "empty")
    };
    eventually("a welcome", RECOVERY_MAX, welcomed).await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn user_is_killed_amid_registrations_and_each_is_decided_once() {
    // Given a stream of registrations, two for each address
    let system = system().await;
    let register = async |n: usize| {
        let email = crate::support::any_email(&format!("n{n}"));
        let mut commands = Vec::new();
        for _ in 0..2 {
            let password = crate::support::PASSWORD;
            // While the service is away, the gateways take a bounded number.
            let taken = eventually("it is taken", RECOVERY_MAX, async || {
                let taken = system.visitor().register(&email, password, "Ada").answer().await;
                must(taken.status != 503, &taken.body).map(|()| taken)
            })
            .await;
            taken.expect(202);
            commands.push(taken.location_id().expect("an id").to_owned());
        }
        commands
    };
    let registering = async {
        let mut commands = Vec::new();
        for n in 0..10 {
            commands.extend(join_all((0..4).map(|m| register(n * 10 + m))).await);
        }
        commands
    };

    // When the service is killed meanwhile
    let killing = async {
        let before = end("user.events").await;
        let begun = async || must(end("user.events").await > before + 30, "too few");
        eventually("registrations arrive", SEEN_MAX, begun).await;
        system.control.kill("user-0").await.expect("killed");
        system.restart("user-0").await;
    };
    let (pairs, ()) = join(registering, killing).await;

    // Then exactly one of each two is registered
    let codec = codec().await;
    let outcomes = eventually("an outcome for each command", RECOVERY_MAX, async || {
        let outcomes = outcomes(&codec).await;
        let without = pairs.iter().flatten().filter(|id| !outcomes.contains_key(*id)).count();
        must(without == 0, format!("{without} have none"))?;
        Ok(outcomes)
    })
    .await;
    for pair in pairs {
        let verdicts: Vec<_> = pair
            .iter()
            .flat_map(|id| &outcomes[id])
            .map(|outcome| (outcome.verdict, outcome.code.as_deref()))
            .collect();
        let accepted =
            verdicts.iter().filter(|(verdict, _)| *verdict == schemas::Verdict::Accepted).count();
        assert!(accepted == 1 && verdicts.len() == 2, "{verdicts:?}");
    }
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn second_instance_shares_the_work_and_takes_it_over() {
    // Given a second instance of the order service
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 1_000).await;
    let ada = system.user("Ada").await;
    system.restart("order-1").await;

    // When orders arrive, then both instances decide some
    let worked = async |instance: &str| {
        let url = format!("{}/metrics", variable(&format!("MILLRACE_INTERNAL_ORDER_{instance}")));
        let text = integration::get(url).await.expect("metrics").text().await.expect("text");
        let committed = text
            .lines()
            .filter(|line| line.starts_with("millrace_engine_transactions_committed_total"));
        committed.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let before = [worked("0").await, worked("1").await];
    eventually("both work", RECOVERY_MAX, async || {
        ada.order(&[(&sku, 1)]).await;
        let after = [worked("0").await, worked("1").await];
        must(after[0] > before[0] && after[1] > before[1], (before, after))
    })
    .await;

    // When the first is killed, then the second decides all
    system.control.kill("order-0").await.expect("killed");
    eventually("eight orders in a row are confirmed", RECOVERY_MAX, async || {
        for _ in 0..8 {
            ada.client.place_order(&[(&sku, 1)]).wait(5).answer().await.expect_code(201)?;
        }
        Ok(())
    })
    .await;

    // And when it runs again and the second stops in order, they still are
    system.restart("order-0").await;
    system.control.stop("order-1").await.expect("stopped");
    eventually("orders are confirmed", RECOVERY_MAX, async || {
        ada.client.place_order(&[(&sku, 1)]).wait(5).answer().await.expect_code(201).map(drop)
    })
    .await;
}

/// Checks that everything that was received is free or held.
async fn stock_adds_up(client: &integration::client::Client, sku: &str, received: i64, held: i64) {
    eventually("received = free + held", RECOVERY_MAX, async || {
        let product = client.get(&format!("/v1/products/{sku}")).answer().await;
        let available = product.expect_code(200)?.body["available"].as_i64();
        must(available == Some(received - held), (&product.body, received, held))
    })
    .await;
}
