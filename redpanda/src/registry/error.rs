//! How requests to the registry fail. Causes are texts here, not errors: a text may name several
//! addresses, and passwords in their URLs are masked.

use crate::settings::SettingError;

/// Why the registry can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A setting is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// One of the configured addresses is not a URL of a registry.
    #[error("'{url}' can't be the address of a schema registry: {cause}")]
    Address {
        /// The item of the list.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// No address answered as a registry does. The same request may succeed later.
    #[error("the registry at {url} can't be used: {cause}")]
    Unreachable {
        /// All addresses that were tried.
        url: String,
        /// What happened at each.
        cause: String,
    },
    /// The registry rejected a request, for example for lack of rights. A retry does not help.
    #[error("the registry at {url} rejected a request: {cause}")]
    Rejected {
        /// Its addresses.
        url: String,
        /// Its answer.
        cause: String,
    },
    /// A schema that this program needs is not registered.
    #[error("schema {0} is not registered: run `provision` of this version first")]
    Missing(&'static str),
    /// The registry refused to register a schema.
    #[error("the registry refused {name}: {cause}")]
    Refused {
        /// The record.
        name: &'static str,
        /// Its answer.
        cause: String,
    },
}
