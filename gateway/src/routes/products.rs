//! Products and their stock: anyone reads, admins add products and receive stock.

use schemas::{
    Money, bounds,
    stock::{AddProduct, Command, ReceiveStock},
};
use serde::Deserialize;
use serde_json::json;
use warp::{
    http::{StatusCode, header},
    reply::Response,
};

use crate::{
    call::{Answer, Body, Call, EarlyResponse},
    conditions,
    headers::set,
    ids::Principal,
    input,
    problem::Problem,
    read_after::ReadAfter,
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
    call.require_active(&caller).await?;
    let canonical = json!([sku, name, price.amount_minor, price.currency]);
    let mut sent = Submission::begin(&call, Principal::User(caller.user_id), &canonical).await?;
    if sent.is_new() {
        conditions::check_creation(&call, "stock", &sku).await?;
        let command = AddProduct { sku: sku.clone(), name, price };
        sent.write(&call, sku.clone(), Command::from(command)).await?;
    }
    let (product, entity_tag) = result(&call, &mut sent, &sku).await?;
    Ok(sent.created(&call, &format!("/v1/products/{sku}"), &product, entity_tag))
}

/// POST /v1/products/{sku}/stock
pub(super) async fn receive(mut call: Call, sku: String) -> Answer {
    let caller = call.admin()?;
    let body: Receive = call.json().await?;
    if !bounds::is_sku(&sku) {
        return Err(Problem::not_found().into());
    }
    let quantity = input::quantity(body.quantity)?;
    call.require_active(&caller).await?;
    let mut sent = Submission::begin(&call, Principal::User(caller.user_id), &quantity).await?;
    if sent.is_new() {
        conditions::check_change(&call, "stock", &sku).await?;
        let command = ReceiveStock { sku: sku.clone(), quantity };
        sent.write(&call, sku.clone(), Command::from(command)).await?;
    }
    let (product, entity_tag) = result(&call, &mut sent, &sku).await?;
    Ok(sent.changed(&call, &product, entity_tag))
}

/// The product after a command, with its entity tag.
async fn result(
    call: &Call,
    sent: &mut Submission,
    sku: &str,
) -> Result<(Product, String), EarlyResponse> {
    let outcome = sent.conclude(call).await?;
    let product = find(call, sku).await?;
    let entity_tag = call.entity_tag("stock", sku, outcome.version.max(product.version));
    Ok((product, entity_tag))
}

/// GET /v1/products
pub(super) async fn list(call: Call) -> Answer {
    let limit = call.page_size()?;
    let cursor = call.parameter("cursor")?.map(input::product_cursor).transpose()?;
    let read_after = ReadAfter::wait(&call).await?;
    let page = call.state.reads.products(cursor.as_deref(), limit).await?;
    let body = json!({ "items": page.items, "next": page.next });
    let response = call.representation(StatusCode::OK, &body, None);
    Ok(public(read_after.apply_headers(response)))
}

/// GET /v1/products/{sku}
pub(super) async fn read(call: Call, sku: String) -> Answer {
    let read_after = ReadAfter::wait(&call).await?;
    let product = find(&call, &sku).await?;
    let entity_tag = call.entity_tag("stock", &sku, product.version);
    let response = call.representation(StatusCode::OK, &product, Some(entity_tag));
    Ok(public(read_after.apply_headers(response)))
}

/// Products are the same for all clients: caches may store them, and revalidate before each use.
fn public(mut response: Response) -> Response {
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    set(&mut response, header::VARY, "Read-After");
    response
}

async fn find(call: &Call, sku: &str) -> Result<Product, Problem> {
    if !bounds::is_sku(sku) {
        return Err(Problem::not_found());
    }
    call.state.reads.product(sku).await?.ok_or_else(Problem::not_found)
}
