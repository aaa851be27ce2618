//! Creates the declared access rules over the broker's admin API. It removes no rule.

use std::time::Duration;

use rdkafka::{admin::AdminClient, client::DefaultClientContext};

use super::Acls;
use crate::{brokers::Brokers, provision::ProvisionError, raw};

/// The deadline of the broker's answer.
const REQUEST_MAX: Duration = Duration::from_secs(10);

impl Acls {
    /// Creates all rules. Rules that exist already stay as they are.
    ///
    /// # Errors
    /// If the client can't be created, or the broker refuses or does not answer.
    pub fn create(&self, brokers: impl Into<Brokers>) -> Result<(), ProvisionError> {
        let doing = "creating access rules";
        let mut config = brokers.into().librdkafka();
        let admin: AdminClient<DefaultClientContext> = config
            .set("client.id", "millrace-provision")
            .create()
            .map_err(|error| ProvisionError::permanent(doing, error))?;
        raw::create_acls(admin.inner(), &self.rules(), REQUEST_MAX)
            .map_err(|error| ProvisionError::admin(doing, error))
    }
}
