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
            let count = inner.counts.get(key).map(|(_, left)| *left);
            Ok(count.or_else(|| inner.claims.get(key).map(|(_, left)| *left)))
        }
        .boxed()
    }
    fn undo<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            // It takes a moment, in which a request can be cut off.
            tokio::task::yield_now().await;
            let mut inner = self.inner();
            if let Some((count, _)) = inner.counts.get_mut(key) {
                *count -= 1;
            }
            inner.counts.retain(|_, (count, _)| *count > 0);
            Ok(())
        }
        .boxed()
    }
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            let mut inner = self.inner();
            inner.counts.remove(key);
            inner.claims.remove(key);
            Ok(())
        }
        .boxed()
    }
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        window: Duration,
    ) -> BoxFuture<'a, Result<String, CounterError>> {
        async move {
            let mut inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            let claim = inner.claims.entry(key.to_owned());
            Ok(claim.or_insert_with(|| (value.to_owned(), window)).0.clone())
        }
        .boxed()
    }
    fn mark<'a>(
        &'a self,
        set: &'a str,
        mark: &'a str,
        window: Duration,
        marks_max: usize,
    ) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            let mut inner = self.inner();
            let marks = inner.marks.entry(set.to_owned()).or_default();
            marks.retain(|(it, _)| it != mark);
            marks.push((mark.to_owned(), window));
            let excess = marks.len().saturating_sub(marks_max);
            marks.drain(..excess);
            Ok(())
        }
        .boxed()
    }
    fn is_marked<'a>(
        &'a self,
        set: &'a str,
        mark: &'a str,
    ) -> BoxFuture<'a, Result<bool, CounterError>> {
        async move {
            let inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            Ok(inner.marks.get(set).is_some_and(|marks| marks.iter().any(|(it, _)| it == mark)))
        }
        .boxed()
    }
    fn claimed<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, CounterError>> {
        async move {
            let inner = self.inner();
            if inner.counters_down {
                return Err(CounterError::Timeout);
            }
            Ok(inner.claims.get(key).map(|(value, _)| value.clone()))
        }
        .boxed()
    }
    fn release<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<(), CounterError>> {
        async move {
            self.inner().claims.retain(|held, (by, _)| held != key || by != value);
            Ok(())
        }
        .boxed()
    }
}
