//! The cache over a counted load, under a simulated clock.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::advance;

use super::*;

const PAGE: Key = Key::Products { after: None, limit: 20 };

fn cache() -> Cache {
    let cache = Cache::new(&Metrics::new(&prometheus::Registry::new()).expect("metrics"));
    cache.track(true);
    cache
}

/// A store that counts its reads; each read returns the number of the ones before it.
#[derive(Default)]
struct Store(AtomicUsize);

impl Store {
    async fn read(&self) -> Loaded {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(2)).await;
        Representation::new(&number, Some("\"1-a\"")).map(Some)
    }

    async fn through(&self, cache: &Cache, key: Key) -> Bytes {
        cache.get(key, self.read()).await.expect("a response").expect("it exists").body
    }
}

#[tokio::test(start_paused = true)]
async fn entry_is_served_for_50_ms_from_the_begin_of_its_load() {
    let (cache, store) = (cache(), Store::default());
    assert_eq!(store.through(&cache, PAGE).await, "0");
    advance(AGE_MAX - Duration::from_millis(3)).await;
    assert_eq!(store.through(&cache, PAGE).await, "0", "49 ms old");
    advance(Duration::from_millis(1)).await;
    assert_eq!(store.through(&cache, PAGE).await, "1", "50 ms old");
    let (hits, misses) = (cache.metrics.cache_hits.get(), cache.metrics.cache_misses.get());
    assert_eq!((hits, misses), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn change_ends_an_entry_when_it_is_10_ms_old() {
    let (cache, store) = (cache(), Store::default());
    assert_eq!(store.through(&cache, PAGE).await, "0");
    cache.change();
    assert_eq!(store.through(&cache, PAGE).await, "0", "2 ms old");
    advance(AGE_AFTER_CHANGE_MAX).await;
    assert_eq!(store.through(&cache, PAGE).await, "1");
    advance(AGE_AFTER_CHANGE_MAX).await;
    assert_eq!(store.through(&cache, PAGE).await, "1", "nothing has changed since its load");
}

#[tokio::test(start_paused = true)]
async fn cleared_cache_does_not_wait_for_a_load_that_began_before() {
    let (cache, store) = (cache(), Store::default());
    let early = store.through(&cache, PAGE);
    let late = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        cache.clear();
        store.through(&cache, PAGE).await
    };
    assert_eq!(tokio::join!(early, late), (Bytes::from("0"), Bytes::from("1")));
    assert_eq!(store.through(&cache, PAGE).await, "1");
}

#[tokio::test(start_paused = true)]
async fn lost_tracking_bypasses_the_cache_until_it_is_back() {
    let (cache, store) = (cache(), Store::default());
    assert_eq!(store.through(&cache, PAGE).await, "0");
    cache.track(false);
    assert_eq!(store.through(&cache, PAGE).await, "1");
    assert_eq!(store.through(&cache, PAGE).await, "2");
    assert_eq!(cache.metrics.cache_bypasses.get(), 2);
    cache.track(true);
    assert_eq!(store.through(&cache, PAGE).await, "3", "nothing of before is left");
    assert_eq!(store.through(&cache, PAGE).await, "3");
}

#[tokio::test(start_paused = true)]
async fn concurrent_reads_of_a_page_share_one_load() {
    let (cache, store) = (cache(), Store::default());
    let reads = (0..50).map(|_| store.through(&cache, PAGE));
    let found = futures_util::future::join_all(reads).await;
    assert!(found.iter().all(|body| body == "0"));
    assert_eq!(store.0.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn error_missing_resource_and_large_body_are_not_kept() {
    let cache = cache();
    let failed = async { Err(ReadError::new("products", "down")) };
    assert!(cache.get(PAGE, failed).await.is_err());
    assert_eq!(cache.get(PAGE, async { Ok(None) }).await.expect("no error"), None);
    let large = Representation::new(&"x".repeat(BODY_BYTES_MAX), None);
    assert!(cache.get(PAGE, async { large.map(Some) }).await.expect("no error").is_some());
    assert!(cache.entries().by_key.is_empty());
}

#[tokio::test(start_paused = true)]
async fn full_cache_takes_entries_again_when_others_have_expired() {
    let (cache, store) = (cache(), Store::default());
    for number in 0..ENTRIES_MAX + 10 {
        cache.entry(&Key::Product(number.to_string()));
    }
    assert_eq!(cache.entries().by_key.len(), ENTRIES_MAX);
    store.through(&cache, PAGE).await;
    assert_eq!(cache.metrics.cache_bypasses.get(), 1);
    advance(AGE_MAX).await;
    store.through(&cache, PAGE).await;
    assert_eq!(cache.entries().by_key.len(), 1);
}
