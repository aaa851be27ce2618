//! Places one order after the other, and ends with an error at the first that is not confirmed. It
//! shows whether a disturbance of the system affects customers. Needs the variables that
//! `stack run` sets. Ends in order on SIGTERM and Ctrl-C.
#![forbid(unsafe_code)]

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use integration::client::{Answer, Client, Request};
use tokio::signal::unix::{SignalKind, signal};

/// Less than the ten minutes for which a token is valid.
const LOGGED_IN_MAX: Duration = Duration::from_secs(300);
/// How long log-in of the first admin may take to work.
const ADMIN_MAX: Duration = Duration::from_secs(30);
/// The pause between two orders.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let (url, sku) = (variable("MILLRACE_URL")?, format!("sold-{}", &mark[..12]));
    let (email, password) = (format!("{mark}@millrace.example"), format!("password {mark}"));
    let file = variable("MILLRACE_ADMIN_PASSWORD_FILE")?;
    let admin_password = std::fs::read_to_string(&file).with_context(|| file.clone())?;

    let (admin_email, begun) = (variable("MILLRACE_ADMIN_EMAIL")?, Instant::now());
    let admin = loop {
        match logged_in(&url, &admin_email, admin_password.trim()).await {
            Ok(admin) => break admin,
            // The gateway registers the first admin by a command at its start.
            Err(_) if begun.elapsed() < ADMIN_MAX => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    };
    done(admin.add_product(&sku, "Something", 349)).await?;
    done(admin.receive_stock(&sku, 1_000_000)).await?;
    done(Client::new(&url)?.register(&email, &password, "Ada")).await?;

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (mut ada, mut since) = (logged_in(&url, &email, &password).await?, Instant::now());
    loop {
        let placed = done(ada.place_order(&[(&sku, 2)])).await?;
        let (id, status) = (placed.location_id().unwrap_or_default(), placed.text("status"));
        ensure!(status == Some("confirmed"), "order {id} is {}", placed.body);
        // The reader of the pipe may have ended.
        drop(writeln!(std::io::stdout(), "order {id} confirmed in {} ms", placed.took.as_millis()));
        if since.elapsed() > LOGGED_IN_MAX {
            (ada, since) = (logged_in(&url, &email, &password).await?, Instant::now());
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run this under `stack run --`"))
}

async fn logged_in(url: &str, email: &str, password: &str) -> anyhow::Result<Client> {
    let visitor = Client::new(url)?;
    let session = visitor.log_in(email, password).send().await?;
    let token = session
        .text("access_token")
        .with_context(|| format!("{}: {}", session.what, session.body))?;
    let token = token.to_owned();
    Ok(visitor.with_token(token))
}

/// Sends a command and waits for its outcome.
async fn done(request: Request) -> anyhow::Result<Answer> {
    let answer = request.wait(20).send().await?;
    ensure!(
        [200, 201].contains(&answer.status),
        "{}: {} {}",
        answer.what,
        answer.status,
        answer.body
    );
    Ok(answer)
}
