//! MongoDB: orders with their history, products, notifications and mail's recipients. Each document
//! takes only its next version; the position moves after. Uses nothing that a small server lacks:
//! no transaction over several documents, no updates by pipeline, no bulk writes.

mod documents;
mod folded;
mod orders;
mod position;
mod reads;

use std::{path::Path, time::Duration};

use mongodb::{
    Client, Database, IndexModel,
    bson::{Document, doc},
    error::{ErrorKind, WriteFailure},
    options::{self, ClientOptions},
};

use folded::Folded;
pub use reads::{Reads, Recipients};
use redpanda::tls::Tls;

use crate::{
    StoreError,
    deadline::{READ_MAX, WRITE_MAX, within},
    projection::Projection,
};

/// The database's name, where the URL has none.
pub const DATABASE: &str = "millrace";
/// How long a server is looked for, and connected to.
const CONNECT_MAX: Duration = Duration::from_secs(2);

pub(crate) const ORDERS: &str = "orders";
pub(crate) const PRODUCTS: &str = "products";
pub(crate) const NOTIFICATIONS: &str = "notifications";
pub(crate) const RECIPIENTS: &str = "recipients";

/// The database. Clones share the connections.
#[derive(Clone)]
pub struct Mongo {
    database: Database,
}

impl Mongo {
    /// The database on the server at `url`; connects when it is needed.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub async fn new(url: &str) -> Result<Self, StoreError> {
        Self::over(url, &Tls::default()).await
    }

    /// The same; with `tls=true` in the URL, connections trust whom `tls` trusts.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub async fn over(url: &str, tls: &Tls) -> Result<Self, StoreError> {
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

    /// Makes the indexes that are not there yet.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn index(&self) -> Result<(), StoreError> {
        let work = async {
            let lists = [
                (ORDERS, doc! { "user_id": 1, "placed_at": -1, "_id": -1 }),
                (NOTIFICATIONS, doc! { "user_id": 1, "raised_at": -1, "_id": -1 }),
                // By these, old documents are found.
                (ORDERS, doc! { "changed_at": 1 }),
                (NOTIFICATIONS, doc! { "read_at": 1 }),
                (RECIPIENTS, doc! { "ended_at": 1 }),
            ];
            for (name, keys) in lists {
                let index = IndexModel::builder().keys(keys).build();
                let made = self.database.collection::<Document>(name).create_index(index).await;
                made.map_err(failed("making indexes in MongoDB"))?;
            }
            Ok(())
        };
        within(WRITE_MAX, "making indexes in MongoDB", work).await
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let work = async {
            self.database
                .run_command(doc! { "ping": 1 })
                .await
                .map_err(failed("asking MongoDB"))?;
            Ok(())
        };
        within(READ_MAX, "asking MongoDB", work).await
    }

    /// Orders with their history.
    pub(crate) fn orders(&self) -> Box<dyn Projection> {
        Box::new(Folded::<orders::Orders>::new(self.clone()))
    }

    /// Products with their stock.
    pub(crate) fn products(&self) -> Box<dyn Projection> {
        Box::new(Folded::<documents::Products>::new(self.clone()))
    }

    /// The inbox.
    pub(crate) fn notifications(&self) -> Box<dyn Projection> {
        Box::new(Folded::<documents::Notifications>::new(self.clone()))
    }

    /// Where mail goes.
    pub(crate) fn recipients(&self) -> Box<dyn Projection> {
        Box::new(Folded::<documents::Recipients>::new(self.clone()))
    }

    pub(crate) fn collection<T: Send + Sync>(&self, name: &str) -> mongodb::Collection<T> {
        self.database.collection(name)
    }
}

/// Codes of a server that will refuse the same document again: a value or an object that is too
/// large (10334, 17280, 17419, 17420), or a bad one (2, 9, 14, 52).
const ABOUT_DATA: [i32; 8] = [2, 9, 14, 52, 10334, 17280, 17419, 17420];

pub(crate) fn failed(doing: &'static str) -> impl Fn(mongodb::error::Error) -> StoreError {
    move |error| {
        let why = error.kind.to_string();
        let refused = match &*error.kind {
            ErrorKind::Command(error) => ABOUT_DATA.contains(&error.code),
            ErrorKind::Write(WriteFailure::WriteError(error)) => ABOUT_DATA.contains(&error.code),
            ErrorKind::InsertMany(error) => {
                error.write_errors.iter().flatten().any(|error| ABOUT_DATA.contains(&error.code))
            }
            ErrorKind::BsonSerialization(_) | ErrorKind::InvalidArgument { .. } => true,
            _ => false,
        };
        match refused {
            true => StoreError::Unstorable { doing, why },
            false => StoreError::Failed { doing, why },
        }
    }
}
