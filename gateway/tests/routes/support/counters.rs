//! The simulated counters.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use gateway::counters::{Count, CounterError, Counters};

use super::world::World;

impl Counters for World {
    fn hit<'a>(
        &'a self,
        key: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<Count, CounterError>> {
        async move {
            let mut inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            let (count, left) = inner.counts.entry(key.to_owned()).or_insert((0, window));
            *count += 1;
            Ok(Count { count: *count, left: *left })
        }
        .boxed()
    }
    fn left<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Duration>, CounterError>> {
        async move {
            let inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            Ok(inner.counts.get(key).map(|(_, left)| *left))
        }
        .boxed()
    }
    fn undo<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            if let Some((count, _)) = self.inner().counts.get_mut(key) {
                *count = count.saturating_sub(1);
            }
            Ok(())
        }
        .boxed()
    }
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            self.inner().counts.remove(key);
            Ok(())
        }
        .boxed()
    }
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _window: Duration,
    ) -> BoxFuture<'a, Result<String, CounterError>> {
        async move {
            let mut inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            Ok(inner.claims.entry(key.to_owned()).or_insert_with(|| value.to_owned()).clone())
        }
        .boxed()
    }
    fn claimed<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, CounterError>> {
        async move {
            let inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            Ok(inner.claims.get(key).cloned())
        }
        .boxed()
    }
}
