//! A shop with more products than one answer has.

use super::*;

/// More than one page of products has.
const PRODUCTS: usize = 101;
/// The name of the input that has the focus.
const FOCUSED: &str = "return document.activeElement.name ?? ''";

async fn show_all(page: &Page, last: &str) {
    // When all pages are shown, one after the other
    let row = format!("#shelf li[data-id='{last}']");
    eventually("the last product is shown", RECOVERY_MAX, async || {
        if let Ok(text) = page.text(&row).await {
            return must(text.contains(last), text);
        }
        let more =
            page.window.find(Locator::Css("#shelf-more")).await.map_err(|e| e.to_string())?;
        let before = page.window.execute(FOCUSED, vec![]).await.map_err(|e| e.to_string())?;
        // It is hidden until the first page is there, and after the last one.
        more.click().await.map_err(|error| error.to_string())?;
        eventually("a new product has the focus", SEEN_MAX, async || {
            let now = page.window.execute(FOCUSED, vec![]).await.map_err(|e| e.to_string())?;
            must(now != before && now != "", now)
        })
        .await;
        Err("it is on a later page".to_owned())
    })
    .await;

    // Then what was entered stays when the products are read again
    page.fill(&format!("{row} input"), "1").await;
    page.click("#place").await;
    page.says("#order-say", "The order is").await;
    page.says(&row, "0 available").await;
}

#[tokio::test]
#[ignore = "needs the stack and a browser"]
async fn shop_shows_more_than_a_hundred_products() {
    // Given a shop of a hundred products and more, and a user on its page
    let system = system().await;
    // They come last in the list, so that other tests don't meet them.
    let shop = format!("zz-{}", any());
    let sku = |number: usize| format!("{shop}-{number:03}");
    for numbers in (0..PRODUCTS).collect::<Vec<_>>().chunks(50) {
        // One address may send only 100 requests in 15 minutes.
        let admin = system.admin().await;
        for number in numbers {
            let added = admin.add_product(&sku(*number), "Something", 100).answer().await;
            added.expect_one_of(&[201, 202]);
        }
    }
    let last = sku(PRODUCTS - 1);
    let admin = system.admin().await;
    admin.receive_stock(&last, 1).wait(10).answer().await.expect_one_of(&[200, 201]);
    let user = system.user("Shelly").await;
    Page::visit(&system.url, async |page| {
        page.log_in(&user.email, PASSWORD).await;
        page.says("#who", "Shelly").await;
        show_all(page, &last).await;
    })
    .await;
}
