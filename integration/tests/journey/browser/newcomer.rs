//! A newcomer to a page that came unencrypted from another machine. Browsers keep some functions
//! from such pages, `crypto.randomUUID` for one.

use super::*;

/// The browser resolves this name to this machine, and does not trust what comes from it.
pub(super) const ELSEWHERE: &str = "shop.example";

async fn register_and_order(system: &System, page: &Page) {
    // Given something to order, and a page that the browser does not trust
    let admin = system.admin().await;
    system.product(&admin, 100, 100).await;
    let mut url = page.window.current_url().await.expect("an address");
    url.set_host(Some(ELSEWHERE)).expect("an address with a host");
    page.window.goto(url.as_str()).await.expect("the page");
    let trusted = page.window.execute("return isSecureContext", vec![]).await;
    assert_eq!(trusted.expect("an answer"), false);

    // When someone creates an account there
    page.click("#other").await;
    page.fill("#log-in input[name=email]", &format!("{}@millrace.example", any())).await;
    page.fill("#log-in input[name=password]", PASSWORD).await;
    page.fill("#log-in input[name=name]", "Nora").await;
    page.click("#enter").await;
    page.says("#who", "Nora").await;

    // Then they can order the first product
    eventually("a product is shown", SEEN_MAX, async || {
        page.text("#shelf li[data-id] .what").await.map(drop)
    })
    .await;
    page.fill("#shelf input", "1").await;
    page.click("#place").await;
    page.says("#order-say", "The order is").await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn newcomer_orders_on_a_page_that_is_not_encrypted() {
    let system = system().await;
    Page::visit(&system.url, async |page| register_and_order(&system, page).await).await;
}
