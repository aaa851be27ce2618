//! The dashboard in a real browser: an admin sees an order move the figures without a reload. It
//! reads only what the page shows.

use fantoccini::Locator;
use serde_json::json;

use super::Page;
use crate::support::{
    Judge, PASSWORD, RECOVERY_MAX, SEEN_MAX, Send, System, eventually, must, system, variable,
};

/// More pieces than any other test orders, so that the product is among the best sellers.
const PIECES: i64 = 100_000;

/// The highest price, in minor units.
const PRICE_MINOR: i64 = 1_000_000_000;
/// The figures, each with the number of its lines, and whether it fits its tile.
const LINES: &str = "return [...document.querySelectorAll('#tiles dd')].map(figure => {
    const range = document.createRange();
    range.selectNodeContents(figure);
    const lines = new Set([...range.getClientRects()].map(line => line.top));
    return [figure.textContent, lines.size, figure.scrollWidth <= figure.clientWidth];
})";

/// A figure of the dashboard.
async fn figure(page: &Page, css: &str) -> Result<i64, String> {
    let digits: String = page.text(css).await?.chars().filter(char::is_ascii_digit).collect();
    digits.parse().map_err(|_| format!("{css}: no number"))
}

async fn visit(system: &System, page: &Page) {
    // Given an admin at the dashboard, and a product that nobody has bought
    let admin = system.admin().await;
    let sku = system.product(&admin, 100, 2 * PIECES).await;
    let ada = system.user("Ada").await;
    let password = variable("MILLRACE_ADMIN_PASSWORD_FILE");
    let password = std::fs::read_to_string(password).expect("a password");
    page.log_in(&ada.email, PASSWORD).await;
    page.says("#door-say", "Only admins see the dashboard.").await;
    page.log_in(&variable("MILLRACE_ADMIN_EMAIL"), password.trim()).await;
    page.says("#state", "live").await;
    let before = figure(page, "#confirmed").await.expect("a figure");
    let sold = page.text("#sellers").await.expect("a list");
    assert!(!sold.contains(&sku), "{sold}");

    // When a user orders it
    ada.client.place_order(&[(&sku, PIECES)]).wait(10).answer().await.expect(201);

    // Then the figures move, without a reload
    eventually("the product is a best seller", SEEN_MAX, async || {
        let sold = page.text("#sellers").await?;
        must(sold.replace(',', "").contains(&format!("{sku}\n{PIECES}")), &sold)
    })
    .await;
    eventually("the order is counted", SEEN_MAX, async || {
        let confirmed = figure(page, "#confirmed").await?;
        must(confirmed > before, confirmed)
    })
    .await;
    let charts = page.window.find_all(Locator::Css("#charts canvas")).await.expect("the charts");
    assert_eq!(4, charts.len(), "placed, ended, times, revenue in one currency");
    page.fits("dashboard").await;

    // And the pipeline's own figures arrive from Prometheus
    eventually("the pipeline's figures are shown", RECOVERY_MAX, async || {
        let outcomes = page.text("#outcomes_per_s").await?;
        must(outcomes.ends_with("/s"), &outcomes)
    })
    .await;

    // When the admin looks at the last thirty days, then they have the order too
    page.click("#by-hour").await;
    eventually("the order is counted in its hour", RECOVERY_MAX, async || {
        let sold = page.text("#sellers").await?;
        must(sold.contains(&sku), &sold)
    })
    .await;

    // When the revenue has many digits, then a phone still shows each figure on one line
    let dear = system.product(&admin, PRICE_MINOR, 1_000).await;
    ada.client.place_order(&[(&dear, 1_000)]).wait(10).answer().await.expect(201);
    page.click("#by-minute").await;
    let size = json!({ "width": 360, "height": 900, "deviceScaleFactor": 1, "mobile": false });
    page.emulate("setDeviceMetricsOverride", size).await;
    eventually("each figure is on one line", SEEN_MAX, async || {
        let figures =
            page.window.execute(LINES, vec![]).await.map_err(|error| error.to_string())?;
        let figures: Vec<(String, u64, bool)> =
            serde_json::from_value(figures).map_err(|error| error.to_string())?;
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
        must(figures.iter().any(|(text, ..)| digits(text) >= 12), &figures)?;
        must(figures.iter().all(|(_, lines, fits)| *lines == 1 && *fits), &figures)
    })
    .await;
    page.emulate("clearDeviceMetricsOverride", json!({})).await;
    page.click("#leave").await;
    page.says("#door-title", "Log in as an admin").await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn dashboard_shows_an_order_without_a_reload() {
    let system = system().await;
    let url = format!("{}/dashboard", system.url);
    Page::visit(&url, async |page| visit(&system, page).await).await;
}
