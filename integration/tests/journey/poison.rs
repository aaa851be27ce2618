//! Records that can't be processed: they end as dead letters or refusals and delay no other record.

use std::time::Instant;

use redpanda::{partition_of, topics};
use schemas::{
    Message,
    order::{Command, PlaceOrder},
};
use serde_json::json;
use uuid::Uuid;

use crate::log::{codec, outcomes, read, write, write_all, write_to};
use crate::support::{Judge, SEEN_MAX, Send, any, eventually, must, system};

#[tokio::test]
#[ignore = "needs the stack"]
async fn poison_is_put_aside_and_blocks_nobody() {
    // Given a working shop
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    let before = read("order.commands.dead").await.len();

    // When someone writes what is no command: without a key, garbage, of a schema that nobody
    // knows, and another's record
    let mark = any();
    write("order.commands", None, format!("no key {mark}").as_bytes()).await;
    write(
        "order.commands",
        Some(&Uuid::new_v4().to_string()),
        format!("garbage {mark}").as_bytes(),
    )
    .await;
    let unknown = [&[0, 0x7f, 0xff, 0xff, 0xff][..], format!("unknown {mark}").as_bytes()].concat();
    write("order.commands", Some(&Uuid::new_v4().to_string()), &unknown).await;
    let mut outcome = Vec::new();
    let codec = codec().await;
    let product = schemas::stock::Command::from(schemas::stock::ReceiveStock {
        sku: sku.clone(),
        quantity: 1_000,
    });
    product.encode(&codec, &mut outcome).expect("a record");
    write("order.commands", Some(&sku), &outcome).await;

    // Then orders work as before
    for _ in 0..4 {
        ada.order(&[(&sku, 1)]).await;
    }

    // And all four are put aside, their bytes kept
    let dead = eventually("four dead letters", SEEN_MAX, async || {
        let dead = read("order.commands.dead").await;
        must(dead.len() >= before + 4, dead.len() - before)?;
        Ok(dead)
    })
    .await;
    let kept = |bytes: &[u8]| dead.iter().any(|letter| letter.value.as_deref() == Some(bytes));
    assert!(
        kept(format!("no key {mark}").as_bytes())
            && kept(format!("garbage {mark}").as_bytes())
            && kept(&unknown)
    );
    let product = admin.get(&format!("/v1/products/{sku}")).send().await.expect("an answer");
    assert_eq!(Some(6), product.expect(200).body["available"].as_i64(), "{}", product.body);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn a_command_without_headers_works_or_is_refused() {
    // Given something to order, and nothing but the topic
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    let me = ada.client.get("/v1/users/me").answer().await.string("id");
    let codec = codec().await;
    let order_id = Uuid::new_v4();

    // When an operator writes commands for a good and for a bad order, without headers
    let place = async |order_id: Uuid, sku: &str, quantity: i32| {
        let lines = vec![schemas::order::Line { sku: sku.to_owned(), quantity }];
        let command =
            Command::from(PlaceOrder { order_id, user_id: me.parse().expect("an id"), lines });
        let mut bytes = Vec::new();
        command.encode(&codec, &mut bytes).expect("a record");
        write("order.commands", Some(&order_id.to_string()), &bytes).await;
    };
    place(order_id, &sku, 3).await;
    let bad = Uuid::new_v4();
    place(bad, "no-such-thing", 1).await;

    // Then one is confirmed for its user
    let path = format!("/v1/orders/{order_id}");
    eventually("confirmed", SEEN_MAX, async || {
        let order =
            ada.client.get(&path).send().await.map_err(|error| integration::chain(&error))?;
        must(order.expect_code(200)?.text("status") == Some("confirmed"), &order.body)
    })
    .await;

    // And the other is refused with a reason
    eventually("a refusal", SEEN_MAX, async || {
        let outcomes = outcomes(&codec).await;
        let refusal =
            outcomes.values().flatten().find(|outcome| outcome.aggregate_id == bad.to_string());
        let refusal = refusal.ok_or("nothing yet")?;
        assert_eq!(Some("unknown_product"), refusal.code.as_deref());
        assert_eq!("operator", refusal.principal);
        Ok(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn dead_command_is_sent_again_once_however_often_it_is_asked_for() {
    // Given an order whose command was written to another partition than its key's
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 10).await;
    let ada = system.user("Ada").await;
    let me = ada.client.get("/v1/users/me").answer().await.string("id");
    let order_id = Uuid::new_v4();
    let key = order_id.to_string();
    let command = Command::from(PlaceOrder {
        order_id,
        user_id: me.parse().expect("an id"),
        lines: vec![schemas::order::Line { sku, quantity: 1 }],
    });
    let mut bytes = Vec::new();
    command.encode(&codec().await, &mut bytes).expect("a record");
    let partitions = topics::all().get("order.commands").expect("a declared topic").partitions;
    let wrong = (partition_of(key.as_bytes(), partitions) + 1) % partitions;
    write_to("order.commands", Some(wrong), Some(&key), &bytes).await;
    let letter = async || {
        eventually("the dead letter is on the desk", SEEN_MAX, async || {
            let letters = admin.get("/v1/operations/dead-letters").send().await;
            let letters = letters.map_err(|error| integration::chain(&error))?;
            let letter = letters.expect_code(200)?.items().iter().find(|it| it["key"] == key);
            letter.cloned().ok_or_else(|| "not there yet".to_owned())
        })
        .await
    };
    let found = letter().await;
    assert!(found["error"].to_string().contains("belongs to partition"), "{found}");
    assert!(found.get("resent_by").is_none(), "{found}");

    // When an admin sends it again several times, with and without the same idempotency key
    let resend = |idempotency_key: &str| {
        let body = json!({ "id": found["id"], "reason": "it was in the wrong partition" });
        let request = admin.post("/v1/operations/dead-letters:resend", &body);
        request.key(idempotency_key).wait(10)
    };
    let first_key = any();
    let first = resend(&first_key).answer().await;
    first.expect(200);
    assert_eq!(first.string("type"), "millrace.order.PlaceOrder");
    let repeated = resend(&first_key).answer().await;
    assert_eq!(repeated.expect(200).body["id"], first.body["id"]);
    resend(&any()).answer().await.problem(409, "already_sent_again");

    // Then the order is confirmed for its user, once, and the desk tells who has sent it and why
    eventually("confirmed", SEEN_MAX, async || {
        let order = ada.client.get(&format!("/v1/orders/{key}")).send().await;
        let order = order.map_err(|error| integration::chain(&error))?;
        must(order.expect_code(200)?.text("status") == Some("confirmed"), &order.body)
    })
    .await;
    let events = read("order.events").await;
    let placed = events.iter().filter(|event| event.key() == key);
    let placed = placed.filter(|event| event.header("ce_type").ends_with("OrderPlaced"));
    assert_eq!(placed.count(), 1);
    eventually("the desk shows it", SEEN_MAX, async || {
        let actions = admin.get("/v1/operations/actions").send().await;
        let actions = actions.map_err(|error| integration::chain(&error))?;
        let action = actions.expect_code(200)?.items().iter().find(|it| it["key"] == found["id"]);
        let action = action.ok_or("nothing yet")?;
        must(action["reason"] == "it was in the wrong partition", action)?;
        let by = letter().await["resent_by"].clone();
        must(by == first.body["id"] && by == action["command"], by)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn a_thousand_parked_keys_are_re_driven_by_one_request() {
    // Given a thousand keys, each parked behind a record that nobody can read
    let system = system().await;
    let admin = system.admin().await;
    let (mark, topic) = (any(), "stock.followups");
    write_all(topic, (0..1_000).map(|it| (format!("{mark}-{it}"), "Quark".to_owned()))).await;
    let path = "/v1/operations/parked:drop-all";
    let dry = format!("{path}?dry_run=true");
    let error = "malformed record: it begins with byte 81 instead of 0";
    eventually("all are parked", SEEN_MAX, async || {
        let body = json!({ "topic": topic, "error": error });
        let counted = admin.post(&dry, &body).send().await;
        let counted = counted.map_err(|error| integration::chain(&error))?;
        must(counted.expect_code(200)?.body["keys"] == 1_000, &counted.body)
    })
    .await;

    // When an admin gives up the first record of each, then all commands are accepted
    let body = json!({ "topic": topic, "error": error, "reason": "nobody can read them" });
    let begun = Instant::now();
    let done = admin.post(path, &body).wait(30).answer().await;
    let took = begun.elapsed();
    assert_eq!(done.expect(200).body["commands"]["accepted"], 1_000, "{}", done.body);
    eprintln!("1,000 parked keys were re-driven in {took:?}");
    eventually("none is parked", SEEN_MAX, async || {
        let counted = admin.post(&dry, &json!({ "topic": topic, "error": error })).send().await;
        let counted = counted.map_err(|error| integration::chain(&error))?;
        must(counted.expect_code(200)?.body["keys"] == 0, &counted.body)
    })
    .await;
}
