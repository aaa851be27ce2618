//! The schema registry: subjects are record names, and ids are found by content.
//!
//! Nothing here registers on the quiet: that is [`Registry::register`], which only `provision` calls. An unreachable
//! registry is an error that says so, never an answer.

use std::time::Duration;

use schema_registry_converter::{
    async_impl::schema_registry::{self, SrSettings},
    error::SRCError,
    schema_registry_common::{SchemaType, SrCall, SuppliedSchema},
};
use schemas::{Codec, Schema};

/// What went wrong between here and the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It did not answer, or not like a registry: to be tried again.
    #[error("the registry at {url} can't be used: {cause}")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        cause: String,
    },
    /// A schema that this program needs is not registered.
    #[error("schema {0} is not registered: run `provision` of this version first")]
    Missing(&'static str),
    /// It does not take a schema.
    #[error("the registry refused {name}: {cause}")]
    Refused {
        /// The record.
        name: &'static str,
        /// What it said.
        cause: String,
    },
}

/// A client of the registry.
#[derive(Clone, Debug)]
pub struct Registry {
    url: String,
    settings: SrSettings,
    http: reqwest::Client,
}

impl Registry {
    /// A client of the registry at `url`. It connects when it is asked for something.
    ///
    /// # Errors
    /// When the client can't be made.
    pub fn new(url: &str) -> Result<Self, RegistryError> {
        let url = url.trim_end_matches('/').to_owned();
        let unusable = |cause: String| RegistryError::Unreachable { url: url.clone(), cause };
        let timeout = Duration::from_secs(5);
        let settings = SrSettings::new_builder(url.clone())
            .no_proxy()
            .set_timeout(timeout)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(timeout)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { url, settings, http })
    }

    /// The schema registered under `id`; `None` where there is none.
    ///
    /// # Errors
    /// When the registry can't be reached.
    pub async fn schema_by_id(&self, id: u32) -> Result<Option<String>, RegistryError> {
        match schema_registry::get_schema_by_id(id, &self.settings).await {
            Ok(registered) => Ok(Some(registered.schema)),
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// The id under which `schema` is registered, found by its content; `None` where it is not.
    ///
    /// # Errors
    /// When the registry can't be reached.
    pub async fn id_of(&self, schema: &Schema) -> Result<Option<u32>, RegistryError> {
        let body = serde_json::json!({ "schema": schema.json, "schemaType": "AVRO" }).to_string();
        match schema_registry::perform_sr_call(&self.settings, SrCall::PostForVersion(schema.name, &body))
            .await
        {
            Ok(registered) => Ok(registered.id),
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// A codec that writes with the ids under which `schemas` are registered.
    ///
    /// # Errors
    /// When one is not registered, or the registry can't be reached.
    pub async fn codec(&self, schemas: &[&'static Schema]) -> Result<Codec, RegistryError> {
        let mut ids = Vec::with_capacity(schemas.len());
        for schema in schemas {
            let id = self.id_of(schema).await?.ok_or(RegistryError::Missing(schema.name))?;
            ids.push((*schema, id));
        }
        Ok(Codec::of(ids))
    }

    /// Waits for [`Registry::codec`]: a service is not ready before its own schemas are registered.
    pub async fn wait_for_codec(&self, schemas: &[&'static Schema]) -> Codec {
        let mut wait = Duration::from_millis(100);
        loop {
            match self.codec(schemas).await {
                Ok(codec) => return codec,
                Err(error) => tracing::warn!(%error, "waiting for the schemas"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }

    /// Registers a schema under its record's name, and gives its id; one that is registered keeps its id.
    ///
    /// # Errors
    /// When the registry refuses it, or can't be reached.
    pub async fn register(&self, schema: &'static Schema) -> Result<u32, RegistryError> {
        let supplied =
            SuppliedSchema::new(Some(schema.name.to_owned()), SchemaType::Avro, schema.json.to_owned());
        match schema_registry::post_schema(&self.settings, schema.name.to_owned(), supplied).await {
            Ok(registered) => Ok(registered.id),
            Err(error) if is_status(&error, 409) || is_status(&error, 422) => {
                Err(RegistryError::Refused { name: schema.name, cause: describe(&error) })
            }
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// Makes the registry refuse what would break readers or writers of any version of `subject`.
    ///
    /// The converter has no call for compatibility levels, so this one goes by plain HTTP.
    ///
    /// # Errors
    /// When the registry refuses, or can't be reached.
    pub async fn set_full_transitive(&self, subject: &'static str) -> Result<(), RegistryError> {
        let url = format!("{}/config/{subject}", self.url);
        let body = r#"{"compatibility":"FULL_TRANSITIVE"}"#;
        let request =
            self.http.put(url).header("content-type", "application/vnd.schemaregistry.v1+json").body(body);
        let answer = request.send().await.map_err(|error| RegistryError::Unreachable {
            url: self.url.clone(),
            cause: error.to_string(),
        })?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(RegistryError::Refused {
                name: subject,
                cause: format!("setting its compatibility level was answered {}", answer.status()),
            }),
        }
    }

    fn unreachable(&self, error: &SRCError) -> RegistryError {
        RegistryError::Unreachable { url: self.url.clone(), cause: describe(error) }
    }
}

/// Whether the registry answered with this status. The converter keeps it in its text only.
fn is_status(error: &SRCError, status: u16) -> bool {
    error.error.contains(&format!("failed with status {status}"))
}

fn describe(error: &SRCError) -> String {
    match &error.cause {
        Some(cause) => format!("{}: {cause}", error.error),
        None => error.error.clone(),
    }
}
