//! Creates the declared access rules over the broker's admin API. It removes no rule.

use std::time::Duration;

use rdkafka::{admin::AdminClient, client::DefaultClientContext};

use super::Acls;
use crate::{
    brokers::Brokers,
    provision::{ProvisionError, retry::RetryPolicy},
    raw,
};

/// The deadline of the broker's answer.
const REQUEST_MAX: Duration = Duration::from_secs(10);

impl Acls {
    /// Creates all rules, and repeats the request as `retries` say: rules that exist already stay
    /// as they are. Blocks while a request is in flight.
    ///
    /// # Errors
    /// If the client can't be created, or the broker refuses or does not answer.
    pub async fn create(
        &self,
        brokers: impl Into<Brokers>,
        retries: &RetryPolicy,
    ) -> Result<(), ProvisionError> {
        self.create_within(brokers, retries, REQUEST_MAX).await
    }

    pub(super) async fn create_within(
        &self,
        brokers: impl Into<Brokers>,
        retries: &RetryPolicy,
        request_max: Duration,
    ) -> Result<(), ProvisionError> {
        let doing = "creating access rules";
        let mut config = brokers.into().librdkafka();
        let admin: AdminClient<DefaultClientContext> = config
            .set("client.id", "millrace-provision")
            .create()
            .map_err(|error| ProvisionError::permanent(doing, error))?;
        let rules = self.rules();
        let create = async || {
            raw::create_acls(admin.inner(), &rules, request_max)
                .map_err(|error| ProvisionError::admin(doing, error))
        };
        retries.run(create).await
    }
}
