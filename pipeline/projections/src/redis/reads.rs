//! The connection through which the gateway reads Redis, apart from streams and notices. The reads
//! of a key stand in the file of its projection. Never writes.

use super::connection::Redis;
use crate::StoreError;

/// Reads hot products and counters. Clones share the connection.
#[derive(Clone)]
pub struct Reads {
    pub(super) redis: Redis,
}

impl Reads {
    /// Reads through this connection.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.redis.ping().await
    }
}
