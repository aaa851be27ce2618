//! Finished responses of public reads and of statistics, kept in memory for a moment, so that a hit
//! costs neither a store nor JSON. It knows no store, and never holds anything personal.
//!
//! Staleness is bounded twice. A request that comes [`AGE_MAX`] after an entry's load has begun, or
//! later, never gets it. And a change of a hot product, which Redis reports, ends it earlier.
//! While changes are not reported, nothing is served from here at all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::{sync::OnceCell, time::Instant};
use warp::{
    Reply,
    http::{HeaderValue, header},
    reply::Response,
};

use crate::{
    metrics::Metrics,
    reads::ReadError,
    statistics::{Audience, By},
};

/// How long an entry is served, from the moment before its content was read.
pub const AGE_MAX: Duration = Duration::from_millis(50);
/// The same after a change. Not zero: under load products change all the time, and each page would
/// be read again for each change.
const AGE_AFTER_CHANGE_MAX: Duration = Duration::from_millis(10);
/// Entries at most. A read that finds no room is answered by the stores.
const ENTRIES_MAX: usize = 256;
/// The largest body that is kept; all bodies together have at most 16 MiB.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a response was made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A page of the list of products.
    Products {
        /// The cursor.
        after: Option<String>,
        /// The size of the page.
        limit: usize,
    },
    /// A product, by its SKU.
    Product(String),
    /// Statistics.
    Statistics {
        /// The width of the windows.
        by: By,
        /// Who reads them.
        audience: Audience,
    },
}

/// A representation in JSON, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Representation {
    body: Bytes,
    entity_tag: Option<HeaderValue>,
}

impl Representation {
    /// The representation of `body`, with the entity tag of a single resource.
    ///
    /// # Errors
    /// Returns an error when `body` is no JSON, or the tag no header.
    pub fn new(body: &impl Serialize, entity_tag: Option<&str>) -> Result<Self, ReadError> {
        let failed = |error: serde_json::Error| ReadError::new("a response as JSON", error);
        let body = serde_json::to_vec(body).map_err(failed)?.into();
        let entity_tag = entity_tag.map(HeaderValue::from_str).transpose();
        let entity_tag = entity_tag.map_err(|error| ReadError::new("an entity tag", error))?;
        Ok(Self { body, entity_tag })
    }

    /// The representation of `body`, with a hash of it as its entity tag: for a resource without a
    /// version.
    ///
    /// # Errors
    /// Returns an error when `body` is no JSON.
    pub fn tagged(body: &impl Serialize) -> Result<Self, ReadError> {
        let untagged = Self::new(body, None)?;
        let tag = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&untagged.body)[..12]);
        let entity_tag = HeaderValue::try_from(format!("\"{tag}\""));
        let entity_tag = entity_tag.map_err(|error| ReadError::new("an entity tag", error))?;
        Ok(Self { entity_tag: Some(entity_tag), ..untagged })
    }

    /// The response.
    pub fn into_response(self) -> Response {
        let mut response = warp::http::Response::new(self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(entity_tag) = self.entity_tag {
            headers.insert(header::ETAG, entity_tag);
        }
        response
    }
}

/// What a load has found; `None` for a resource that does not exist.
type Loaded = Result<Option<Representation>, ReadError>;

struct Entry {
    begun: Instant,
    loaded: OnceCell<Loaded>,
}

#[derive(Default)]
struct Entries {
    is_tracked: bool,
    changed_at: Option<Instant>,
    by_key: HashMap<Key, Arc<Entry>>,
}

impl Entries {
    fn is_fresh(&self, entry: &Entry) -> bool {
        let is_changed = self.changed_at.is_some_and(|changed_at| changed_at >= entry.begun);
        let age_max = if is_changed { AGE_AFTER_CHANGE_MAX } else { AGE_MAX };
        entry.begun.elapsed() < age_max
    }
}

/// The responses.
pub struct Cache {
    entries: Mutex<Entries>,
    metrics: Metrics,
}

impl Cache {
    /// An empty cache, which serves nothing until [`Cache::track`].
    pub fn new(metrics: &Metrics) -> Self {
        Self { entries: Mutex::default(), metrics: metrics.clone() }
    }

    /// The response for `key`, from memory or from `load`. All who ask for it while it loads wait
    /// for the same load. Only what exists is kept.
    ///
    /// # Errors
    /// Returns the error of the load.
    pub async fn get(&self, key: Key, load: impl Future<Output = Loaded>) -> Loaded {
        let Some(entry) = self.entry(&key) else {
            self.metrics.cache_bypasses.inc();
            return load.await;
        };
        if let Some(loaded) = entry.loaded.get() {
            self.metrics.cache_hits.inc();
            return loaded.clone();
        }
        self.metrics.cache_misses.inc();
        let loaded = entry.loaded.get_or_init(|| load).await.clone();
        let is_kept = matches!(&loaded, Ok(Some(it)) if it.body.len() <= BODY_BYTES_MAX);
        if !is_kept {
            let mut entries = self.entries();
            if entries.by_key.get(&key).is_some_and(|held| Arc::ptr_eq(held, &entry)) {
                entries.by_key.remove(&key);
            }
        }
        loaded
    }

    /// The fresh entry for `key`, or a new one; `None` when the cache must be bypassed.
    fn entry(&self, key: &Key) -> Option<Arc<Entry>> {
        let mut entries = self.entries();
        if !entries.is_tracked {
            return None;
        }
        if let Some(entry) = entries.by_key.get(key).filter(|entry| entries.is_fresh(entry)) {
            return Some(entry.clone());
        }
        if entries.by_key.len() >= ENTRIES_MAX {
            let mut by_key = std::mem::take(&mut entries.by_key);
            by_key.retain(|_, entry| entries.is_fresh(entry));
            entries.by_key = by_key;
            if entries.by_key.len() >= ENTRIES_MAX && !entries.by_key.contains_key(key) {
                return None;
            }
        }
        let entry = Arc::new(Entry { begun: Instant::now(), loaded: OnceCell::new() });
        entries.by_key.insert(key.clone(), entry.clone());
        Some(entry)
    }

    /// A product has changed, or may have.
    pub fn change(&self) {
        self.metrics.cache_invalidations.inc();
        self.entries().changed_at = Some(Instant::now());
    }

    /// Drops everything, so that a client that has changed a product finds the change.
    pub fn clear(&self) {
        self.metrics.cache_invalidations.inc();
        self.entries().by_key.clear();
    }

    /// Says whether changes are reported from now on. While they are not, the cache is bypassed.
    pub fn track(&self, is_tracked: bool) {
        self.metrics.cache_tracked.set(is_tracked.into());
        *self.entries() = Entries { is_tracked, ..Entries::default() };
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
