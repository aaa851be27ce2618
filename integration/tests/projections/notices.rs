//! What a real Redis says to those who wait: versions that a read model holds, and changes of hot
//! products.

use std::{sync::mpsc, time::Duration};

use projections::redis::Tracked;

use crate::stories::{placed, product, received, registered, uuid};
use crate::support::Bench;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs the stack: integration/test"]
fn version_is_announced_after_the_read_model_holds_it() {
    let bench = Bench::new(12);
    let (orders, users) = (bench.one("orders"), bench.one("users"));
    let mut members = [bench.member("o", &*orders), bench.member("u", &*users)];
    let (order, user) = (uuid(41), uuid(42));
    let subscribed = |aggregate, id: uuid::Uuid| {
        bench.until(&mut [], "a subscription", || {
            bench.notices.subscribe_view(aggregate, &id.to_string())
        })
    };
    let mut of_order = subscribed("order", order);
    let mut of_user = subscribed("user", user);
    placed(&bench, order, user, 10);
    registered(&bench, user, "f");
    bench.until(&mut members, "both", || {
        bench.wait(bench.documents.order_version(order)).expect("an answer")?;
        bench.wait(bench.people.user_version(user)).expect("an answer")
    });
    let reached = bench.wait(async {
        tokio::time::timeout(WITHIN, async {
            of_order.reaches(1).await;
            of_user.reaches(2).await;
        })
        .await
    });
    reached.expect("both were announced");
}

#[test]
#[ignore = "needs the stack: integration/test"]
fn change_of_a_hot_product_is_reported_to_who_tracks() {
    let bench = Bench::new(13);
    let hot = bench.one("hot-products");
    let mut members = [bench.member("h", &*hot)];
    let (sender, reports) = mpsc::channel();
    let _entered = bench.runtime.enter();
    let _tracking = bench.hot.track_products(move |tracked| {
        // The test may have ended.
        let _ = sender.send(tracked);
    });
    assert_eq!(reports.recv_timeout(WITHIN), Ok(Tracked::Begun));
    product(&bench, "tea");
    received(&bench, "tea", 2);
    bench.until(&mut members, "the product", || {
        bench.wait(bench.hot.product("tea")).expect("an answer").filter(|tea| tea.version == 2)
    });
    assert_eq!(reports.recv_timeout(WITHIN), Ok(Tracked::Changed));
}
