//! Products and their stock: anyone reads, admins add products and receive stock.

use schemas::{
    Money, bounds,
    stock::{AddProduct, Command, ReceiveStock},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use warp::http::{HeaderValue, header};

use crate::{
    cache::{Key, Representation},
    call::{Answer, Body, Call, EarlyResponse},
    conditions,
    ids::Principal,
    input,
    problem::Problem,
    read_after::ReadAfter,
    reads::{Product, ProductSource, ReadError},
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

/// A page of products.
#[derive(Serialize)]
struct List {
    items: Vec<Product>,
    next: Option<String>,
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
        let check = conditions::check_creation(&call, "stock", &sku).await;
        if sent.checked(&call, check).await?.is_some() {
            let command = AddProduct { sku: sku.clone(), name, price };
            sent.write(&call, sku.clone(), Command::from(command)).await?;
        }
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
        let check = conditions::check_change(&call, "stock", &sku).await;
        if sent.checked(&call, check).await?.is_some() {
            let command = ReceiveStock { sku: sku.clone(), quantity };
            sent.write(&call, sku.clone(), Command::from(command)).await?;
        }
    }
    let (product, entity_tag) = result(&call, &mut sent, &sku).await?;
    Ok(sent.changed(&call, &product, entity_tag))
}

/// The product after a command, with its entity tag. It is read from where the wait for the command
/// is sure to have found its version.
async fn result(
    call: &Call,
    sent: &mut Submission,
    sku: &str,
) -> Result<(Product, String), EarlyResponse> {
    let outcome = sent.conclude(call).await?;
    call.state.cache.clear();
    let product = call.state.reads.product(sku, ProductSource::Documents).await;
    let product = sent.shown(&outcome, product)?;
    let entity_tag = call.entity_tag("stock", sku, product.version);
    Ok((product, entity_tag))
}

/// GET /v1/products
pub(super) async fn list(call: Call) -> Answer {
    let limit = call.page_size()?;
    let cursor = call.parameter("cursor")?.map(input::product_cursor).transpose()?;
    let read_after = ReadAfter::wait(&call).await?;
    let key = Key::Products { after: cursor.clone(), limit };
    let load = async {
        let page = call.state.reads.products(cursor.as_deref(), limit).await?;
        Representation::new(&List { items: page.items, next: page.next }, None).map(Some)
    };
    public(&call, read_after, key, load).await
}

/// GET /v1/products/{sku}
pub(super) async fn read(call: Call, sku: String) -> Answer {
    let read_after = ReadAfter::wait(&call).await?;
    if !bounds::is_sku(&sku) {
        return Err(Problem::not_found().into());
    }
    let source = match read_after.is_asked() {
        true => ProductSource::Documents,
        false => ProductSource::Fastest,
    };
    let load = async {
        let Some(product) = call.state.reads.product(&sku, source).await? else { return Ok(None) };
        let entity_tag = call.entity_tag("stock", &sku, product.version);
        Representation::new(&product, Some(&entity_tag)).map(Some)
    };
    public(&call, read_after, Key::Product(sku.clone()), load).await
}

/// A response that is the same for all clients, from the gateway's cache unless the client asks for
/// a version. Other caches may store it, and revalidate it before each use.
async fn public(
    call: &Call,
    read_after: ReadAfter,
    key: Key,
    load: impl Future<Output = Result<Option<Representation>, ReadError>>,
) -> Answer {
    let found = match read_after.is_asked() {
        true => load.await,
        false => call.state.cache.get(key, load).await,
    };
    let mut response = found?.ok_or_else(Problem::not_found)?.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Read-After"));
    Ok(read_after.apply_headers(response))
}
