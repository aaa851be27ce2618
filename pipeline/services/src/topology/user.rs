//! The user service: users with their sessions, and the claims on their addresses.

use domain::{Out, email::Email, user::User};
use engine::Topology;

use crate::{config::Config, service::Service};

pub(super) const NAME: &str = "user";

/// Users and claims of e-mail addresses.
pub fn topology() -> Topology {
    Topology::new(NAME, super::partitions).aggregate::<User>().aggregate::<Email>().uses::<Out>()
}

/// The service.
///
/// # Errors
/// Never; other services return one when a setting is wrong.
pub fn service(_config: &Config) -> anyhow::Result<Service> {
    Ok(Service::new(topology()))
}
