//! The user processor: people with their sessions, and the claims on their addresses.

use domain::{Out, email::Email, user::User};
use engine::Topology;
use schemas::{Message, email, user};

use crate::{Service, Stores, config::Config};

/// Users and e-mail claims.
pub fn topology() -> Topology {
    Topology::new("user", super::partitions).aggregate::<User>().aggregate::<Email>().uses::<Out>()
}

/// The service around it.
///
/// # Errors
/// When a setting is wrong.
pub fn service(_config: &Config) -> anyhow::Result<Service> {
    let reads =
        [user::Event::schemas(), email::Event::schemas(), user::Credential::schemas()].concat();
    let open = |stores: Stores| Ok(projections::user(&stores.postgres, &stores.redis));
    Ok(Service { topology: topology(), projections: Some(Box::new(open)), reads })
}
