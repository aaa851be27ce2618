//! The connection to MongoDB. It knows no collection.

use std::{path::Path, time::Duration};

use mongodb::{
    Client, Database,
    bson::doc,
    options::{self, ClientOptions},
};
use redpanda::tls::Tls;
use serde::Serialize;

use super::{
    errors::failed,
    updates::{self, Update},
};
use crate::{
    StoreError,
    deadline::{READ_MAX, within},
};

/// The name of the database if the URL has none.
pub const DATABASE: &str = "millrace";
/// The wait for a server to be found, and for a connection to it.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The database. Clones share the connections.
#[derive(Clone)]
pub struct Mongo {
    database: Database,
}

impl Mongo {
    /// The database on the server at `url`. It connects when a connection is first needed.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub async fn new(url: &str) -> Result<Self, StoreError> {
        Self::with_tls(url, &Tls::default()).await
    }

    /// The same; with `tls=true` in the URL, connections trust the authorities of `tls`.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub async fn with_tls(url: &str, tls: &Tls) -> Result<Self, StoreError> {
        let doing = "reading the URL of MongoDB";
        let mut options =
            ClientOptions::parse(url).await.map_err(|error| StoreError::failed(doing, error))?;
        options.app_name = Some("millrace".to_owned());
        if let Some(options::Tls::Enabled(encryption)) = &mut options.tls
            && encryption.ca_file_path.is_none()
        {
            encryption.ca_file_path = tls.ca_file().map(Path::to_owned);
        }
        options.server_selection_timeout.get_or_insert(CONNECT_MAX);
        options.connect_timeout.get_or_insert(CONNECT_MAX);
        let client =
            Client::with_options(options).map_err(|error| StoreError::failed(doing, error))?;
        let database = client.default_database().unwrap_or_else(|| client.database(DATABASE));
        Ok(Self { database })
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let doing = "asking MongoDB";
        let work = async {
            self.database.run_command(doc! { "ping": 1 }).await.map_err(failed(doing))?;
            Ok(())
        };
        within(READ_MAX, doing, work).await
    }

    pub(super) fn collection<T: Send + Sync>(&self, name: &str) -> mongodb::Collection<T> {
        self.database.collection(name)
    }

    /// Runs updates of a collection, see [`updates::update`].
    pub(super) async fn update<D: Serialize>(
        &self,
        collection: &str,
        updates: Vec<Update<D>>,
        doing: &'static str,
    ) -> Result<usize, StoreError> {
        updates::update(&self.database, collection, updates, doing).await
    }
}
