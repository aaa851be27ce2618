//! The gateway's routes: [`ROUTES`] lists them all, and each resource has a file with its handlers.
//! Tests compare the OpenAPI document and the load balancer's list of methods with the table.

mod commands;
mod desk;
mod desk_stream;
mod dispatch;
mod edit;
mod notifications;
mod operations;
mod orders;
mod page;
mod pipeline;
mod products;
mod records;
mod route;
mod selection;
mod sessions;
mod sse;
mod statistics;
mod stream;
mod users;

use std::sync::Arc;

use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderMap, Method},
    path::FullPath,
    reply::Response,
};

use crate::{
    call::{Call, RequestBody},
    client::{self, Peer},
    load::Class,
    state::State,
};
use route::Target;

pub use operations::internal;
pub use route::Route;

/// `route!(METHOD "/path" => handler)`; the handler of a path with a parameter gets it as its
/// second argument.
macro_rules! route {
    ($method:ident $path:literal => $handler:path) => {
        Route::new(stringify!($method), $path, |call, _| Box::pin($handler(call)))
    };
    ($method:ident $path:literal => $handler:path, $parameter:ident) => {
        Route::new(stringify!($method), $path, |call, $parameter| {
            Box::pin($handler(call, $parameter))
        })
    };
}

/// Every route. Routes of one path are adjacent, and `Allow` names their methods in this order.
pub static ROUTES: &[Route] = &[
    route!(POST "/v1/users" => users::register).of(Class::LogIns),
    route!(GET "/v1/users/me" => users::read),
    route!(PATCH "/v1/users/me" => users::rename),
    route!(DELETE "/v1/users/me" => users::deactivate).of(Class::LogIns),
    route!(PUT "/v1/users/me/email" => users::change_email).of(Class::LogIns),
    route!(PUT "/v1/users/me/password" => users::change_password).of(Class::LogIns),
    route!(POST "/v1/sessions" => sessions::log_in).of(Class::LogIns),
    route!(POST "/v1/sessions/refresh" => sessions::refresh).of(Class::LogIns),
    route!(DELETE "/v1/sessions/current" => sessions::log_out).of(Class::LogIns),
    route!(GET "/v1/products" => products::list),
    route!(POST "/v1/products" => products::add),
    route!(GET "/v1/products/{sku}" => products::read, sku),
    route!(POST "/v1/products/{sku}/stock" => products::receive, sku),
    route!(GET "/v1/orders" => orders::list),
    route!(POST "/v1/orders" => orders::place),
    route!(GET "/v1/orders/{id}" => orders::read, id),
    route!(GET "/v1/orders/{id}/history" => orders::history, id),
    route!(GET "/v1/orders/{id}/trace" => orders::trace, id),
    route!(POST "/v1/orders/{id}/cancel" => orders::cancel, id),
    route!(GET "/v1/notifications" => notifications::list),
    route!(POST "/v1/notifications/{id}/read" => notifications::mark_read, id),
    route!(GET "/v1/commands/{id}" => commands::read, id),
    route!(GET "/v1/commands/{id}/trace" => commands::trace, id),
    route!(GET "/v1/records/{id}/trace" => commands::trace_by_record, id),
    route!(GET "/v1/stream" => stream::open),
    route!(GET "/v1/statistics" => statistics::read),
    route!(GET "/v1/statistics/stream" => statistics::open),
    route!(GET "/v1/pipeline" => pipeline::read),
    route!(GET "/v1/operations/stream" => desk_stream::open),
    route!(GET "/v1/operations/dead-letters" => desk::dead_letters),
    route!(GET "/v1/operations/dead-letters/{id}" => records::dead_letter, id),
    route!(POST "/v1/operations/dead-letters:reveal" => records::reveal),
    route!(POST "/v1/operations/dead-letters:resend" => records::resend),
    route!(GET "/v1/operations/parked" => desk::parked),
    route!(GET "/v1/operations/parked/records" => records::parked),
    route!(POST "/v1/operations/parked:retry" => desk::retry),
    route!(POST "/v1/operations/parked:drop" => desk::drop_first),
    route!(POST "/v1/operations/parked:edit" => edit::edit).with(&["dry_run"]),
    route!(POST "/v1/operations/parked:retry-all" => selection::retry).with(&["dry_run"]),
    route!(POST "/v1/operations/parked:drop-all" => selection::drop_first).with(&["dry_run"]),
    route!(GET "/v1/operations/actions" => desk::actions),
    route!(GET "/" => page::show).unlimited(),
    route!(GET "/dashboard" => page::dashboard).unlimited(),
    route!(GET "/commands/{id}" => page::trace, id).unlimited(),
    route!(GET "/orders/{id}" => page::trace, id).unlimited(),
    route!(GET "/records/{id}" => page::trace_by_record, id).unlimited(),
    route!(GET "/operations" => page::operations).unlimited(),
    route!(GET "/livez" => operations::live).unlimited(),
    route!(GET "/readyz" => operations::ready).unlimited(),
    route!(GET "/openapi.json" => page::openapi).unlimited(),
    route!(GET "/.well-known/jwks.json" => page::jwks).unlimited(),
];

/// Returns the routes as a filter. It rejects nothing: it also answers unknown paths and methods.
pub fn all(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    let state = state.clone();
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::ext::optional::<Peer>()
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(query)
        .and(warp::body::stream())
        .then(move |peer, method: Method, path: FullPath, headers: HeaderMap, query, chunks| {
            let mut target = Target::of(ROUTES, method.as_str(), path.as_str());
            let call = Call {
                client: client::address(Peer::address(peer), &headers, &state.trusted_proxies),
                resource: std::mem::take(&mut target.resource),
                state: state.clone(),
                method,
                headers,
                query,
                body: RequestBody::new(chunks),
                slot: None,
                span: None,
            };
            dispatch::respond(target, call)
        })
        .boxed()
}
