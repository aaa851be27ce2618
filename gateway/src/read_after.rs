//! `Read-After`: read-your-writes consistency. A read waits for a short time until the read models
//! hold the versions that the header names, and says how stale it is if they do not. It says
//! nothing about another user's aggregates.

use std::time::Duration;

use schemas::bounds;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;
use warp::{http::HeaderName, reply::Response};

use crate::{
    auth::Caller,
    call::Call,
    headers::set,
    load::Slot,
    problem::Problem,
    reads::{ProductSource, ReadError, Reads, has_versions},
};

/// How long a read waits for the versions.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// The polling interval for the versions.
const INTERVAL: Duration = Duration::from_millis(20);
/// How many versions the header may name.
const VERSIONS_MAX: usize = 8;
const READ_AFTER: &str = "read-after";
const SATISFIED: HeaderName = HeaderName::from_static("read-after-satisfied");
const HELD: HeaderName = HeaderName::from_static("read-after-held");

/// The result of `Read-After`.
pub struct ReadAfter {
    /// The versions that the read models do not hold yet; `None` without the header.
    stale: Option<Vec<String>>,
    /// Held until the response, if the request has waited.
    _wait_slot: Option<Slot>,
}

impl ReadAfter {
    /// Waits until the read models hold what the request's `Read-After` names. Another user's
    /// aggregate counts as never held, so that a client can't learn anything about it. A client
    /// that is not logged in does not wait, because one request would become a hundred reads; nor
    /// does one when too many reads wait already.
    ///
    /// # Errors
    /// Returns a 400 problem when the header can't be parsed, and 503 when a store does not answer.
    pub async fn wait(call: &Call) -> Result<Self, Problem> {
        let wanted = Wanted::all(call)?;
        if wanted.is_empty() {
            return Ok(Self { stale: None, _wait_slot: None });
        }
        let caller = call.caller().ok();
        let deadline = Instant::now() + WAIT_MAX;
        let mut slot = None;
        let mut last = None;
        let stale = loop {
            let stale = match timeout_at(deadline, stale(call, caller.as_ref(), &wanted)).await {
                Ok(stale) => stale?,
                // What the round before has found is still true, if there was one.
                Err(late) => break last.ok_or_else(|| ReadError::new("versions", late))?,
            };
            let is_held = stale.is_empty();
            if !is_held && caller.is_some() && slot.is_none() {
                slot = call.begin_wait();
            }
            if is_held || slot.is_none() || Instant::now() >= deadline {
                break stale;
            }
            last = Some(stale);
            sleep(INTERVAL).await;
        };
        let result = if stale.is_empty() { "held" } else { "stale" };
        call.state.metrics.read_after.with_label_values(&[result]).inc();
        Ok(Self { stale: Some(stale), _wait_slot: slot })
    }

    /// Whether the request has the header.
    pub fn is_asked(&self) -> bool {
        self.stale.is_some()
    }

    /// The response with the `Read-After` headers.
    pub fn apply_headers(self, mut response: Response) -> Response {
        let Some(stale) = self.stale else { return response };
        set(&mut response, SATISFIED, if stale.is_empty() { "true" } else { "false" });
        if !stale.is_empty() {
            set(&mut response, HELD, &stale.join(", "));
        }
        response
    }
}

/// What the read models do not hold yet, as they hold it.
async fn stale(
    call: &Call,
    caller: Option<&Caller>,
    all: &[Wanted],
) -> Result<Vec<String>, ReadError> {
    let mut stale = Vec::new();
    for Wanted { aggregate, id, version } in all {
        let held = held(&*call.state.reads, caller, aggregate, id).await?;
        if held.is_none_or(|held| held < *version) {
            stale.push(format!("{aggregate}/{id}@{}", held.unwrap_or(0)));
        }
    }
    Ok(stale)
}

/// One version that the header names.
struct Wanted {
    aggregate: String,
    id: String,
    version: i64,
}

impl Wanted {
    fn all(call: &Call) -> Result<Vec<Self>, Problem> {
        let invalid = || {
            let detail = "Read-After: expected <aggregate>/<id>@<version>, such as order/4711@2, \
                          or several of them separated by commas.";
            Problem::invalid(detail)
        };
        let lines = call.headers.get_all(READ_AFTER).iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().unwrap_or("?")).collect();
        let items = lines.iter().flat_map(|line| line.split(','));
        let wanted: Option<Vec<_>> = items.map(|item| Self::parse(item.trim())).collect();
        let wanted = wanted.ok_or_else(invalid)?;
        if wanted.len() > VERSIONS_MAX {
            let detail = format!("Read-After: expected at most {VERSIONS_MAX} versions.");
            return Err(Problem::invalid(detail));
        }
        Ok(wanted)
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.rsplit_once('@')?;
        let (aggregate, id) = name.split_once('/')?;
        // Neither a SKU nor a UUID holds a comma, so the list is split at every comma.
        let is_valid = has_versions(aggregate) && bounds::is_sku(id);
        let version = version.parse().ok().filter(|version| *version >= 0)?;
        is_valid.then(|| Self { aggregate: aggregate.into(), id: id.into(), version })
    }
}

/// The version of an aggregate that the read model holds; `None` also for another user's.
///
/// # Errors
/// When a store does not answer.
pub(crate) async fn held(
    reads: &dyn Reads,
    caller: Option<&Caller>,
    aggregate: &str,
    id: &str,
) -> Result<Option<i64>, ReadError> {
    let is_own = |owner: Uuid| caller.is_some_and(|caller| caller.user_id == owner);
    match (aggregate, Uuid::parse_str(id).ok()) {
        ("stock", _) => {
            // A read that names versions shows products from there, and from nowhere else.
            let product = reads.product(id, ProductSource::Documents).await?;
            Ok(product.map(|product| product.version))
        }
        ("user", Some(id)) if is_own(id) => reads.version("user", &id.to_string()).await,
        ("order", Some(id)) => {
            let order = reads.order(id).await?.filter(|order| is_own(order.user_id));
            Ok(order.map(|order| order.version))
        }
        ("notification", Some(id)) => {
            let notification = reads.notification(id).await?;
            let own = notification.filter(|notification| is_own(notification.user_id));
            Ok(own.map(|notification| notification.version))
        }
        _ => Ok(None),
    }
}
