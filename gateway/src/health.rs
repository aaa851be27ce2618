//! The health of the gateway's parts: the log, the registry, the stores.

use std::{collections::BTreeMap, error::Error, sync::Arc};

/// Why a part does not work. Shared, because the health is cached between two checks.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// The gateway's parts by name, each with why it does not work, if it does not.
pub type Health = BTreeMap<&'static str, Result<(), Cause>>;

/// Whether a gateway in this health should get requests. Without Redis it answers them, but more
/// slowly and without counting them.
pub fn is_ready(health: &Health) -> bool {
    health.iter().all(|(part, health)| health.is_ok() || *part == "redis")
}

/// A [`Cause`] from an error or a text.
pub fn cause(error: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
    Arc::from(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_is_ready_without_redis_but_not_without_postgres() {
        let without = |part| Health::from([(part, Err(cause("no answer"))), ("log", Ok(()))]);
        assert!(is_ready(&without("redis")));
        assert!(!is_ready(&without("postgres")));
    }
}
