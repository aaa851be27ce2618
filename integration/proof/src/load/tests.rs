//! What the stream sends, with commands about users decided by the domain's rules.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{
    decider::{CommandStatus, Decider as _, Input, InputInfo},
    user::User,
};
use schemas::{
    Codec, Message as _, Record as _, headers,
    notification::MarkRead,
    order::{CancelOrder, PlaceOrder},
    stock::ReceiveStock,
    user::{
        self, ChangeEmail, ChangeName, ChangePassword, DeactivateUser, EndSession, Event, FollowUp,
        RecordEmailClaim, RefreshSession, RegisterUser, RehashPassword, StartSession, State,
    },
};
use uuid::Uuid;

use super::accounts::Account;
use super::history::{Command, History};
use super::notices::Notice;
use super::stream::Stream;
use super::{CUSTOMERS, register};

/// The commands about accounts.
const OF_ACCOUNTS: [&str; 8] = [
    StartSession::SCHEMA.name,
    RefreshSession::SCHEMA.name,
    EndSession::SCHEMA.name,
    ChangeName::SCHEMA.name,
    ChangeEmail::SCHEMA.name,
    ChangePassword::SCHEMA.name,
    RehashPassword::SCHEMA.name,
    DeactivateUser::SCHEMA.name,
];

/// All other commands.
const OTHERS: [&str; 5] = [
    PlaceOrder::SCHEMA.name,
    CancelOrder::SCHEMA.name,
    ReceiveStock::SCHEMA.name,
    RegisterUser::SCHEMA.name,
    MarkRead::SCHEMA.name,
];

/// Users, as the user service keeps them. A claim is answered at once.
#[derive(Default)]
struct Users {
    states: HashMap<String, State>,
    versions: HashMap<String, i64>,
    /// Who has which address.
    owners: HashMap<String, String>,
}

impl Users {
    /// Decides on a command, and returns whether it is accepted.
    fn decide(&mut self, command: &Command, codec: &Codec, at_ms: i64) -> bool {
        let message = user::Command::decode(codec, &command.value).expect("a command of users");
        let key = command.key.as_str();
        let version = self.versions.get(key).copied().unwrap_or(0);
        let info = InputInfo { key, at_ms, input_id: command.id, version, principal: "faults" };
        let input = Input::Command(message);
        let Ok(decision) = User::decide(self.states.get(key), None, &input, &info) else {
            return false;
        };
        self.apply(key, &decision.events);
        match decision.status {
            CommandStatus::Accepted => return true,
            CommandStatus::Refused(_) => return false,
            CommandStatus::Pending => {}
        }
        let (user_id, email_fingerprint) = match &decision.events[0] {
            Event::RegistrationStarted(it) => (it.user_id, it.email_fingerprint.clone()),
            Event::EmailChangeStarted(it) => (it.user_id, it.email_fingerprint.clone()),
            other => panic!("{other:?} claims no address"),
        };
        let granted = self.owners.get(&email_fingerprint).is_none_or(|owner| owner == key);
        let reply = RecordEmailClaim { user_id, email_fingerprint, claim_id: command.id, granted };
        let reply = Input::FollowUp(FollowUp::from(reply));
        let decision = User::decide(self.states.get(key), None, &reply, &info).expect("an end");
        self.apply(key, &decision.events);
        granted
    }

    fn apply(&mut self, key: &str, events: &[Event]) {
        for event in events {
            match event {
                Event::UserRegistered(it) => {
                    self.owners.insert(it.email_fingerprint.clone(), key.to_owned());
                }
                Event::EmailChanged(it) => {
                    self.owners.remove(&it.former_fingerprint);
                    self.owners.insert(it.email_fingerprint.clone(), key.to_owned());
                }
                Event::UserDeactivated(it) => {
                    self.owners.remove(&it.email_fingerprint);
                }
                _ => {}
            }
            let state = User::evolve(self.states.remove(key), event);
            self.states.extend(state.map(|state| (key.to_owned(), state)));
            *self.versions.entry(key.to_owned()).or_default() += 1;
        }
    }
}

/// A stream whose customers are registered. The keys of their commands are 1 and up.
fn stream(codec: &Codec, history: &mut History, users: &mut Users) -> Stream {
    let mut customers = Vec::new();
    for id in (1_u128..).take(CUSTOMERS) {
        let (user_id, name) = (Uuid::from_u128(id), format!("round-customer-{id}"));
        let register = register(user_id, name.clone());
        let key = user_id.to_string();
        let command = Command::new(codec, "user.commands", key, &register).expect("a command");
        assert!(users.decide(&command, codec, 0), "{name} is registered");
        history.acknowledged.insert(command.id);
        customers.push(Account::new(user_id, name, command.id, 0, true));
    }
    let (notification_id, user_id) = (Uuid::from_u128(1), Uuid::from_u128(1));
    history.notices.newest.push_back(Notice { notification_id, user_id });
    let skus = (0..6).map(|number| format!("round-{number}")).collect();
    Stream::new(skus, customers, 7)
}

fn type_of(command: &Command) -> &str {
    command.headers.text(headers::TYPE).expect("a type")
}

#[test]
fn every_kind_of_command_is_sent_and_most_are_accepted() {
    let (codec, mut history, mut users) = (Codec::local(), History::default(), Users::default());
    let mut stream = stream(&codec, &mut history, &mut users);
    let customers: HashSet<String> = users.states.keys().cloned().collect();
    let (mut decided, mut sent) = (HashSet::new(), BTreeMap::<String, u32>::new());
    let mut accepted = BTreeMap::<String, u32>::new();
    let (mut ended, mut used_after_end) = (HashSet::new(), 0);
    for number in 0..3000 {
        let Some(command) = stream.next(&codec, &history) else { continue };
        history.acknowledged.insert(command.id);
        // A repeat is not decided again.
        if !decided.insert(command.id) {
            continue;
        }
        let name = type_of(&command).to_owned();
        assert!(name != DeactivateUser::SCHEMA.name || !customers.contains(&command.key));
        // The load sends sixty commands a second.
        let at_ms = number * 1000 / 60;
        if command.topic == "user.commands" && users.decide(&command, &codec, at_ms) {
            *accepted.entry(name.clone()).or_default() += 1;
        }
        match user::Command::decode(&codec, &command.value) {
            Ok(user::Command::EndSession(end)) => drop(ended.insert(end.session_id)),
            Ok(user::Command::RefreshSession(refresh)) if ended.contains(&refresh.session_id) => {
                used_after_end += 1;
            }
            _ => {}
        }
        *sent.entry(name).or_default() += 1;
    }
    for name in OF_ACCOUNTS.iter().chain(&OTHERS) {
        assert!(sent.contains_key(*name), "no {name} was sent: {sent:?}");
    }
    for name in OF_ACCOUNTS {
        assert!(accepted.contains_key(name), "no {name} was accepted: {accepted:?}");
    }
    assert!(used_after_end > 0, "no token was used after the end of its session");
    let of_accounts = |counts: &BTreeMap<String, u32>| -> u32 {
        OF_ACCOUNTS.iter().filter_map(|name| counts.get(*name)).sum()
    };
    let (some, all): (u32, u32) = (of_accounts(&sent), sent.values().sum());
    assert!(2 * of_accounts(&accepted) > some, "{accepted:?} of {sent:?} were accepted");
    assert!((all / 20..all / 8).contains(&some), "{some} of {all} are about accounts");
    let orders = sent[PlaceOrder::SCHEMA.name];
    assert!(orders > all * 6 / 10, "{orders} of {all} are orders");
}

#[test]
fn account_waits_until_its_last_command_is_acknowledged() {
    let (codec, mut history, mut users) = (Codec::local(), History::default(), Users::default());
    let mut stream = stream(&codec, &mut history, &mut users);
    let mut about = HashMap::<String, HashSet<Uuid>>::new();
    for _ in 0..3000 {
        let Some(command) = stream.next(&codec, &history) else { continue };
        if OF_ACCOUNTS.contains(&type_of(&command)) {
            about.entry(command.key.clone()).or_default().insert(command.id);
        }
    }
    assert_eq!(about.len(), CUSTOMERS, "nobody else is known to be registered");
    assert!(about.values().all(|commands| commands.len() == 1), "{about:?}");
}
