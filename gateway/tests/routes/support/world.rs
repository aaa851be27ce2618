//! The simulated log: it takes commands, decides on them in the simplest way or as a test asks, and
//! keeps the result for the simulated projections.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use gateway::{
    auth::Role,
    commands::{Command, CommandRecord, Confirmed},
    desk::{Action, DeadContent, DeadLetter, ParkedKey, ParkedRecord},
    reads::{
        Applied, Credential, Line, Notification, Order, Product, StreamItem, StreamScope, User,
    },
    statistics::Statistics,
};
use projections::postgres::TraceView;
use schemas::{Message as _, Outcome, Verdict, notification, order, stock, user};
use tokio::sync::watch;
use uuid::Uuid;

/// What the simulated log and processors do with a command.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// The command is accepted.
    #[default]
    Accept,
    /// The command is refused with this code.
    Refuse(&'static str),
    /// The command fails.
    Fail,
    /// The command is written and gets no outcome.
    Silence,
    /// The log does not confirm the command, and does not have it.
    Unwritten,
    /// The command is accepted, and the log never confirms it to the request; a test does later.
    Unheard,
    /// The command is accepted, but not projected.
    Lag,
}

/// Which notices arrive: of outcomes, and of read models.
#[derive(Clone, Copy, Debug, Default)]
pub enum Notices {
    None,
    /// Of outcomes; there is no subscription for read models.
    #[default]
    Outcomes,
    /// Of outcomes; those of read models are lost.
    LostViews,
    All,
}

/// What the operator's desk shows.
#[derive(Default)]
pub struct Desk {
    pub dead: Vec<DeadLetter>,
    /// The content of every dead letter.
    pub content: Option<DeadContent>,
    pub parked: Vec<ParkedKey>,
    /// The records of every parked key.
    pub records: Vec<ParkedRecord>,
    pub actions: Vec<Action>,
}

#[derive(Default)]
pub struct Inner {
    pub answer: Answer,
    pub notices: Notices,
    /// How many reads there were.
    pub reads: usize,
    /// Commands of this context get no outcome.
    pub silent: Option<&'static str>,
    pub written: Vec<CommandRecord>,
    /// Confirms the commands that are written, and whose requests have not heard of it.
    pub unheard: Vec<Confirmed>,
    pub outcomes: HashMap<Uuid, Outcome>,
    pub traces: HashMap<Uuid, TraceView>,
    /// By the id of the record.
    pub applied: HashMap<Uuid, Vec<Applied>>,
    pub versions: HashMap<(String, String), i64>,
    pub users: HashMap<Uuid, User>,
    pub credentials: HashMap<Uuid, (String, Credential)>,
    /// When sessions began, in milliseconds.
    pub sessions: HashMap<Uuid, i64>,
    pub products: BTreeMap<String, Product>,
    /// Products as the faster store has them, which may be behind.
    pub hot: BTreeMap<String, Product>,
    pub orders: HashMap<Uuid, Order>,
    pub notifications: HashMap<Uuid, Notification>,
    pub counts: HashMap<String, (u64, Duration)>,
    pub claims: HashMap<String, (String, Duration)>,
    /// By the name of their set, the newest last.
    pub marks: HashMap<String, Vec<(String, Duration)>>,
    /// The items of the live stream.
    pub items: Vec<StreamItem>,
    /// Whether streams stay open after the last item.
    pub endless: bool,
    /// The streams that were opened.
    pub opened: Vec<(StreamScope, Option<String>)>,
    pub desk: Desk,
    pub statistics: Statistics,
    pub statistics_changes: watch::Sender<u64>,
    pub desk_changes: watch::Sender<u64>,
    pub counters_down: bool,
    pub stores_down: bool,
    /// Whether the stores go down when the next command has been written.
    pub stores_end: bool,
    /// Whether read models show what outcomes do not show yet.
    pub outcomes_late: bool,
    /// Whether reads wait until this is over.
    pub stores_stuck: bool,
    /// Whether a read answers only when it is polled again.
    pub stores_yield: bool,
}

#[derive(Clone, Default)]
pub struct World(pub Arc<Mutex<Inner>>);

impl World {
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn answers(&self, answer: Answer) {
        self.inner().answer = answer;
    }

    /// The last command that was written.
    pub fn last(&self) -> CommandRecord {
        self.inner().written.last().expect("a command").clone()
    }

    pub fn written(&self) -> usize {
        self.inner().written.len()
    }

    /// Keeps a command that is written, and decides it.
    pub fn take(&self, sent: CommandRecord) {
        let mut inner = self.inner();
        inner.decide(&sent);
        inner.written.push(sent);
        inner.stores_down |= inner.stores_end;
    }

    /// Decides the commands that have no outcome yet, and those that follow.
    pub fn catch_up(&self) {
        let mut inner = self.inner();
        inner.silent = None;
        for sent in inner.written.clone() {
            inner.decide(&sent);
        }
    }
}

impl Inner {
    fn decide(&mut self, sent: &CommandRecord) {
        let (verdict, code) = match self.answer {
            Answer::Accept | Answer::Lag | Answer::Unheard => (Verdict::Accepted, None),
            Answer::Refuse(code) => (Verdict::Refused, Some(code.to_owned())),
            Answer::Fail => (Verdict::Failed, Some("failed".to_owned())),
            Answer::Silence | Answer::Unwritten => return,
        };
        if self.silent == Some(sent.command.context()) {
            return;
        }
        if self.outcomes.contains_key(&sent.id) {
            return;
        }
        let context = sent.command.context().to_owned();
        let held = self.versions.get(&(context.clone(), sent.key.clone())).copied().unwrap_or(0);
        // A refused order exists, as a rejected one.
        let version = if verdict == Verdict::Accepted { held + 1 } else { held.max(1) };
        if verdict == Verdict::Accepted && !matches!(self.answer, Answer::Lag) {
            self.versions.insert((context.clone(), sent.key.clone()), version);
            self.apply(&sent.command, version);
        }
        let outcome = Outcome {
            command_id: sent.id,
            command_type: sent.command.name().to_owned(),
            verdict,
            detail: code.as_ref().map(|code| format!("because of {code}")),
            code,
            aggregate: context,
            aggregate_id: sent.key.clone(),
            version,
            principal: sent.principal.clone(),
            fingerprint: Some(sent.fingerprint.clone()),
            decided_at: 1_700_000_000_000,
        };
        self.outcomes.insert(sent.id, outcome);
    }

    fn apply(&mut self, command: &Command, version: i64) {
        match command.clone() {
            Command::User(user::Command::RegisterUser(it)) => {
                let role = if it.role == user::Role::Admin { Role::Admin } else { Role::User };
                let user = User { id: it.user_id, email: it.email, name: it.name, role, version };
                let credential = Credential {
                    user_id: it.user_id,
                    role,
                    password_hash: it.password_hash,
                    credential_version: 1,
                };
                self.users.insert(it.user_id, user);
                self.credentials.insert(it.user_id, (it.email_fingerprint, credential));
            }
            Command::User(user::Command::ChangeName(it)) => {
                let user = self.users.get_mut(&it.user_id).unwrap();
                (user.name, user.version) = (it.name, version);
            }
            Command::User(user::Command::ChangeEmail(it)) => {
                let user = self.users.get_mut(&it.user_id).unwrap();
                (user.email, user.version) = (it.email, version);
            }
            Command::User(user::Command::ChangePassword(it)) => {
                let (_, credential) = self.credentials.get_mut(&it.user_id).unwrap();
                credential.password_hash = it.password_hash;
                credential.credential_version += 1;
            }
            Command::User(user::Command::DeactivateUser(it)) => {
                self.users.remove(&it.user_id);
                self.credentials.remove(&it.user_id);
            }
            Command::Stock(stock::Command::AddProduct(it)) => {
                let product = Product {
                    sku: it.sku.clone(),
                    name: it.name,
                    price_minor: it.price.amount_minor,
                    currency: it.price.currency,
                    available: 0,
                    version,
                };
                self.products.insert(it.sku, product);
            }
            Command::Stock(stock::Command::ReceiveStock(it)) => {
                let product = self.products.get_mut(&it.sku).unwrap();
                product.available += i64::from(it.quantity);
                product.version = version;
            }
            Command::Order(order::Command::PlaceOrder(it)) => {
                let lines = it.lines.into_iter();
                let order = Order {
                    id: it.order_id,
                    user_id: it.user_id,
                    status: "confirmed".into(),
                    lines: lines
                        .map(|l| Line {
                            sku: l.sku,
                            quantity: l.quantity,
                            unit_price_minor: Some(100),
                        })
                        .collect(),
                    total_minor: Some(100),
                    currency: Some("EUR".into()),
                    reason: None,
                    placed_at: "2026-01-01T00:00:00.000Z".into(),
                    version,
                };
                self.orders.insert(it.order_id, order);
            }
            Command::Order(order::Command::CancelOrder(it)) => {
                let order = self.orders.get_mut(&it.order_id).unwrap();
                (order.status, order.version) = ("cancelled".into(), version);
            }
            Command::Notification(notification::Command::MarkRead(it)) => {
                let notification = self.notifications.get_mut(&it.notification_id).unwrap();
                (notification.read, notification.version) = (true, version);
            }
            _ => {}
        }
    }
}
