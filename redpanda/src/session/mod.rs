//! Sessions on librdkafka: a group member and a transactional producer. This folder handles every
//! hazard of transactions. A session never retries a commit whose result is unknown, and never
//! continues after a connection broke during a transaction.
//!
//! librdkafka's transaction calls block, so the session makes them on a thread of its own, the
//! *committing thread*. The worker hands a transaction over in parts and polls its input meanwhile:
//!
//! ```text
//!   worker                      thread                                 broker
//!   write(records)   --------> begin, send records ------------------> open
//!   write(records)   --------> send records -------------------------> open
//!   submit(last)     --------> send records, offsets, EndTxn(commit) -> committed
//!   completed()      <-------- Ok, or how the transaction failed
//! ```
//!
//! Most transactions are written at once, without `write`. Then the offsets go first:
//!
//! ```text
//!   submit(all)      --------> begin, offsets, records, EndTxn(commit) -> committed
//! ```
//!
//! How a transaction ends:
//!
//! | event | the thread | `completed` returns | the worker |
//! | --- | --- | --- | --- |
//! | all calls succeed | commits | `Ok` | makes its writes final |
//! | abortable error, then a successful abort | aborts | `Aborted` | rewinds, undoes its writes |
//! | the producer is fenced | makes no more calls | `Fenced` | rebuilds, with a new epoch |
//! | fenced, but after the timeout | makes no more calls | `Unknown` | rebuilds from the log |
//! | any other error, or no answer | makes no more calls | `Unknown` | rebuilds from the log |
//! | a connection broke meanwhile | commits or aborts | `Unknown` | rebuilds, with a new epoch |
//!
//! After `Ok` and `Aborted` the session continues. In all other cases the worker discards it; the
//! new epoch makes the broker refuse requests of the old session that arrive late.
//!
//! - `settings`: identity, inputs and guarantee of a session; `open`: the worker's side
//! - `thread`: the thread and its requests; `in_flight`: the state that both sides share
//! - `committer`: the transaction, call by call; `calls`: repeats a call; `sender`: the records
//! - `errors`: what each of librdkafka's errors means for the transaction
//! - `producer`: the producer's settings and the thread that polls it
//! - `connections`: broken connections, which librdkafka reports only in its log lines
//! - `plain_commit`: the one commit of offsets outside of a transaction, which no service makes

mod calls;
mod committer;
mod connections;
mod errors;
mod in_flight;
mod open;
#[cfg(any(feature = "benchmarks", feature = "mutants"))]
mod plain_commit;
mod producer;
mod sender;
mod settings;
mod thread;

pub use settings::{Delivery, Settings};
