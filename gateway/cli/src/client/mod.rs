//! The gateway over HTTP, for one user. Each request has a deadline and is sent once; it is
//! repeated only with new tokens: when the old ones have expired, or after the password was given
//! again because the gateway asks for it (RFC 9470).
//!
//! Tokens are sent only to the gateway that issued them, and no redirect is followed.

mod answer;
mod connect;
mod request;

use std::time::Duration;

use reqwest::{Url, header::CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

pub(crate) use answer::Answer;
pub(crate) use request::Request;

use crate::{
    ask::{self, Source},
    failure::Failure,
    print,
    session::{Session, Store},
    settings::{Connection, secret},
};

/// How long a request may take, besides the time that it asks the gateway to wait.
const REQUEST_MAX: Duration = Duration::from_secs(15);
/// The gateway of a developer's machine.
const URL: &str = "http://localhost:3000";
/// The variable with an access token.
const TOKEN: &str = "MILLRACE_TOKEN";

/// Who uses the gateway.
enum Tokens {
    /// An access token from the environment. There is no other one when it has expired.
    Given(SecretString),
    /// A session in a file.
    Kept(Session),
    /// Nobody has logged in.
    Missing,
}

/// A client of one gateway.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    tokens: Tokens,
    /// Why the session's file can't be used, if it does not matter.
    unusable: Option<Failure>,
}

impl Client {
    /// A client of the gateway that is meant, with the tokens for it. If `replaces_session`, a
    /// session's file that can't be used counts as missing.
    ///
    /// # Errors
    /// If a file can't be read, or TLS can't be set up.
    pub(crate) fn new(connection: Connection, replaces_session: bool) -> Result<Self, Failure> {
        let Connection { url, ca_file } = connection;
        let given = secret(TOKEN);
        let (kept, unusable) = match given {
            Some(_) => (None, None),
            None => match Store::from_env()?.read() {
                Ok(kept) => (kept, None),
                Err(why) if replaces_session => (None, Some(why)),
                Err(why) => return Err(why),
            },
        };
        let kept_at = kept.as_ref().map(|session| session.url.clone());
        let url = match url.or(kept_at) {
            Some(url) => url,
            None => URL.parse().map_err(|error| Failure::Failed(format!("{URL}: {error}")))?,
        };
        let tokens = match (given, kept) {
            (Some(token), _) => Tokens::Given(token),
            (None, Some(session)) if session.url == url => Tokens::Kept(session),
            _ => Tokens::Missing,
        };
        let http = connect::client(&url, ca_file.as_deref())?;
        Ok(Self { http, url, tokens, unusable })
    }

    /// Where the gateway is.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Whose session is used, if it is one in a file.
    pub(crate) fn email(&self) -> Option<&str> {
        match &self.tokens {
            Tokens::Kept(session) => Some(&session.email),
            _ => None,
        }
    }

    /// Why the session's file can't be used, if it is to be replaced or removed.
    pub(crate) fn unusable(&self) -> Option<&Failure> {
        self.unusable.as_ref()
    }

    /// Sends a request as the user who has logged in, and returns the document of the answer.
    ///
    /// # Errors
    /// If nobody has logged in, there is no answer, or the answer is a problem.
    pub(crate) async fn send(&mut self, request: Request<'_>) -> Result<Answer, Failure> {
        let mut answer = self.exchange(&request, Some(self.access_token()?)).await;
        answer = match answer {
            Err(failure) if failure.status() == Some(401) && !failure.is_step_up() => {
                self.again(&request, failure).await
            }
            other => other,
        };
        answer = match answer {
            Err(failure) if failure.is_step_up() => self.stepped_up(&request, failure).await,
            other => other,
        };
        answer.map_err(|failure| match failure.status() {
            Some(403) => self.forbidden(failure),
            _ => failure,
        })
    }

    /// Sends a request that needs no user.
    ///
    /// # Errors
    /// If there is no answer, or the answer is a problem.
    pub(crate) async fn send_as_anybody(&self, request: Request<'_>) -> Result<Answer, Failure> {
        self.exchange(&request, None).await
    }

    /// Logs in, keeps the session, and uses it from now on.
    ///
    /// # Errors
    /// If the log-in is refused, or the session can't be kept.
    pub(crate) async fn log_in(
        &mut self,
        email: &str,
        password: &SecretString,
    ) -> Result<(), Failure> {
        let body = json!({ "email": email, "password": password.expose_secret() });
        let tokens =
            self.send_as_anybody(Request::post("/v1/sessions", body.to_string())).await?.body;
        let session = Session::new(self.url.clone(), email.to_owned(), &tokens)
            .ok_or_else(|| self.unexpected("tokens"))?;
        Store::from_env()?.write(&session)?;
        self.tokens = Tokens::Kept(session);
        Ok(())
    }

    fn access_token(&self) -> Result<&SecretString, Failure> {
        match &self.tokens {
            Tokens::Given(token) => Ok(token),
            Tokens::Kept(session) => Ok(&session.access_token),
            Tokens::Missing => Err(Failure::Failed(format!(
                "nobody has logged in at {}: expected a session of `millrace login`, or an access \
                 token in {TOKEN}",
                self.url
            ))),
        }
    }

    /// Sends the request with new tokens.
    async fn again(&mut self, request: &Request<'_>, failure: Failure) -> Result<Answer, Failure> {
        let Tokens::Kept(session) = &self.tokens else {
            return Err(failure
                .and(&format!("Expected in {TOKEN} an access token of the last ten minutes.")));
        };
        let store = Store::from_env()?;
        // Another process may have got new tokens meanwhile; the old ones are used up then.
        let newer = store.read()?.filter(|kept| {
            let (kept_token, used) = (&kept.access_token, &session.access_token);
            kept.url == session.url && kept_token.expose_secret() != used.expose_secret()
        });
        let session = match newer {
            Some(session) => session,
            None => self.refreshed(session, &store).await?,
        };
        let answer = self.exchange(request, Some(&session.access_token)).await;
        self.tokens = Tokens::Kept(session);
        answer
    }

    /// Sends the request after a log-in with the password.
    async fn stepped_up(
        &mut self,
        request: &Request<'_>,
        failure: Failure,
    ) -> Result<Answer, Failure> {
        let Tokens::Kept(session) = &self.tokens else {
            return Err(failure.and(&format!(
                "Expected in {TOKEN} an access token of a log-in within the last five minutes."
            )));
        };
        let Session { email, access_token: old, .. } = session.clone();
        let source = Source::from_env().map_err(Failure::after_a_request)?;
        print::note(&format!("{} asks for the password of {email} again.", self.url));
        let password = ask::password(source).map_err(Failure::after_a_request)?;
        self.log_in(&email, &password).await?;
        // The session before is not needed any more. If this does not arrive, it expires.
        drop(self.exchange(&Request::delete("/v1/sessions/current"), Some(&old)).await);
        self.exchange(request, Some(self.access_token()?)).await
    }

    async fn refreshed(&self, session: &Session, store: &Store) -> Result<Session, Failure> {
        let body = json!({ "refresh_token": session.refresh_token.expose_secret() });
        let answer =
            self.exchange(&Request::post("/v1/sessions/refresh", body.to_string()), None).await;
        let answer = answer.map_err(|failure| {
            let url = &self.url;
            failure.or_if(401, || {
                format!("the session at {url} has ended: log in again with `millrace login`")
            })
        })?;
        let session = Session::new(session.url.clone(), session.email.clone(), &answer.body)
            .ok_or_else(|| self.unexpected("tokens"))?;
        store.write(&session)?;
        Ok(session)
    }

    fn forbidden(&self, failure: Failure) -> Failure {
        let who = self.email().unwrap_or("the user of the access token");
        failure.and(&format!("Expected an admin, and {who} is not one."))
    }

    /// The failure of an answer that is not what the API describes.
    pub(crate) fn unexpected(&self, expected: &str) -> Failure {
        Failure::Failed(format!(
            "{} answered with something else than {expected}: expected a Millrace gateway there \
             (--url or MILLRACE_URL)",
            self.url
        ))
    }

    /// Sends a request once.
    async fn exchange(
        &self,
        request: &Request<'_>,
        token: Option<&SecretString>,
    ) -> Result<Answer, Failure> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), request.path));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let deadline = REQUEST_MAX + request.wait;
        let mut builder = self.http.request(request.method.clone(), url).timeout(deadline);
        for (name, value) in request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(token) = token {
            builder = builder.bearer_auth(token.expose_secret());
        }
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        match builder.send().await {
            Ok(response) => answer::read(response, &self.url, deadline).await,
            Err(error) => Err(answer::unanswered(&self.url, deadline, error)),
        }
    }
}
