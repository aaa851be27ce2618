//! Customers who order through nginx while the system is disturbed, and the checks at the end: each
//! order has one outcome, is confirmed, and has taken its pieces from stock once. An order that was
//! not acknowledged is sent again with its `Idempotency-Key`.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use integration::client::{Answer, Client, Request};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::docker::Docker;

/// The number of customers who order at the same time.
const PEOPLE: usize = 3;
/// The pause between two orders of a customer.
const PAUSE: Duration = Duration::from_millis(150);
/// How long an order is repeated until it is acknowledged, and how long a read model may lag.
const TRY_MAX: Duration = Duration::from_secs(120);
/// The status of an order that was rejected at its deadline.
const DEADLINE_STATUS: u16 = 409;
/// Pieces in stock.
const PIECES: i64 = 1_000_000;

/// A product, and a customer who buys it.
#[derive(Clone)]
pub(crate) struct Shop {
    admin: Arc<Client>,
    ada: Arc<Client>,
    ada_login: (String, String),
    sku: String,
    sold: Arc<AtomicI64>,
}

impl Shop {
    /// Adds a product and a customer of its own at `host`, through nginx.
    pub(crate) async fn open(docker: &Docker, host: &str) -> anyhow::Result<Self> {
        let url = format!("http://{host}:3000");
        let mark = Uuid::new_v4().simple().to_string();
        let (sku, email, password) = (
            format!("sold-{}", &mark[..12]),
            format!("{mark}@millrace.example"),
            format!("password {mark}"),
        );
        let path = "/var/lib/millrace/secrets/admin-password";
        let secret = docker.compose(&["exec", "-T", "gateway-0", "cat", path]).await?;
        let admin = Arc::new(log_in(&url, "admin@millrace.example", secret.trim()).await?);
        done(|| admin.add_product(&sku, "Something", 349).key(&mark)).await?;
        done(|| admin.receive_stock(&sku, PIECES).key(&format!("{mark}-stock"))).await?;
        let visitor = Client::new(&url)?;
        done(|| visitor.register(&email, &password, "Ada").key(&mark)).await?;
        let ada = Arc::new(log_in(&url, &email, &password).await?);
        Ok(Self { admin, ada, ada_login: (email, password), sku, sold: Arc::default() })
    }

    /// Logs the customer in again, because a token is valid for ten minutes.
    pub(crate) async fn again(mut self, host: &str) -> anyhow::Result<Self> {
        let (email, password) = &self.ada_login;
        self.ada = Arc::new(log_in(&format!("http://{host}:3000"), email, password).await?);
        Ok(self)
    }

    /// Orders once, waits for the confirmation, and returns the order's id.
    pub(crate) async fn order(&self) -> anyhow::Result<String> {
        self.buy(&Uuid::new_v4().to_string()).await?.context("the order met its deadline")
    }

    async fn buy(&self, key: &str) -> anyhow::Result<Option<String>> {
        let order = self.order_under(key).await?;
        self.sold.fetch_add(i64::from(order.is_some()), Ordering::Relaxed);
        Ok(order)
    }

    /// Orders under a key. Returns `None` if the order was rejected at its deadline of 30 s,
    /// because stock had not been reserved.
    async fn order_under(&self, key: &str) -> anyhow::Result<Option<String>> {
        let placed = done(|| self.ada.place_order(&[(&self.sku, 1)]).key(key)).await?;
        if placed.status == DEADLINE_STATUS {
            return Ok(None);
        }
        ensure!(placed.text("status") == Some("confirmed"), "the order is {}", placed.body);
        Ok(Some(placed.location_id().context("an order without an address")?.to_owned()))
    }

    /// Checks that the order exists and is confirmed.
    pub(crate) async fn has(&self, order: &str) -> anyhow::Result<()> {
        let answer = done(|| self.ada.get(&format!("/v1/orders/{order}"))).await?;
        ensure!(answer.text("status") == Some("confirmed"), "order {order} is {}", answer.body);
        Ok(())
    }

    /// Lets the customers begin to order.
    pub(crate) fn busy(&self) -> Busy {
        let (stop, confirmed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let people = (0..PEOPLE).map(|_| {
            let (shop, stop, confirmed) = (self.clone(), stop.clone(), confirmed.clone());
            tokio::spawn(async move { shop.order_until(&stop, &confirmed).await })
        });
        Busy { shop: self.clone(), people: people.collect(), stop, confirmed }
    }

    async fn order_until(
        &self,
        stop: &AtomicBool,
        confirmed: &AtomicUsize,
    ) -> anyhow::Result<Vec<Order>> {
        let mut orders = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let (key, begun) = (Uuid::new_v4().to_string(), Instant::now());
            let id = self.buy(&key).await?;
            orders.push(Order { key, id, took: begun.elapsed() });
            confirmed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(orders)
    }
}

struct Order {
    key: String,
    id: Option<String>,
    took: Duration,
}

/// Customers who are ordering.
pub(crate) struct Busy {
    shop: Shop,
    people: Vec<JoinHandle<anyhow::Result<Vec<Order>>>>,
    stop: Arc<AtomicBool>,
    confirmed: Arc<AtomicUsize>,
}

impl Busy {
    /// Waits until this many more orders are confirmed; returns how long that took.
    pub(crate) async fn more(&self, orders: usize) -> anyhow::Result<Duration> {
        let (begun, wanted) = (Instant::now(), self.confirmed.load(Ordering::Relaxed) + orders);
        while self.confirmed.load(Ordering::Relaxed) < wanted {
            ensure!(begun.elapsed() < TRY_MAX, "no {orders} more orders in {TRY_MAX:?}");
            // A customer's task that ends before `stop` has failed; `stop` returns the error.
            if self.people.iter().all(JoinHandle::is_finished) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(begun.elapsed())
    }

    /// Ends the orders and checks the sums.
    pub(crate) async fn stop(self) -> anyhow::Result<Sums> {
        self.stop.store(true, Ordering::Relaxed);
        let mut orders = Vec::new();
        for person in self.people {
            orders.extend(person.await.context("a person who orders")??);
        }
        let made = orders.iter().filter(|order| order.id.is_some()).count();
        let ids: BTreeSet<_> = orders.iter().filter_map(|order| order.id.as_ref()).collect();
        ensure!(ids.len() == made, "{made} orders were confirmed under {} ids", ids.len());
        // A repetition under the same key returns the same order.
        for some in orders.chunks(8) {
            let again =
                try_join_all(some.iter().map(|order| self.shop.order_under(&order.key))).await?;
            ensure!(
                again.iter().eq(some.iter().map(|order| &order.id)),
                "a key answers with another order"
            );
        }
        let wanted = PIECES - self.shop.sold.load(Ordering::Relaxed);
        let begun = Instant::now();
        loop {
            let product =
                done(|| self.shop.admin.get(&format!("/v1/products/{}", self.shop.sku))).await?;
            let left = product.body["available"].as_i64();
            if left == Some(wanted) {
                break;
            }
            ensure!(begun.elapsed() < TRY_MAX, "{left:?} pieces are left, not {wanted}");
            tokio::time::sleep(PAUSE).await;
        }
        let longest = orders.iter().map(|order| order.took).max().unwrap_or_default();
        Ok(Sums { confirmed: made, rejected: orders.len() - made, longest })
    }
}

/// The results of the orders: each was confirmed or rejected once, and a repetition returns the
/// same answer.
pub(crate) struct Sums {
    confirmed: usize,
    /// Orders that were rejected at their deadline.
    pub(crate) rejected: usize,
    pub(crate) longest: Duration,
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let longest = self.longest.as_secs_f64();
        write!(
            f,
            "{} orders, each confirmed once, the longest after {longest:.1} s",
            self.confirmed
        )?;
        match self.rejected {
            0 => Ok(()),
            rejected => write!(f, "; {rejected} more rejected at their deadline"),
        }
    }
}

/// Logs in, and retries until that works: the gateway registers the first admin by a command at its
/// start.
async fn log_in(url: &str, email: &str, password: &str) -> anyhow::Result<Client> {
    let (visitor, begun) = (Client::new(url)?, Instant::now());
    loop {
        match visitor.log_in(email, password).send().await {
            Ok(Answer { status: 200 | 201, body, .. }) => {
                let token =
                    body["access_token"].as_str().context("a session without a token")?.to_owned();
                return Ok(visitor.with_token(token));
            }
            other if begun.elapsed() > TRY_MAX => bail!("{email} can't log in: {other:?}"),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Sends a request until it is done.
async fn done(request: impl Fn() -> Request) -> anyhow::Result<Answer> {
    let begun = Instant::now();
    loop {
        let answer = request().wait(10).send().await;
        match answer {
            Ok(answer) if [200, 201].contains(&answer.status) => return Ok(answer),
            // This response is final: it is the order's outcome.
            Ok(answer)
                if answer.status == DEADLINE_STATUS && answer.text("code") == Some("deadline") =>
            {
                return Ok(answer);
            }
            // 202: not decided yet. 404: a read model lags. 409: the first attempt is still in
            // flight. Any other 4xx is final.
            Ok(answer)
                if (400..500).contains(&answer.status)
                    && ![404, 409, 429].contains(&answer.status) =>
            {
                bail!("{}: {} {}", answer.what, answer.status, answer.body)
            }
            Ok(answer) if begun.elapsed() > TRY_MAX => {
                bail!("{}: {} {}", answer.what, answer.status, answer.body)
            }
            Err(error) if begun.elapsed() > TRY_MAX => return Err(error.into()),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}
