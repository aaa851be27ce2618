//! A parked key as an argument, and its records.

use clap::Args;

use super::pages::{List, Pages};
use crate::{client::Client, failure::Failure};

const RECORDS: &str = "/v1/operations/parked/records";

/// Which key.
#[derive(Debug, Args)]
pub(super) struct Key {
    /// The topic from which the records were read.
    pub(super) topic: String,
    /// The parked key.
    pub(super) key: String,
}

impl Key {
    /// Reads its parked records.
    pub(super) async fn records(
        &self,
        client: &mut Client,
        pages: &Pages,
    ) -> Result<List, Failure> {
        let parameters = [("topic", &*self.topic), ("key", &*self.key)];
        pages.read(client, RECORDS, &parameters).await
    }

    /// What to say if none is parked.
    pub(super) fn nothing(&self) -> String {
        format!(
            "nothing is parked of {}, key {}: expected one of `millrace parked list`",
            self.topic, self.key
        )
    }
}
