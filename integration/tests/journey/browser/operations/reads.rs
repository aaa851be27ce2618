//! The lists of the desk, while the stream brings changes and answers to requests are late or lost.

use super::{desk, enter, give_up};
use crate::browser::Page;
use crate::log::{write, write_all};
use crate::support::{Judge, SEEN_MAX, System, any, eventually, must, system};

/// The first byte of what these tests park.
const FIRST_BYTE: u8 = b'm';
const PARKED: &str = "/v1/operations/parked";
/// How many entries a page has, and how many keys are on two pages.
const PAGE: usize = 20;
const KEYS: usize = 30;
/// The names of all parked keys that are shown.
const SHOWN: &str = "return [...document.querySelectorAll('#parked > li')].map(row => row.name)";

async fn shown(page: &Page) -> Vec<String> {
    serde_json::from_value(page.run(SHOWN, vec![]).await).expect("names")
}

/// Logs in, and waits until the stream is open and all lists were read.
async fn enter_and_read(page: &Page) {
    enter(page).await;
    page.says("#state", "live").await;
    have_read(page).await;
}

/// Waits until all lists were read: the button that reads them is disabled until then.
async fn have_read(page: &Page) {
    eventually("the lists were read", SEEN_MAX, async || {
        let is_reading = page.run("return document.getElementById('read').disabled", vec![]).await;
        must(is_reading == false, is_reading)
    })
    .await;
}

/// Waits until the page shows this of a parked key, without a reload.
async fn streams(page: &Page, text: &str) {
    eventually("the stream brings it", SEEN_MAX, async || {
        let parked = page.text("#parked").await?;
        must(parked.contains(text), parked)
    })
    .await;
}

async fn keep_what_is_newer(page: &Page) {
    // Given a desk whose refresh has no answer yet
    enter_and_read(page).await;
    let late = page.hold("GET", PARKED).await;
    page.click("#read").await;
    late.here().await;

    // When the stream brings a key meanwhile, then the older answer does not replace it
    let key = format!("newer-{}", any());
    write("stock.followups", Some(&key), b"mixed").await;
    streams(page, &key).await;
    late.release().await;
    let parked = page.text("#parked").await.expect("the keys");
    assert!(parked.contains(&key), "{parked}");
}

/// Opens the records of a key twice, of which the first answer is lost: while they are open, or
/// after they were closed.
async fn open_twice(page: &Page, is_lost_late: bool) {
    let key = format!("twice-{}", any());
    write("stock.followups", Some(&key), b"mixed").await;
    streams(page, &key).await;
    let records = format!("#parked summary[aria-label='Records of stock.followups, key {key}']");
    let lost = page.hold("GET", &format!("{PARKED}/records")).await;
    page.click(&records).await;
    lost.here().await;
    if is_lost_late {
        page.click(&records).await;
        lost.lose().await;
    } else {
        lost.lose().await;
        page.says("#parked details[open]", "The server can't be reached.").await;
        page.click(&records).await;
    }
    page.click(&records).await;
    page.says("#parked details[open] pre", "begins with byte 109").await;
    page.click(&records).await;
}

async fn read_again(page: &Page) {
    enter_and_read(page).await;
    for is_lost_late in [false, true] {
        open_twice(page, is_lost_late).await;
    }
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn records_that_could_not_be_read_are_read_again_when_they_are_opened_again() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| read_again(page).await).await;
    give_up(&system.admin().await, FIRST_BYTE).await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn late_answer_does_not_replace_what_the_stream_has_brought() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| keep_what_is_newer(page).await).await;
    give_up(&system.admin().await, FIRST_BYTE).await;
}

async fn read_on(system: &System, page: &Page) {
    // Given more parked keys than a page has, and an admin who waits for the next page
    let some = any();
    let keys: Vec<_> = (0..KEYS).map(|number| format!("mixed-{some}-{number}")).collect();
    let record = || keys.iter().map(|key| (key.clone(), "mixed".to_owned()));
    write_all("stock.followups", record()).await;
    let admin = system.admin().await;
    eventually("all keys are parked", SEEN_MAX, async || {
        let parked = admin.get(&format!("{PARKED}?limit=100")).send().await;
        let parked = parked.map_err(|error| integration::chain(&error))?;
        let parked = parked.expect_code(200)?.items();
        let mine = parked.iter().filter(|it| keys.iter().any(|key| it["key"] == **key));
        must(mine.count() == KEYS, parked)
    })
    .await;
    enter_and_read(page).await;
    let first = eventually("the first page is shown", SEEN_MAX, async || {
        let shown = shown(page).await;
        must(shown.len() == PAGE, &shown)?;
        Ok(shown)
    })
    .await;
    let lost = page.hold("GET", PARKED).await;
    page.click("#parked-more").await;
    lost.here().await;

    // When all keys change meanwhile, then the page that the next one follows stays
    write_all("stock.followups", record()).await;
    page.says("#read-at", "A list has changed: refresh to see it.").await;
    assert!(!page.text("#parked").await.expect("the keys").contains("1 record"));

    // When the next page is lost, then the list is live again
    lost.lose().await;
    page.says("#say", "The server can't be reached.").await;
    write_all("stock.followups", record()).await;
    streams(page, "2 records").await;

    // When it is asked for again, and a refresh is lost before it arrives, then it is not added,
    // and the list is live again too
    let late = page.hold("GET", PARKED).await;
    page.click("#parked-more").await;
    late.here().await;
    let lost = page.hold("GET", PARKED).await;
    page.click("#read").await;
    lost.lose().await;
    late.release().await;
    assert_eq!(first, shown(page).await);
    write_all("stock.followups", record()).await;
    streams(page, "3 records").await;

    // When it is asked for again, and the list is read from its beginning before it arrives, then
    // it is not added to that
    let late = page.hold("GET", PARKED).await;
    page.click("#parked-more").await;
    late.here().await;
    let again = page.hold("GET", PARKED).await;
    page.click("#read").await;
    again.release().await;
    late.release().await;
    assert_eq!(first, shown(page).await);

    // When it is asked for once more, then it comes below the first one, each key once
    page.click("#parked-more").await;
    let all = eventually("the next page is shown", SEEN_MAX, async || {
        let shown = shown(page).await;
        must(shown.len() > PAGE, &shown)?;
        Ok(shown)
    })
    .await;
    assert_eq!(first, all[..PAGE]);
    let mut once = all.clone();
    once.sort();
    once.dedup();
    assert_eq!(all.len(), once.len(), "{all:?}");

    // When a refresh is lost, then both pages stay, also when a list changes after it
    have_read(page).await;
    let lost = page.hold("GET", PARKED).await;
    page.click("#read").await;
    lost.lose().await;
    write_all("stock.followups", record()).await;
    page.says("#read-at", "A list has changed: refresh to see it.").await;
    assert_eq!(all, shown(page).await);
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn pages_of_a_list_are_not_mixed_with_what_the_stream_brings() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| read_on(&system, page).await).await;
    give_up(&system.admin().await, FIRST_BYTE).await;
}
