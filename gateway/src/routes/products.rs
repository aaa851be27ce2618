//! Products and their stock: anyone reads, admins add and receive.

use schemas::{
    Money,
    stock::{AddProduct, Command, ReceiveStock},
};
use serde::Deserialize;
use serde_json::json;
use warp::{
    http::{StatusCode, header},
    reply::Response,
};

use crate::{
    call::{Answer, Body, Call, set},
    ids::Principal,
    input,
    problem::Problem,
    reads::Product,
    submit::Submission,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    sku: String,
    name: String,
    price_minor: i64,
    currency: String,
}

impl Body for Add {
    const SHAPE: &'static str =
        r#"{"sku": string, "name": string, "price_minor": integer, "currency": string}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Receive {
    quantity: i64,
}

impl Body for Receive {
    const SHAPE: &'static str = r#"{"quantity": integer}"#;
}

/// POST /v1/products
pub(super) async fn add(mut call: Call) -> Answer {
    let caller = call.admin()?;
    let body: Add = call.json().await?;
    let (sku, name) = (input::sku(&body.sku)?, input::name(&body.name)?);
    let price = Money {
        amount_minor: input::price(body.price_minor)?,
        currency: input::currency(&body.currency)?,
    };
    call.still_there(&caller).await?;
    let canonical = (&sku, &name, price.amount_minor, &price.currency);
    let mut sent = call.begin(Principal::User(caller.user_id), &canonical).await?;
    if sent.is_new() {
        call.makes("stock", &sku).await?;
        let command = AddProduct { sku: sku.clone(), name, price };
        sent.write(&call, sku.clone(), Command::from(command)).await?;
    }
    changed(&call, sent, &sku, true).await
}

/// POST /v1/products/{sku}/stock
pub(super) async fn receive(mut call: Call, sku: String) -> Answer {
    let caller = call.admin()?;
    let body: Receive = call.json().await?;
    if !input::is_sku(&sku) {
        return Err(Problem::not_found().into());
    }
    let quantity = input::quantity(body.quantity)?;
    call.still_there(&caller).await?;
    let mut sent = call.begin(Principal::User(caller.user_id), &quantity).await?;
    if sent.is_new() {
        call.matches("stock", &sku).await?;
        let command = ReceiveStock { sku: sku.clone(), quantity };
        sent.write(&call, sku.clone(), Command::from(command)).await?;
    }
    changed(&call, sent, &sku, false).await
}

async fn changed(call: &Call, mut sent: Submission, sku: &str, made: bool) -> Answer {
    let outcome = sent.conclude(call).await?;
    let product = found(call, sku).await?;
    let location = made.then(|| format!("/v1/products/{sku}"));
    let tag = call.tag("stock", sku, outcome.version.max(product.version));
    Ok(sent.result(call, location.as_deref(), &product, tag))
}

/// GET /v1/products
pub(super) async fn list(call: Call) -> Answer {
    let limit = call.page_size()?;
    let cursor = call.parameter("cursor")?.map(input::product_cursor).transpose()?;
    let read_after = call.read_after().await?;
    let page = call.state.reads.products(cursor.as_deref(), limit).await?;
    let body = json!({ "items": page.items, "next": page.next });
    Ok(public(read_after.told(call.representation(StatusCode::OK, &body, None))))
}

/// GET /v1/products/{sku}
pub(super) async fn read(call: Call, sku: String) -> Answer {
    let read_after = call.read_after().await?;
    let product = found(&call, &sku).await?;
    let tag = call.tag("stock", &sku, product.version);
    Ok(public(read_after.told(call.representation(StatusCode::OK, &product, Some(tag)))))
}

/// Products are the same for everyone: they may be stored, if they are asked for again before each
/// use.
fn public(mut response: Response) -> Response {
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    set(&mut response, header::VARY, "Read-After");
    response
}

async fn found(call: &Call, sku: &str) -> Result<Product, Problem> {
    if !input::is_sku(sku) {
        return Err(Problem::not_found());
    }
    call.state.reads.product(sku).await?.ok_or_else(Problem::not_found)
}
