//! One route, and which route a request is for. Knows no handler and no list of routes.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::{
    call::{Answer, Call},
    load::Class,
    problem::Problem,
};

/// Answers a call; gets the parameter of the path, or an empty string if the path has none.
pub(super) type Handler = fn(Call, String) -> BoxFuture<'static, Answer>;

/// A method and a path, and who answers them.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The template of the path, such as `/v1/orders/{id}`; it has at most one parameter.
    pub path: &'static str,
    /// Whether requests count against the limit of their address and those in flight.
    pub is_limited: bool,
    /// The class of its requests, if the method does not tell it.
    class: Option<Class>,
    /// The parameters of the query that a write has.
    parameters: &'static [&'static str],
    pub(super) handler: Handler,
}

impl Route {
    /// A route whose requests are limited.
    pub(super) const fn new(method: &'static str, path: &'static str, handler: Handler) -> Self {
        Self { method, path, is_limited: true, class: None, parameters: &[], handler }
    }

    /// The same route without limits.
    pub(super) const fn unlimited(self) -> Self {
        Self { is_limited: false, ..self }
    }

    /// The same route with requests of this class.
    pub(super) const fn of(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    /// The same route, a write with these parameters in its query.
    pub(super) const fn with(self, parameters: &'static [&'static str]) -> Self {
        Self { parameters, ..self }
    }

    /// Checks that a write has no parameter that it would ignore: a client that sends one, such as
    /// `dry_run`, expects it to have an effect.
    ///
    /// # Errors
    /// Returns a 400 problem that names the parameter.
    pub(super) fn check_query(&self, query: &str) -> Result<(), Problem> {
        if self.method == "GET" {
            return Ok(());
        }
        let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
        match names.find(|name| !self.parameters.contains(&&**name)) {
            None => Ok(()),
            Some(unknown) => {
                let expected = match self.parameters {
                    [] => "expected no parameters".to_owned(),
                    known => format!("expected no other parameter than {}", known.join(", ")),
                };
                Err(Problem::field(&unknown, expected))
            }
        }
    }

    /// The class of its requests: a GET is a read, anything else a command, unless the table says
    /// otherwise.
    pub(super) fn class(&self) -> Class {
        let by_method = if self.method == "GET" { Class::Reads } else { Class::Commands };
        self.class.unwrap_or(by_method)
    }
}

/// What a request is for.
pub(super) struct Target {
    /// The routes with the request's path, one for each method; none if the path is unknown.
    routes: &'static [Route],
    /// The route with the request's method too.
    pub(super) route: Option<&'static Route>,
    /// The parameter of the path as the client wrote it, or an empty string.
    pub(super) parameter: String,
    /// What the path names, in canonical form: the template with the parsed parameter.
    pub(super) resource: String,
}

impl Target {
    /// Finds the routes of a path in `table`, where the routes of one path follow each other.
    pub(super) fn of(table: &'static [Route], method: &str, path: &str) -> Self {
        let mut by_path = table.chunk_by(|a, b| a.path == b.path);
        let routes = by_path.find(|routes| fits(routes[0].path, path)).unwrap_or_default();
        let template = routes.first().map_or(path, |route| route.path);
        let parameter =
            template.split('/').zip(path.split('/')).find(|(part, _)| is_variable(part));
        Self {
            routes,
            route: routes.iter().find(|route| route.method == method),
            parameter: parameter.map(|(_, value)| value.to_owned()).unwrap_or_default(),
            resource: resource(template, path),
        }
    }

    /// The path's template; `None` if the path is unknown.
    pub(super) fn template(&self) -> Option<&'static str> {
        self.routes.first().map(|route| route.path)
    }

    /// The class of the request. One without a route is answered as quickly as a read.
    pub(super) fn class(&self) -> Class {
        self.route.map_or(Class::Reads, Route::class)
    }

    /// The methods of the path, in the order of the table.
    pub(super) fn methods(&self) -> Vec<&'static str> {
        self.routes.iter().map(|route| route.method).collect()
    }
}

fn is_variable(part: &str) -> bool {
    part.starts_with('{')
}

/// Whether a path has the form of a template. A slash at the end belongs to no template.
fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let each = template.split('/').all(|expected| match parts.next() {
        Some(part) if is_variable(expected) => !part.is_empty(),
        Some(part) => part == expected,
        None => false,
    });
    each && parts.next().is_none()
}

fn resource(template: &str, path: &str) -> String {
    let parts = template.split('/').zip(path.split('/')).map(|(expected, part)| match expected {
        "{id}" => Uuid::parse_str(part).map_or_else(|_| part.to_owned(), |id| id.to_string()),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Route] = &[
        Route::new("GET", "/", |_, _| unreachable!()),
        Route::new("GET", "/orders", |_, _| unreachable!()),
        Route::new("POST", "/orders", |_, _| unreachable!()),
        Route::new("GET", "/orders/{id}/history", |_, _| unreachable!()),
    ];

    #[test]
    fn target_has_the_methods_of_its_path() {
        let known = Target::of(TABLE, "POST", "/orders");
        assert_eq!(known.route.map(|route| route.method), Some("POST"));
        let other = Target::of(TABLE, "PUT", "/orders");
        assert!(other.route.is_none());
        assert_eq!(other.methods(), ["GET", "POST"]);
        assert_eq!(Target::of(TABLE, "GET", "/").template(), Some("/"));
    }

    #[test]
    fn path_of_another_form_is_unknown() {
        for path in ["", "//", "/orders/", "/orders//history", "/orders/1", "/orders/1/history/2"] {
            assert_eq!(Target::of(TABLE, "GET", path).template(), None, "{path}");
        }
    }

    #[test]
    fn spellings_of_an_id_name_one_resource() {
        let id = "c0ffee00-0000-4000-8000-000000000000";
        for spelling in [id.to_uppercase(), id.replace('-', "")] {
            let target = Target::of(TABLE, "GET", &format!("/orders/{spelling}/history"));
            assert_eq!(target.resource, format!("/orders/{id}/history"));
            assert_eq!(target.parameter, spelling);
        }
    }
}
