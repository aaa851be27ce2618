//! A command's way through the gateway: its id and fingerprint, the stored outcome of a repeat, the
//! write, and the wait for the outcome and for the read model that holds it. It never decides
//! anything: the outcome comes from the processor.

mod claim;
mod many;
mod response;
mod submission;
mod undecided;
mod wait;
mod write;

pub use many::{CommandCounts, Part};
pub use submission::Submission;
pub use wait::for_outcome;
pub use write::write_in_background;
