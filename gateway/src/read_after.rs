//! `Read-After`: reading one's own writes. A read waits a little until the read models hold what it
//! names, and says how stale it is if they do not. Tells nothing of another's things.

use std::time::Duration;

use uuid::Uuid;
use warp::{http::HeaderName, reply::Response};

use crate::{
    auth::Caller,
    call::{Call, set},
    input,
    problem::Problem,
    reads::ReadError,
};

/// How long a read waits for what it is to come after.
const READ_AFTER_MAX: Duration = Duration::from_secs(2);
const READ_AFTER_EVERY: Duration = Duration::from_millis(20);
/// `Read-After` may name so many.
const READ_AFTER_COUNT_MAX: usize = 8;
const READ_AFTER: &str = "read-after";
const READ_AFTER_SATISFIED: HeaderName = HeaderName::from_static("read-after-satisfied");
const READ_AFTER_HELD: HeaderName = HeaderName::from_static("read-after-held");

impl Call {
    /// Waits until the read models hold what `Read-After` names, and answers with what came of it.
    /// Another's things are never held, so that nothing can be learnt of them.
    ///
    /// # Errors
    /// The problem to answer with, if the header can't be read.
    pub async fn read_after(&self) -> Result<ReadAfter, Problem> {
        let lines = self.headers.get_all(READ_AFTER).iter();
        let text: Vec<_> = lines.map(|line| line.to_str().unwrap_or("?")).collect();
        let mut wanted = Vec::new();
        for item in text.iter().flat_map(|line| line.split(',')) {
            wanted.push(Wanted::parse(item.trim()).ok_or_else(|| {
                Problem::invalid(
                    "Read-After: <aggregate>/<id>@<version>, such as order/4711@2, or several with commas.",
                )
            })?);
        }
        if wanted.is_empty() {
            return Ok(ReadAfter(None));
        }
        if wanted.len() > READ_AFTER_COUNT_MAX {
            return Err(Problem::invalid(format!(
                "Read-After names {READ_AFTER_COUNT_MAX} things at most."
            )));
        }
        let caller = self.caller().ok();
        let deadline = tokio::time::Instant::now() + READ_AFTER_MAX;
        loop {
            let mut stale = Vec::new();
            for wanted in &wanted {
                let held = self.held(caller.as_ref(), wanted).await?;
                if held.is_none_or(|held| held < wanted.version) {
                    stale.push(format!("{}/{}@{}", wanted.aggregate, wanted.id, held.unwrap_or(0)));
                }
            }
            if stale.is_empty() || tokio::time::Instant::now() >= deadline {
                let result = if stale.is_empty() { "held" } else { "stale" };
                self.state.metrics.read_after.with_label_values(&[result]).inc();
                return Ok(ReadAfter(Some(stale)));
            }
            tokio::time::sleep(READ_AFTER_EVERY).await;
        }
    }

    async fn held(
        &self,
        caller: Option<&Caller>,
        wanted: &Wanted,
    ) -> Result<Option<i64>, ReadError> {
        let reads = &self.state.reads;
        let own = |owner: Uuid| caller.is_some_and(|caller| caller.user_id == owner);
        let id = || Uuid::parse_str(&wanted.id).ok();
        Ok(match (wanted.aggregate.as_str(), id()) {
            ("stock", _) => reads.version("stock", &wanted.id).await?,
            ("user", Some(id)) if own(id) => reads.version("user", &id.to_string()).await?,
            ("order", Some(id)) => {
                reads.order(id).await?.filter(|order| own(order.user_id)).map(|o| o.version)
            }
            ("notification", Some(id)) => reads
                .notification(id)
                .await?
                .filter(|notification| own(notification.user_id))
                .map(|n| n.version),
            _ => None,
        })
    }
}

/// One thing that `Read-After` names.
struct Wanted {
    aggregate: String,
    id: String,
    version: i64,
}

impl Wanted {
    fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.rsplit_once('@')?;
        let (aggregate, id) = name.split_once('/')?;
        let known = ["user", "order", "stock", "notification"].contains(&aggregate);
        // Neither a SKU nor a UUID has quotes or commas, so a list of them is split at every comma.
        let id_fine = input::is_sku(id);
        let version = version.parse().ok().filter(|version| *version >= 0)?;
        (known && id_fine).then(|| Self { aggregate: aggregate.into(), id: id.into(), version })
    }
}

/// What came of `Read-After`: nothing was asked for, or what the read models do not hold yet.
pub struct ReadAfter(Option<Vec<String>>);

impl ReadAfter {
    /// Says so in the answer.
    pub fn told(self, mut response: Response) -> Response {
        if let Some(stale) = self.0 {
            set(
                &mut response,
                READ_AFTER_SATISFIED,
                if stale.is_empty() { "true" } else { "false" },
            );
            if !stale.is_empty() {
                set(&mut response, READ_AFTER_HELD, &stale.join(", "));
            }
        }
        response
    }
}
