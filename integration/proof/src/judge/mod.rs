//! The invariants by which the ledger is judged once the system is quiet. A violation that will
//! pass (an outcome that has not been written yet) and one that will stay look the same here: the
//! caller decides how long it waits.
//!
//! - `commands`: outcomes and dead letters; `stock`: quantities; `sagas`: what commands lead to;
//!   `addresses`: who has which e-mail address; `causes`: what has caused each record; `effects`:
//!   what stays after a command
//! - `reader`: what a reader saw while faults happened

mod addresses;
mod causes;
mod commands;
mod effects;
mod reader;
mod sagas;
mod stock;

use schemas::Codec;

use crate::{
    ledger::{Ledger, Violation},
    load::History,
};

pub use reader::{live_reader, unread};

/// All invariants that the topics alone can show: A to D and F.
pub fn topics(ledger: &Ledger, codec: &Codec, history: &History) -> Vec<Violation> {
    let mut broken = ledger.broken.clone();
    broken.extend(commands::outcomes(ledger, history));
    broken.extend(commands::surplus_outcomes(ledger));
    broken.extend(commands::failures(ledger, history));
    broken.extend(commands::dead_letters(ledger));
    broken.extend(ledger.changelogs(codec));
    broken.extend(stock::sums(ledger));
    broken.extend(stock::oversold(ledger));
    broken.extend(stock::receipts(ledger));
    broken.extend(sagas::parked(ledger));
    broken.extend(sagas::unanswered(ledger));
    broken.extend(addresses::shared(ledger));
    broken.extend(addresses::claims(ledger));
    broken.extend(sagas::notified_once(ledger));
    broken.extend(causes::chains(ledger));
    broken.extend(causes::refused(ledger));
    broken.extend(causes::conclusions(ledger));
    broken.extend(causes::forgotten_reservations(ledger));
    broken.extend(effects::unread(ledger));
    broken.extend(effects::sessions(ledger));
    broken
}
