//! The products and users that requests use. Everything is created over HTTP, as people do.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use integration::client::{Answer, Client};
use tokio::task::JoinSet;

/// Pieces of each product: more than any run can sell.
pub(super) const PIECES: i64 = 1_000_000;
/// How many products are added at a time.
const TOGETHER: usize = 10;
/// How long the first log-in of the admin may take: the gateway sends its registration at its
/// start.
const ADMIN_MAX: Duration = Duration::from_secs(30);
/// The users log in again when their tokens, which are valid for ten minutes, are this old.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(240);
/// The password of every account.
pub(super) const PASSWORD: &str = "a long enough password";

/// A shop with products and logged-in users. Clones are the same shop.
#[derive(Clone)]
pub(crate) struct Shop(Arc<Inner>);

struct Inner {
    url: String,
    admin: Mutex<String>,
    skus: Vec<String>,
    emails: Vec<String>,
    tokens: Mutex<(Instant, Vec<String>)>,
}

impl Shop {
    /// Adds products with stock, and registers users, at the system that serves `url`.
    ///
    /// # Errors
    /// If the system refuses something or does not answer.
    pub(crate) async fn open(url: &str, users: usize, products: usize) -> anyhow::Result<Self> {
        ensure!(users > 0 && products > 0, "expected at least one user and one product");
        let url = url.to_owned();
        let admin = log_in_admin(&url).await?;
        let mark = format!("{:08x}", rand::random::<u32>());
        let skus: Vec<_> = (0..products).map(|number| format!("load-{mark}-{number}")).collect();
        for some in skus.chunks(TOGETHER) {
            let mut additions = JoinSet::new();
            for sku in some {
                let keeper = Client::new(&url)?.with_token(&*admin);
                additions.spawn(add(keeper, sku.clone()));
            }
            while let Some(added) = additions.join_next().await {
                added??;
            }
        }
        let visitor = Client::new(&url)?;
        let mut emails = Vec::new();
        for number in 0..users {
            let email = format!("load.{mark}.{number}@millrace.example");
            let registered = visitor.register(&email, PASSWORD, "Load").wait(10).send().await?;
            expect(registered, 201)?;
            emails.push(email);
        }
        let shop = Self(Arc::new(Inner {
            admin: Mutex::new(admin),
            skus,
            emails,
            tokens: Mutex::new((Instant::now(), Vec::new())),
            url,
        }));
        shop.log_in().await?;
        Ok(shop)
    }

    /// Logs the users in again if their tokens are old.
    pub(super) async fn log_in_again(&self) -> anyhow::Result<()> {
        let age = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner).0.elapsed();
        if age > TOKEN_AGE_MAX { self.log_in().await } else { Ok(()) }
    }

    async fn log_in(&self) -> anyhow::Result<()> {
        let mut tokens = Vec::new();
        for email in &self.0.emails {
            tokens.push(token(self.visitor()?.log_in(email, PASSWORD).send().await?)?);
        }
        *self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), tokens);
        let admin = log_in_admin(&self.0.url).await?;
        *self.0.admin.lock().unwrap_or_else(PoisonError::into_inner) = admin;
        Ok(())
    }

    /// A client that is not logged in.
    pub(super) fn visitor(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.0.url)?)
    }

    /// A client of a user.
    pub(super) fn user(&self, user: usize) -> anyhow::Result<Client> {
        let token = {
            let tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.1[user % tokens.1.len()].clone()
        };
        Ok(self.visitor()?.with_token(token))
    }

    /// A client of the admin.
    pub(super) fn admin(&self) -> anyhow::Result<Client> {
        let token = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(self.visitor()?.with_token(token))
    }

    /// How many users there are.
    pub(super) fn users(&self) -> usize {
        self.0.emails.len()
    }

    /// A product; the same for the same number.
    pub(super) fn sku(&self, number: usize) -> &str {
        &self.0.skus[number % self.0.skus.len()]
    }

    /// All products.
    pub(super) fn skus(&self) -> &[String] {
        &self.0.skus
    }
}

/// Adds a product with stock.
async fn add(keeper: Client, sku: String) -> anyhow::Result<()> {
    expect(keeper.add_product(&sku, "Something", 349).wait(10).send().await?, 201)?;
    let received = keeper.receive_stock(&sku, PIECES).wait(10).send().await?;
    ensure!(received.status < 300, "{}: {}", received.what, received.status);
    Ok(())
}

async fn log_in_admin(url: &str) -> anyhow::Result<String> {
    let (email, file) =
        (variable("MILLRACE_ADMIN_EMAIL")?, variable("MILLRACE_ADMIN_PASSWORD_FILE")?);
    let password = std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
    let begun = Instant::now();
    loop {
        let answer = Client::new(url)?.log_in(&email, password.trim()).send().await?;
        if answer.status == 200 || begun.elapsed() > ADMIN_MAX {
            return token(answer);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn token(answer: Answer) -> anyhow::Result<String> {
    let answer = expect(answer, 200)?;
    Ok(answer.text("access_token").context("a log-in without a token")?.to_owned())
}

fn expect(answer: Answer, status: u16) -> anyhow::Result<Answer> {
    ensure!(answer.status == status, "{}: {} {}", answer.what, answer.status, answer.body);
    Ok(answer)
}

/// A variable that `integration/bench` or the stack sets.
pub(crate) fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; start with integration/bench"))
}
