//! The schema registry: subjects are record names, and ids are found by content.
//!
//! No program registers a schema implicitly: only `provision` calls [`Registry::register`]. A
//! registry has one or several addresses, and a request fails over to the next one. If no address
//! answers, the result is an error that says so, never an answer.
//!
//! - `client`: the requests; `settings`: address and log-in of the registry
//! - `addresses`: failover; `failure`: which answers cause it; `urls`: the check of addresses
//! - `credentials`: how a request is authenticated
//! - `deprecated`: reports uses of deprecated schemas

mod addresses;
mod client;
mod credentials;
mod deprecated;
mod error;
mod failure;
mod settings;
mod urls;

pub use client::{FULL_TRANSITIVE, Registry, SubjectVersion, Version};
pub use deprecated::watched;
pub use error::RegistryError;
pub use settings::{LoginSettings, RegistrySettings};
pub use urls::{Urls, UrlsParser, checked_urls};
