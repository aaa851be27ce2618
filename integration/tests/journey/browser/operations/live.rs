//! The desk shows what changes without a reload.

use super::{desk, enter, give_up};
use crate::browser::Page;
use crate::log::write;
use crate::support::{SEEN_MAX, System, eventually, must, system};

async fn visit(system: &System, page: &Page) {
    // Given an admin who has opened the desk, and does nothing there
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 0).await;
    enter(page).await;
    page.says("#state", "live").await;

    // When a record is parked, then the page shows its key
    write("stock.followups", Some(&sku), b"lively").await;
    eventually("the key is shown without a reload", SEEN_MAX, async || {
        let parked = page.text("#parked").await?;
        must(parked.contains(&sku), parked)
    })
    .await;

    // When another one waits behind it while its records are shown, then the page shows that too
    let records = format!("#parked summary[aria-label='Records of stock.followups, key {sku}']");
    page.click(&records).await;
    write("stock.followups", Some(&sku), b"lively").await;
    eventually("the record behind it is counted", SEEN_MAX, async || {
        let parked = page.text("#parked").await?;
        must(parked.contains("1 record"), parked)
    })
    .await;
    // And its records are still open, and read again on demand
    page.says(&records, "before a change").await;
    page.click(&records).await;
    page.click(&records).await;
    eventually("both records are shown", SEEN_MAX, async || {
        let parked = page.text("#parked").await?;
        must(parked.contains("it waits"), parked)
    })
    .await;

    // When both are given up elsewhere, then the page shows that
    give_up(&admin, b'l').await;
    eventually("the key is gone", SEEN_MAX, async || {
        let parked = page.text("#parked").await?;
        must(!parked.contains(&sku), parked)
    })
    .await;
    page.click("#leave").await;
    page.says("#door-title", "Log in as an admin").await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn desk_shows_a_parked_key_without_a_reload() {
    let system = system().await;
    Page::visit(&desk(&system), async |page| visit(&system, page).await).await;
}
