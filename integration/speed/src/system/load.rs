//! Sends requests when they are due and notes what came back. It waits for no answer before the
//! next request, and repeats nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::Histogram;
use integration::client::{Answer, Client};
use tokio::{task::JoinSet, time::Instant};

use super::{
    Mix,
    shop::{PASSWORD, Shop},
};

/// A latency above this counts as this, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;
/// How long a request asks the gateway to wait for its outcome, in seconds.
const WAIT_S: u32 = 10;
/// The status that stands for a request that was not answered: cut off or timed out.
pub(super) const UNANSWERED: u16 = 0;

/// An order that was answered with 201.
#[derive(Clone, Debug)]
pub(super) struct Confirmed {
    pub(super) id: String,
    pub(super) user: usize,
    pub(super) pieces: i64,
}

/// What one step has seen.
pub(super) struct Step {
    pub(super) sent: usize,
    /// The seconds from the first request until the last answer.
    pub(super) seconds: f64,
    /// When requests were sent, in milliseconds since the epoch.
    pub(super) window_ms: (i64, i64),
    pub(super) statuses: BTreeMap<u16, usize>,
    /// Of requests that were accepted, in microseconds from when they were due. A refusal because
    /// of load takes no time and would hide theirs; a request without an answer counts as the
    /// longest.
    pub(super) latencies: Histogram<u64>,
}

impl Step {
    /// How many requests have got what they asked for.
    pub(super) fn done(&self) -> usize {
        let done = self.statuses.iter().filter(|(status, _)| [200, 201].contains(*status));
        done.map(|(_, count)| count).sum()
    }
}

/// Sends the requests of a mix.
pub(super) struct Load {
    shop: Shop,
    mix: Mix,
    callers: Arc<Callers>,
    confirmed: Arc<Mutex<Vec<Confirmed>>>,
}

/// Clients that have nothing to do now, by user. Each speaks from addresses of its own and keeps
/// its connection, so requests that overlap come from different clients.
#[derive(Default)]
struct Callers(Mutex<BTreeMap<usize, Vec<Client>>>);

impl Callers {
    fn take(&self, shop: &Shop, user: usize) -> anyhow::Result<Client> {
        let free =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&user).and_then(Vec::pop);
        free.map_or_else(|| shop.user(user), Ok)
    }

    fn give_back(&self, user: usize, client: Client) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(user).or_default().push(client);
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Load {
    pub(super) fn new(shop: Shop, mix: Mix) -> Self {
        Self { shop, mix, callers: Arc::default(), confirmed: Arc::default() }
    }

    /// Every order that was answered with 201 so far.
    pub(super) fn confirmed(&self) -> Vec<Confirmed> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends `rate` requests a second and waits for all answers.
    ///
    /// # Errors
    /// When the histogram cannot be created.
    pub(super) async fn run(&self, rate: u64, time: Duration) -> anyhow::Result<Step> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?;
        // Tokens may be new.
        self.callers.clear();
        let count = usize::try_from(rate * time.as_secs()).unwrap_or(usize::MAX);
        let (begun, gap) =
            (Instant::now(), Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1));
        let began_ms = now_ms();
        let mut answers = JoinSet::new();
        for number in 0..count {
            let due = begun + gap * u32::try_from(number).unwrap_or(u32::MAX);
            tokio::time::sleep_until(due).await;
            let (shop, mix) = (self.shop.clone(), self.mix);
            let (callers, confirmed) = (self.callers.clone(), self.confirmed.clone());
            answers.spawn(async move {
                let user = number % shop.users();
                let status = match callers.take(&shop, user) {
                    Ok(client) => {
                        let answer = ask(&client, &shop, mix, number).await;
                        callers.give_back(user, client);
                        match answer {
                            Ok(answer) => note(&answer, user, mix, &confirmed),
                            Err(_) => UNANSWERED,
                        }
                    }
                    Err(_) => UNANSWERED,
                };
                (status, due.elapsed())
            });
        }
        let window_ms = (began_ms, now_ms());
        let (seconds, statuses) = (0.0, BTreeMap::new());
        let mut step = Step { sent: count, seconds, window_ms, statuses, latencies };
        while let Some(answer) = answers.join_next().await {
            let (status, took) = answer.unwrap_or((UNANSWERED, Duration::ZERO));
            *step.statuses.entry(status).or_default() += 1;
            if [200, 201, 202].contains(&status) {
                let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                step.latencies.saturating_record(us.min(LATENCY_US_MAX));
            } else if status == UNANSWERED {
                step.latencies.saturating_record(LATENCY_US_MAX);
            }
        }
        // An overloaded system answers long after the last request was sent.
        step.seconds = begun.elapsed().max(time).as_secs_f64();
        Ok(step)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn note(answer: &Answer, user: usize, mix: Mix, confirmed: &Mutex<Vec<Confirmed>>) -> u16 {
    if answer.status == 201
        && answer.what == "POST /v1/orders"
        && let Some(id) = answer.location_id()
    {
        let pieces = if mix == Mix::Lines { 3 } else { 1 };
        let order = Confirmed { id: id.to_owned(), user, pieces };
        confirmed.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    }
    answer.status
}

async fn ask(
    client: &Client,
    shop: &Shop,
    mix: Mix,
    number: usize,
) -> Result<Answer, reqwest::Error> {
    // Neighbours in time differ in everything; a prime step visits all products.
    let sku = |line: usize| shop.sku(number * 37 + line);
    let order = |lines: &[(&str, i64)]| client.place_order(lines).wait(WAIT_S);
    match mix {
        Mix::Orders => order(&[(shop.sku(0), 1)]).send().await,
        Mix::Spread => order(&[(sku(0), 1)]).send().await,
        Mix::Lines => order(&[(sku(0), 1), (sku(1), 1), (sku(2), 1)]).send().await,
        Mix::Reads if number.is_multiple_of(2) => client.get("/v1/products").send().await,
        Mix::Reads => client.get("/v1/orders").send().await,
        Mix::Accounts => account(client).await,
        Mix::Everything => match number % 10 {
            0 => account(client).await,
            1..=3 => order(&[(sku(0), 1)]).send().await,
            even if even % 2 == 0 => client.get("/v1/products").send().await,
            _ => client.get("/v1/orders").send().await,
        },
    }
}

async fn account(client: &Client) -> Result<Answer, reqwest::Error> {
    let email = format!("{:032x}@millrace.example", rand::random::<u128>());
    let registered = client.register(&email, PASSWORD, "Load").wait(WAIT_S).send().await?;
    if registered.status != 201 {
        return Ok(registered);
    }
    client.log_in(&email, PASSWORD).send().await
}
