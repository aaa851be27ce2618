//! Wrong passwords from many addresses: clients that an account does not know delay one another,
//! and never one that has given the right password from its address before.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use serde_json::json;
use warp::{http::Response, hyper::body::Bytes};

use crate::support::*;

const RIGHT: &str = "correct horse";
const WRONG: &str = "battery staple";

/// A client in a /64 of the network 2001:db8:`site`::/48.
fn within(site: u16, subnet: u16) -> IpAddr {
    IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, site, subnet, 0, 0, 0, 1))
}

/// One of many IPv4 clients.
fn elsewhere(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([198, 18, high, low])
}

impl Gateway {
    /// Tries a password of Ada's account.
    async fn try_from(&self, client: IpAddr, password: &str) -> Response<Bytes> {
        let body = json!({ "email": "ada@example.org", "password": password });
        self.send_from(client, request("POST", "/v1/sessions").json(&body)).await
    }

    async fn guess(&self, clients: impl IntoIterator<Item = IpAddr>) {
        for client in clients {
            assert_eq!(self.try_from(client, WRONG).await.status(), 401, "{client}");
        }
    }

    async fn logs_in(&self, client: IpAddr) {
        assert_eq!(self.try_from(client, RIGHT).await.status(), 200, "{client}");
    }

    async fn is_delayed(&self, client: IpAddr, seconds: &str) {
        let delayed = self.try_from(client, RIGHT).await;
        assert_problem(&delayed, 429, "too_many_attempts");
        assert_eq!(header(&delayed, "retry-after"), seconds, "{client}");
    }

    /// For how many days Ada's account knows each of its clients.
    fn known_for_days(&self) -> Vec<u64> {
        let inner = self.world.inner();
        let marks = inner.marks.values().flatten();
        marks.map(|(_, left)| left.as_secs() / 86_400).collect()
    }

    /// Lets time pass for all claims.
    fn pass(&self, time: Duration) {
        self.world.inner().claims.retain(|_, (_, left)| {
            *left = left.saturating_sub(time);
            !left.is_zero()
        });
    }
}

async fn with_ada() -> Gateway {
    let gateway = gateway();
    gateway.user("ada@example.org").await;
    gateway
}

#[tokio::test]
async fn clients_of_one_ipv6_customer_delay_one_another_and_no_others() {
    let gateway = with_ada().await;
    gateway.guess((0..20).map(|subnet| within(1, subnet))).await;
    gateway.is_delayed(within(1, 20), "1").await;
    gateway.logs_in(within(1, 0x100)).await;
    gateway.logs_in(elsewhere(1)).await;
    // Each further one begins a longer delay, up to the longest.
    for (subnet, delay) in (21..).zip(["2", "4", "8", "16", "32", "60", "60"]) {
        gateway.pass(Duration::from_secs(60));
        gateway.guess([within(1, subnet)]).await;
        gateway.is_delayed(within(1, 0xff), delay).await;
    }
}

#[tokio::test]
async fn clients_of_one_ipv6_site_delay_one_another_and_no_others() {
    let gateway = with_ada().await;
    gateway.guess((0..100).map(|customer| within(1, customer << 8))).await;
    gateway.is_delayed(within(1, 100 << 8), "1").await;
    gateway.logs_in(within(2, 0)).await;
    for (customer, delay) in (100..).zip(["2", "4", "8", "16", "30", "30"]) {
        gateway.pass(Duration::from_secs(30));
        gateway.guess([within(1, customer << 8)]).await;
        gateway.is_delayed(within(1, 0xff << 8), delay).await;
    }
}

#[tokio::test]
async fn client_that_has_given_the_right_password_before_waits_for_nobody_else() {
    let gateway = with_ada().await;
    let owner = within(1, 7);
    gateway.logs_in(owner).await;
    // Given guesses from the owner's network and from everywhere, which are delayed by now
    gateway.guess((10..30).map(|subnet| within(1, subnet))).await;
    gateway.guess((0..280).map(elsewhere)).await;
    gateway.is_delayed(within(1, 8), "1").await;
    gateway.is_delayed(elsewhere(1_000), "5").await;
    gateway.guess([elsewhere(1)]).await;
    gateway.is_delayed(elsewhere(2), "5").await;

    // Then the owner is not, also after mistyping
    gateway.guess([owner]).await;
    gateway.logs_in(owner).await;
    // And counts as known for longer than a session lasts
    assert_eq!(gateway.known_for_days(), [60, 60], "this client and the one that registered");
}

#[tokio::test]
async fn account_knows_a_bounded_number_of_clients_which_are_the_newest() {
    let gateway = with_ada().await;
    for number in 0..=32 {
        gateway.logs_in(elsewhere(number)).await;
    }
    // The first one is known again, instead of the one that was the oldest then.
    gateway.logs_in(elsewhere(1)).await;
    gateway.logs_in(elsewhere(0)).await;
    assert_eq!(gateway.known_for_days(), [60; 32]);

    gateway.guess((100..400).map(elsewhere)).await;
    gateway.logs_in(elsewhere(0)).await;
    gateway.logs_in(elsewhere(1)).await;
    gateway.is_delayed(elsewhere(2), "5").await;
    gateway.logs_in(elsewhere(3)).await;
}

#[tokio::test]
async fn first_attempt_of_an_unknown_client_waits_once_after_very_many_guesses() {
    let gateway = with_ada().await;
    gateway.guess((0..300).map(elsewhere)).await;
    let (owner, guesser) = (elsewhere(1_000), elsewhere(1_001));
    gateway.is_delayed(owner, "5").await;
    gateway.is_delayed(guesser, "5").await;
    gateway.pass(Duration::from_secs(4));
    gateway.is_delayed(owner, "1").await;
    gateway.pass(Duration::from_secs(1));
    // The wait is over for each of them, whatever the others do.
    gateway.guess([guesser]).await;
    gateway.logs_in(owner).await;
    gateway.logs_in(owner).await;
    // The attempt may be made within a minute; who comes back too late waits again.
    gateway.is_delayed(elsewhere(1_003), "5").await;
    gateway.pass(Duration::from_secs(5 + 59));
    gateway.logs_in(elsewhere(1_003)).await;
    gateway.is_delayed(elsewhere(1_002), "5").await;
    gateway.pass(Duration::from_secs(65));
    gateway.is_delayed(elsewhere(1_002), "5").await;
}
