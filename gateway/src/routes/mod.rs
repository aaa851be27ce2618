//! Every route of the gateway. [`TABLE`] names them for metrics, for 405 and for the OpenAPI
//! document; [`all`] is where they are served. Handlers are in one file for each resource.

mod commands;
mod notifications;
mod operations;
mod orders;
mod page;
mod products;
mod sessions;
mod stream;
mod users;

use std::{sync::Arc, time::Instant};

use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;
use warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    http::{HeaderMap, Method},
    path,
    path::FullPath,
    reply::Response,
};

use crate::{
    call::{Call, call, settle},
    client::Peer,
    conditions, headers, limit,
    limit::Standing,
    problem::{self, Problem},
    state::State,
};

pub use operations::inner;

/// Every route: its template and the methods that it takes.
pub const TABLE: &[(&str, &[&str])] = &[
    ("/v1/users", &["POST"]),
    ("/v1/users/me", &["GET", "PATCH", "DELETE"]),
    ("/v1/users/me/email", &["PUT"]),
    ("/v1/users/me/password", &["PUT"]),
    ("/v1/sessions", &["POST"]),
    ("/v1/sessions/refresh", &["POST"]),
    ("/v1/sessions/current", &["DELETE"]),
    ("/v1/products", &["GET", "POST"]),
    ("/v1/products/{sku}", &["GET"]),
    ("/v1/products/{sku}/stock", &["POST"]),
    ("/v1/orders", &["GET", "POST"]),
    ("/v1/orders/{id}", &["GET"]),
    ("/v1/orders/{id}/history", &["GET"]),
    ("/v1/orders/{id}/cancel", &["POST"]),
    ("/v1/notifications", &["GET"]),
    ("/v1/notifications/{id}/read", &["POST"]),
    ("/v1/commands/{id}", &["GET"]),
    ("/v1/stream", &["GET"]),
    ("/", &["GET"]),
    ("/livez", &["GET"]),
    ("/readyz", &["GET"]),
    ("/openapi.json", &["GET"]),
    ("/.well-known/jwks.json", &["GET"]),
];

/// Serves a route: these methods and paths, this handler.
macro_rules! route {
    ($call:expr, $method:ident $path:expr => $handler:path) => {
        warp::$method().and($path).and($call).then($handler).map(settle).boxed()
    };
    ($call:expr, $method:ident $path:expr, param => $handler:path) => {
        warp::$method()
            .and($path)
            .and($call)
            .then(|parameter: String, call: Call| $handler(call, parameter))
            .map(settle)
            .boxed()
    };
}

/// All routes.
pub fn all(state: &Arc<State>) -> BoxedFilter<(Response,)> {
    let c = call(state.clone()).boxed();
    let c = || c.clone();

    let users = any([
        route!(c(), post path!("v1" / "users") => users::register),
        route!(c(), get path!("v1" / "users" / "me") => users::read),
        route!(c(), patch path!("v1" / "users" / "me") => users::rename),
        route!(c(), delete path!("v1" / "users" / "me") => users::deactivate),
        route!(c(), put path!("v1" / "users" / "me" / "email") => users::change_email),
        route!(c(), put path!("v1" / "users" / "me" / "password") => users::change_password),
    ]);
    let sessions = any([
        route!(c(), post path!("v1" / "sessions") => sessions::log_in),
        route!(c(), post path!("v1" / "sessions" / "refresh") => sessions::refresh),
        route!(c(), delete path!("v1" / "sessions" / "current") => sessions::log_out),
    ]);
    let products = any([
        route!(c(), post path!("v1" / "products") => products::add),
        route!(c(), get path!("v1" / "products") => products::list),
        route!(c(), get path!("v1" / "products" / String), param => products::read),
        route!(c(), post path!("v1" / "products" / String / "stock"), param => products::receive),
    ]);
    let orders = any([
        route!(c(), post path!("v1" / "orders") => orders::place),
        route!(c(), get path!("v1" / "orders") => orders::list),
        route!(c(), get path!("v1" / "orders" / String), param => orders::read),
        route!(c(), get path!("v1" / "orders" / String / "history"), param => orders::history),
        route!(c(), post path!("v1" / "orders" / String / "cancel"), param => orders::cancel),
    ]);
    let others = any([
        route!(c(), get path!("v1" / "notifications") => notifications::list),
        route!(c(), post path!("v1" / "notifications" / String / "read"), param => notifications::mark_read),
        route!(c(), get path!("v1" / "commands" / String), param => commands::read),
        route!(c(), get path!("v1" / "stream") => stream::watch),
    ]);
    // These do not count against the limit.
    let uncounted = any([
        route!(c(), get path::end() => page::show),
        route!(c(), get path!("openapi.json") => page::openapi),
        route!(c(), get path!(".well-known" / "jwks.json") => page::jwks),
        route!(c(), get path!("livez") => operations::live),
        route!(c(), get path!("readyz") => operations::ready),
    ]);

    let counted = without_slash().and(any([users, sessions, products, orders, others])).boxed();
    let counted = any([counted, unmatched()]);
    let uncounted = without_slash().and(uncounted).boxed();
    let counted = room(state.clone())
        .and(admitted(state.clone()))
        .and(counted.recover(problem::recover).unify())
        .map(|_room: OwnedSemaphorePermit, standing: Standing, response| standing.told(response));
    observed(state.clone(), uncounted.or(counted).unify().recover(problem::recover).unify().boxed())
}

fn any<const N: usize>(routes: [BoxedFilter<(Response,)>; N]) -> BoxedFilter<(Response,)> {
    let none =
        warp::any().and_then(|| async { Err::<Response, _>(warp::reject::not_found()) }).boxed();
    routes.into_iter().rev().fold(none, |rest, route| route.or(rest).unify().boxed())
}

/// The template of a path, and the methods that it takes.
pub fn template(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let fits = |template: &str| {
        let mut parts = path.split('/');
        template.split('/').all(|wanted| match parts.next() {
            Some(part) if wanted.starts_with('{') => !part.is_empty(),
            Some(part) => part == wanted,
            None => false,
        }) && parts.next().is_none()
    };
    TABLE.iter().find(|(template, _)| fits(template)).copied()
}

/// What a path names, in one spelling: the template with the parameters as they are parsed. An
/// idempotency key belongs to this and the method.
pub fn resource(path: &str) -> String {
    let Some((template, _)) = template(path) else { return path.to_owned() };
    let parts = template.split('/').zip(path.split('/')).map(|(wanted, part)| match wanted {
        "{id}" => Uuid::parse_str(part).map_or_else(|_| part.to_owned(), |id| id.to_string()),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Refuses a slash at the end of a path, which warp's filters would take: each resource has one
/// path.
fn without_slash() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::path::full()
        .and_then(|path: FullPath| async move {
            let path = path.as_str();
            if path.len() > 1 && path.ends_with('/') {
                Err(warp::reject::not_found())
            } else {
                Ok(())
            }
        })
        .untuple_one()
}

/// What no route takes: 405 if another method would do, else 404.
fn unmatched() -> BoxedFilter<(Response,)> {
    warp::path::full()
        .map(|path: FullPath| {
            let problem = template(path.as_str())
                .map_or_else(Problem::not_found, |(_, methods)| {
                    Problem::method_not_allowed(methods)
                });
            problem.into_response()
        })
        .boxed()
}

/// A place among the requests that are answered at once, until the answer begins: a stream that
/// goes on has a place of its own. Nobody waits for one, because a queue only makes all answers
/// late.
fn room(
    state: Arc<State>,
) -> impl Filter<Extract = (OwnedSemaphorePermit,), Error = Rejection> + Clone {
    warp::any().and_then(move || {
        let place = state.requests.clone().try_acquire_owned();
        async move { place.map_err(|_| warp::reject::custom(Problem::overloaded())) }
    })
}

/// The client's request is counted.
fn admitted(state: Arc<State>) -> impl Filter<Extract = (Standing,), Error = Rejection> + Clone {
    warp::ext::optional::<Peer>().and(warp::header::headers_cloned()).and_then(
        move |peer: Option<Peer>, headers: HeaderMap| {
            let state = state.clone();
            async move {
                let client = state.limit.client(Peer::address(peer), &headers);
                limit::admit(&state, client).await.map_err(warp::reject::custom)
            }
        },
    )
}

/// Every request is counted for operators, and every answer gets the headers of security.
fn observed(state: Arc<State>, routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    let begun = {
        let state = state.clone();
        warp::any().map(move || {
            state.metrics.in_flight.inc();
            Begun { at: Instant::now(), state: state.clone() }
        })
    };
    begun
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(routes)
        .map(
            |begun: Begun, method: Method, path: FullPath, asked: HeaderMap, response: Response| {
                let response = conditions::selected(&method, &asked, response);
                begun.ended(&method, path.as_str(), &response);
                headers::secured(response)
            },
        )
        .boxed()
}

/// A request under way; a client that leaves ends it too.
struct Begun {
    at: Instant,
    state: Arc<State>,
}

impl Begun {
    fn ended(&self, method: &Method, path: &str, response: &Response) {
        // Neither an unknown path nor an invented method becomes a label.
        let (route, methods) = template(path).unwrap_or(("unknown", &[]));
        let method = methods.iter().copied().find(|known| known == method).unwrap_or("other");
        let metrics = &self.state.metrics;
        metrics.requests.with_label_values(&[route, method, response.status().as_str()]).inc();
        metrics
            .request_seconds
            .with_label_values(&[route, method])
            .observe(self.at.elapsed().as_secs_f64());
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.state.metrics.in_flight.dec();
    }
}
