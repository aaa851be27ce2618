//! Whether the results are right, after the last step. Of Millrace this is asserted: every order
//! that was answered with 201 is confirmed exactly once in the log and shown by the read model, and
//! each product's stock is what was received less what confirmed orders took. Of a peer, which
//! promises less, it is reported.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use integration::{
    client::{Answer, Client},
    mail::Mail,
};
use tokio::task::JoinSet;

use super::{
    load::Confirmed,
    log::Log,
    shop::{PIECES, Shop},
};

/// How long orders that were not waited for may take to end.
const QUIET_MAX: Duration = Duration::from_secs(120);
/// The most orders that are read with one token of each user.
const READ_MAX: usize = 20_000;
/// How long one read may be refused.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Compares Millrace's answers with the log and the read models. Returns the log and what was
/// compared.
///
/// # Errors
/// If something is wrong, or could not be compared.
pub(super) async fn millrace(shop: &Shop, answered: &[Confirmed]) -> anyhow::Result<(Log, String)> {
    let begun = Instant::now();
    let (log, unlike) = loop {
        let log = Log::read().await?;
        let mut unlike = taken(shop).await?;
        let sold = log.sold();
        unlike.retain(|sku, taken| *taken != sold.get(&**sku).copied().unwrap_or(0));
        drop(sold);
        // Orders whose requests were not answered may still be on their way.
        if unlike.is_empty() || begun.elapsed() > QUIET_MAX {
            break (log, unlike);
        }
        tokio::time::sleep(PAUSE).await;
    };
    ensure!(unlike.is_empty(), "stock does not add up; SKUs and pieces that are gone: {unlike:?}");
    for Confirmed { id, .. } in answered {
        match log.orders.get(id).map_or(0, |order| order.confirmed) {
            1 => {}
            times => bail!("order {id} was answered with 201 and is confirmed {times} times"),
        }
    }
    let distinct: HashSet<&str> = answered.iter().map(|order| &*order.id).collect();
    ensure!(distinct.len() == answered.len(), "two requests were answered with one order");
    let missing = not_shown(shop, answered).await?;
    ensure!(
        missing.is_empty(),
        "{} orders were answered with 201 and are not shown as confirmed, for example {}",
        missing.len(),
        missing[0]
    );
    let text = format!(
        "{} orders answered with 201 are confirmed once in the log and shown; {} confirmed in all; \
         stock of {} products adds up",
        answered.len(),
        log.orders.values().filter(|order| order.confirmed > 0).count(),
        shop.skus().len()
    );
    Ok((log, text))
}

/// Checks that no mail was sent twice, also if the mail worker is behind. Returns what was checked.
///
/// # Errors
/// If one was.
pub(super) fn mails(mail: &Mail) -> anyhow::Result<String> {
    let repeated = mail.repeated();
    ensure!(
        repeated.is_empty(),
        "{} of {} mails were sent more than once, for example {}",
        repeated.len(),
        mail.taken(),
        repeated[0]
    );
    Ok(format!("{} mails were sent, each once", mail.taken()))
}

/// Compares a peer's answers with what it shows. Returns what was found.
///
/// # Errors
/// If the peer does not answer.
pub(super) async fn peer(shop: &Shop, answered: &[Confirmed]) -> anyhow::Result<String> {
    let begun = Instant::now();
    let mut gone = total(shop).await?;
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = total(shop).await?;
        if now == gone || begun.elapsed() > QUIET_MAX {
            break;
        }
        gone = now;
    }
    let missing = not_shown(shop, answered).await?.len();
    let pieces: i64 = answered.iter().map(|order| order.pieces).sum();
    Ok(format!(
        "{} orders answered with 201, {} of them shown as confirmed; {gone} pieces are gone from \
         the stock, {pieces} are in these orders",
        answered.len(),
        answered.len() - missing,
    ))
}

async fn total(shop: &Shop) -> anyhow::Result<i64> {
    Ok(taken(shop).await?.values().sum())
}

/// The pieces that are gone from each product's stock.
async fn taken(shop: &Shop) -> anyhow::Result<HashMap<String, i64>> {
    let admin = shop.admin()?;
    let mut taken = HashMap::new();
    for sku in shop.skus() {
        let shown = admin.get(&format!("/v1/products/{sku}")).send().await?;
        let available = shown.body["available"].as_i64().context("a product without stock")?;
        taken.insert(sku.clone(), PIECES - available);
    }
    Ok(taken)
}

/// Reads an order. A gateway that has no room refuses reads, and another client may have used up
/// the limit of the same random address, so it tries again for a while.
async fn look(client: &Client, id: &str) -> anyhow::Result<Answer> {
    let (path, begun) = (format!("/v1/orders/{id}"), Instant::now());
    loop {
        let shown = client.get(&path).send().await?;
        match shown.status {
            200 | 404 => return Ok(shown),
            503 if begun.elapsed() < LOOK_MAX => tokio::time::sleep(PAUSE).await,
            429 if begun.elapsed() < LOOK_MAX => client.move_on()?,
            other => bail!("expected an order or 404 at {path}, got {other}"),
        }
    }
}

/// The orders that their users do not see as confirmed. Each user looks for itself.
async fn not_shown(shop: &Shop, answered: &[Confirmed]) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    // Reading all of them can take longer than a token is valid.
    for part in answered.chunks(READ_MAX) {
        shop.log_in_again().await?;
        let mut looks = JoinSet::new();
        for user in 0..shop.users() {
            let client = shop.user(user)?;
            let own = part.iter().filter(|order| order.user == user);
            let ids: Vec<String> = own.map(|order| order.id.clone()).collect();
            looks.spawn(async move {
                let mut missing = Vec::new();
                for id in ids {
                    let shown = look(&client, &id).await?;
                    if shown.text("status") != Some("confirmed") {
                        missing.push(id);
                    }
                }
                anyhow::Ok(missing)
            });
        }
        while let Some(found) = looks.join_next().await {
            missing.extend(found??);
        }
    }
    Ok(missing)
}
