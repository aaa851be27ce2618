//! Servers that are killed, emptied or restarted: requests are answered meanwhile as far as they
//! can be, and the system recovers by itself.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::log::ids_in;
use crate::support::{Judge, RECOVERY_MAX, Send, eventually, must, system, variable};

#[tokio::test]
#[ignore = "needs the stack"]
async fn registry_that_was_killed_has_the_same_ids() {
    // Given what the registry knows
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    let registry = variable("MILLRACE_REGISTRY_URL");
    // It may have lost its connections to PostgreSQL in another test.
    let before = eventually("it knows all schemas", RECOVERY_MAX, async || {
        let known = ids_in(&registry).await;
        must(known.len() >= schemas::all().len(), known.len())?;
        Ok(known)
    })
    .await;

    // When it is killed, then running services continue without it
    system.control.kill("apicurio").await.expect("killed");
    ada.order(&[(&sku, 1)]).await;

    // And when it is back, it knows the same schemas under the same ids
    system.restart("apicurio").await;
    eventually("the same ids", RECOVERY_MAX, async || {
        let now = ids_in(&registry).await;
        must(before == now, (before.len(), now.len()))
    })
    .await;

    // And a service that starts now finds its own
    system.control.stop("order-0").await.expect("stopped");
    system.restart("order-0").await;
    ada.order(&[(&sku, 1)]).await;
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn redis_that_was_emptied_is_filled_again() {
    // Given orders, and a Redis that knows of them
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;
    let first = ada.order(&[(&sku, 1)]).await;

    // When it is emptied and killed
    redis("FLUSHALL").await;
    system.control.kill("redis").await.expect("killed");

    // Then reads are still answered, and a command is taken, its outcome known or not
    let listed = ada.client.get("/v1/orders").answer().await;
    assert!(listed.expect(200).body.to_string().contains(&first), "{}", listed.body);
    ada.client.get(&format!("/v1/products/{sku}")).answer().await.expect(200);
    ada.client.get("/v1/notifications").answer().await.expect(200);
    let meanwhile = ada.client.place_order(&[(&sku, 1)]).wait(5).answer().await;
    meanwhile.expect_one_of(&[201, 202]);

    // And when it runs again, it is filled again and orders work
    system.restart("redis").await;
    eventually("orders are answered", RECOVERY_MAX, async || {
        ada.client.place_order(&[(&sku, 1)]).wait(5).answer().await.expect_code(201).map(drop)
    })
    .await;
    eventually("three orders and their sum", RECOVERY_MAX, async || {
        let orders = ada.client.get("/v1/orders").answer().await;
        let product = ada.client.get(&format!("/v1/products/{sku}")).answer().await;
        let confirmed = orders.expect_code(200)?.items().len();
        must(confirmed >= 3, confirmed)?;
        must(
            product.body["available"].as_i64()
                == Some(100 - i64::try_from(confirmed).expect("few")),
            &product.body,
        )
    })
    .await;
    eventually("Redis is filled", RECOVERY_MAX, async || {
        must(redis("DBSIZE").await != ":0", "empty")
    })
    .await;
}

async fn redis(command: &str) -> String {
    let address = variable("MILLRACE_REDIS_URL").trim_start_matches("redis://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("Redis");
    stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("sent");
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[..length]).trim().to_owned()
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn postgres_that_was_killed_is_used_again_after_its_restart() {
    // Given a user, and an order
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 100).await;
    let ada = system.user("Ada").await;

    // When PostgreSQL is killed and started again
    system.control.kill("postgres").await.expect("killed");
    let meanwhile = ada.client.place_order(&[(&sku, 1)]).answer().await;
    meanwhile.expect(202);
    system.restart("postgres").await;

    // Then log-in, outcomes and orders work again, and what was taken meanwhile is done
    let session = async || {
        system
            .visitor()
            .log_in(&ada.email, crate::support::PASSWORD)
            .answer()
            .await
            .expect_code(200)
            .map(drop)
    };
    eventually("she can log in", RECOVERY_MAX, session).await;
    let command = format!("/v1/commands/{}", meanwhile.location_id().expect("an id"));
    eventually("the order is accepted", RECOVERY_MAX, async || {
        let state = ada.client.get(&command).answer().await;
        must(state.expect_code(200)?.text("state") == Some("accepted"), &state.body)
    })
    .await;
    ada.order(&[(&sku, 1)]).await;
    system.user("Bob").await;
}
