//! Log-in and log-out. The password is never an argument, which other users can see.

use std::{net::IpAddr, path::PathBuf};

use clap::Args;
use serde_json::json;

use crate::{
    ask::{self, Source},
    client::{Client, Request},
    failure::Failure,
    report::Report,
    session::Store,
    text::value::text,
};

/// Who logs in. The password is read from the terminal, or from the variable MILLRACE_PASSWORD, or
/// from a file.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The e-mail address of the account.
    #[arg(env = "MILLRACE_EMAIL")]
    email: String,
    /// A file whose one line is the password.
    #[arg(long, env = "MILLRACE_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Login {
    pub(super) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        let Self { email, password_file } = self;
        let source = Source::of(password_file)?;
        let store = Store::from_env()?;
        let clear = sent_in_clear(client).then(|| {
            let url = client.url();
            format!("Without TLS, everybody on the way to {url} can read the password.")
        });
        let password = ask::password(source)?;
        client.log_in(&email, &password).await?;
        let me = client.send(Request::get("/v1/users/me")).await?.body;
        let role = text(&me, "role");
        let (url, path) = (client.url(), store.path().display());
        let line = format!("Logged in at {url} as {email} ({role}). The session is in {path}.");
        let value =
            json!({ "url": url.as_str(), "email": email, "role": role, "session": store.path() });
        let stranger = (role != "admin").then(|| {
            "Only admins may use the desk; other users may read the traces of their orders."
                .to_owned()
        });
        Ok(Report::done(value, vec![line]).noting(clear).noting(stranger))
    }
}

/// Whether the connection is neither encrypted nor within this machine.
fn sent_in_clear(client: &Client) -> bool {
    client.url().scheme() == "http" && !is_local(client.url().host_str().unwrap_or_default())
}

/// Whether a host of a URL is this machine. A name may begin with 127 and be anybody's.
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Ends the session. A file that can't be used is removed; whether there was a session, and whether
/// it goes on, is not known then.
pub(super) async fn log_out(client: &mut Client) -> Result<Report, Failure> {
    if let Some(why) = client.unusable() {
        let store = Store::from_env()?;
        store.remove()?;
        let line = "Removed the session's file. If it held a session, that was not ended: it ends \
                    when it expires, or when the password is changed.";
        let report = Report::done(json!({ "removed": store.path() }), vec![line.to_owned()]);
        return Ok(report.noting(Some(format!("millrace: {why}"))).only_if(false));
    }
    let is_kept = client.email().is_some();
    let ended = client.send(Request::delete("/v1/sessions/current")).await;
    match ended {
        // It has ended already.
        Err(failure) if failure.status() == Some(401) => {}
        other => drop(other?),
    }
    if is_kept {
        Store::from_env()?.remove()?;
    }
    let line = format!("Logged out at {}.", client.url());
    Ok(Report::done(json!({ "url": client.url().as_str() }), vec![line]))
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn name_that_looks_like_an_address_of_this_machine_is_not_local() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["127.example.org", "127.0.0.1.example.org", "10.0.0.1", "[::2]", ""] {
            assert!(!is_local(host), "{host}");
        }
    }
}
