//! Services are independent: while one is stopped, requests that the others decide are answered as
//! promptly as always. A member of a consumer group that has stopped keeps its partitions for the
//! session timeout of 10 s. All requests here are sent within that time, and none waits so long.

use std::time::{Duration, Instant};

use integration::{client::Client, stack::services};

use crate::support::{Judge, PASSWORD, Send, System, any_email, system};

/// How long a request waits for its outcome, in seconds; a log-in always waits for as long.
const WAIT: u32 = 5;
/// For how long requests are sent: some commands then fall to every partition.
const SENDING: Duration = Duration::from_secs(4);

/// Registers a user and logs in: commands of the user service.
async fn register_and_log_in(system: &System) {
    let (visitor, email) = (system.visitor(), any_email("Bob"));
    visitor.register(&email, PASSWORD, "Bob").wait(WAIT).answer().await.expect(201);
    visitor.log_in(&email, PASSWORD).answer().await.expect(200);
}

/// Receives stock and orders it: commands of the order service.
async fn receive_and_order(admin: &Client, sku: &str) {
    admin.receive_stock(sku, 1).wait(WAIT).answer().await.expect_one_of(&[200, 201]);
    admin.place_order(&[(sku, 1)]).wait(WAIT).answer().await.expect(201);
}

#[tokio::test]
#[ignore = "needs the stack"]
async fn stopped_service_delays_no_request_that_the_others_decide() {
    let system = system().await;
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 1).await;
    for service in services() {
        // Given a service that has stopped
        let (stopped, part) = (service.name, service.instance(0));
        system.control.stop(&part).await.expect("stopped");

        // When users send commands to the others, then each is answered with its outcome
        let (begun, mut count, mut longest) = (Instant::now(), 0, Duration::ZERO);
        while begun.elapsed() < SENDING {
            let round = Instant::now();
            if stopped != "user" {
                register_and_log_in(&system).await;
            }
            if stopped != "order" {
                receive_and_order(&admin, &sku).await;
            }
            (count, longest) = (count + 1, longest.max(round.elapsed()));
        }
        println!("without {stopped}: {count} rounds, the longest {longest:?}");
        system.restart(&part).await;
    }
}
