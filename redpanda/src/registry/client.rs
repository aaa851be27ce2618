//! Requests to the registry. Each has a deadline, and none is repeated here except that
//! [`Registry::wait_for_codec`] waits.

use std::time::Duration;

use schema_registry_converter::{
    async_impl::schema_registry,
    schema_registry_common::{RegisteredSchema, SchemaType, SrCall, SuppliedSchema},
};
use schemas::{Codec, Schema, chain};

use super::{
    addresses::Addresses, credentials::Credentials, error::RegistryError, failure::Failure,
};

/// The compatibility level of every subject: no version breaks readers or writers of any other.
pub const FULL_TRANSITIVE: &str = "FULL_TRANSITIVE";

/// One version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number among the subject's versions, from 1.
    pub number: u32,
    /// Its schema's id.
    pub id: u32,
    /// The schema, with the types of other subjects that it refers to included.
    pub schema: String,
}

/// A subject that has a schema as one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct SubjectVersion {
    /// The subject.
    pub subject: String,
    /// The number of the version among the subject's, from 1.
    #[serde(rename = "version")]
    pub number: u32,
}

/// A client of the registry. Clones share the address that answered last.
#[derive(Clone, Debug)]
pub struct Registry {
    addresses: Addresses,
}

impl Registry {
    /// A client of the registry at `urls`, one address or several, comma separated. It connects at
    /// the first request.
    ///
    /// # Errors
    /// If an address is malformed, or the client can't be created.
    pub fn new(urls: &str) -> Result<Self, RegistryError> {
        Self::with_credentials(urls, &Credentials::default())
    }

    pub(super) fn with_credentials(
        urls: &str,
        credentials: &Credentials,
    ) -> Result<Self, RegistryError> {
        Ok(Self { addresses: Addresses::new(urls, credentials)? })
    }

    /// The schema registered under `id`, with the types of other subjects that it refers to
    /// included; `None` if there is none.
    ///
    /// # Errors
    /// If the registry can't be reached, or rejects the request.
    pub async fn schema_by_id(&self, id: u32) -> Result<Option<String>, RegistryError> {
        // Ids are signed (Confluent's wire format), and Redpanda refuses a request for a larger one
        // with 400. No record of a registered schema has one.
        if i32::try_from(id).is_err() {
            return Ok(None);
        }
        let found = self.addresses.first(|address| async move {
            Ok(schema_registry::get_schema_by_id(id, &address.settings).await?)
        });
        match found.await {
            Ok(found) => self.whole(found).await.map(Some),
            Err(failure) if failure.is(404) => Ok(None),
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// The text of a schema with all types that it refers to.
    async fn whole(&self, found: RegisteredSchema) -> Result<String, RegistryError> {
        let (mut references, mut open) = (Vec::new(), found.references);
        while let Some(reference) = open.pop() {
            let reference = &reference;
            let referred = self.addresses.first(|address| async move {
                Ok(schema_registry::get_referenced_schema(&address.settings, reference).await?)
            });
            let referred = referred.await.map_err(|failure| self.error(&failure))?;
            // Two schemas may refer to the same third one.
            if !references.contains(&referred.schema) {
                open.extend(referred.references);
                references.push(referred.schema);
            }
        }
        Ok(schemas::self_contained(&found.schema, &references))
    }

    /// The id under which `schema` is registered, found by its content; `None` if it is not
    /// registered. Registries differ in what they consider the same content: if the registry does
    /// not find it, this compares all versions itself.
    ///
    /// # Errors
    /// If the registry can't be reached, or rejects the request.
    pub async fn id_of(&self, schema: &Schema) -> Result<Option<u32>, RegistryError> {
        let body = serde_json::json!({ "schema": schema.json, "schemaType": "AVRO" }).to_string();
        let body = &body;
        let registered = self.addresses.first(|address| async move {
            let call = SrCall::PostForVersion(schema.name, body);
            Ok(schema_registry::perform_sr_call(&address.settings, call).await?)
        });
        match registered.await {
            Ok(registered) => Ok(registered.id),
            Err(failure) if failure.is(404) => {
                let versions = self.versions(schema.name).await?;
                let same = versions
                    .iter()
                    .rev()
                    .find(|version| schemas::same(&version.schema, schema.json));
                Ok(same.map(|version| version.id))
            }
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// All versions of `subject`, oldest first; empty if there is no such subject.
    ///
    /// # Errors
    /// If the registry can't be reached, or rejects the request.
    pub async fn versions(&self, subject: &str) -> Result<Vec<Version>, RegistryError> {
        let numbers = self.addresses.first(|address| async move {
            Ok(schema_registry::get_all_versions(&address.settings, subject.to_owned()).await?)
        });
        let mut numbers = match numbers.await {
            Ok(numbers) => numbers,
            Err(failure) if failure.is(404) => return Ok(Vec::new()),
            Err(failure) => return Err(self.error(&failure)),
        };
        numbers.sort_unstable();
        let mut versions = Vec::with_capacity(numbers.len());
        for number in numbers {
            let found = self.addresses.first(|address| async move {
                let number = Some(number);
                let settings = &address.settings;
                Ok(schema_registry::get_schema_by_subject_and_version(settings, subject, number)
                    .await?)
            });
            let found = found.await.map_err(|failure| self.error(&failure))?;
            let id = found.id;
            versions.push(Version { number, id, schema: self.whole(found).await? });
        }
        Ok(versions)
    }

    /// The subjects that have the schema registered under `id`, each with the number of its
    /// version; empty if there is no such schema.
    ///
    /// The converter has no call for this, so this is a plain HTTP request.
    ///
    /// # Errors
    /// If the registry can't be reached, or rejects the request.
    pub async fn versions_of_id(&self, id: u32) -> Result<Vec<SubjectVersion>, RegistryError> {
        let found = self.addresses.first(|address| async move {
            let url = format!("{}/schemas/ids/{id}/versions", address.url);
            Ok(address.http.get(url).send().await?.error_for_status()?.json().await?)
        });
        match found.await {
            Ok(found) => Ok(found),
            Err(failure) if failure.is(404) => Ok(Vec::new()),
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// The compatibility level of `subject`; `None` if it has only the registry's default.
    ///
    /// # Errors
    /// If the registry can't be reached, or rejects the request.
    pub async fn level_of(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            // Redpanda and Confluent answer with the first name; requests, and the answers of older
            // versions, have the second one.
            #[serde(rename = "compatibilityLevel", alias = "compatibility")]
            level: String,
        }
        let answer = self.addresses.first(|address| async move {
            let url = format!("{}/config/{subject}?defaultToGlobal=false", address.url);
            Ok(address.http.get(url).send().await?.error_for_status()?.json::<Answer>().await?)
        });
        match answer.await {
            Ok(answer) => Ok(Some(answer.level)),
            Err(failure) if failure.is(404) => Ok(None),
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// A codec that writes with the ids under which `schemas` are registered.
    ///
    /// # Errors
    /// If one is not registered, or the registry can't be reached.
    pub async fn codec(&self, schemas: &[&'static Schema]) -> Result<Codec, RegistryError> {
        let mut ids = Vec::with_capacity(schemas.len());
        for schema in schemas {
            let id = self.id_of(schema).await?.ok_or(RegistryError::Missing(schema.name))?;
            ids.push((*schema, id));
        }
        Ok(Codec::of(ids))
    }

    /// Waits until [`Registry::codec`] succeeds: a service is not ready before its own schemas are
    /// registered.
    pub async fn wait_for_codec(&self, schemas: &[&'static Schema]) -> Codec {
        let mut wait = Duration::from_millis(100);
        loop {
            match self.codec(schemas).await {
                Ok(codec) => return codec,
                Err(error) => tracing::warn!(error = chain(&error), "waiting for the schemas"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }

    /// Registers a schema under its record's name and returns its id. A schema that is registered
    /// already keeps its id.
    ///
    /// # Errors
    /// If the registry refuses it, or can't be reached.
    pub async fn register(&self, schema: &'static Schema) -> Result<u32, RegistryError> {
        let registered = self.addresses.first(|address| async move {
            let (name, json) = (schema.name.to_owned(), schema.json.to_owned());
            let supplied = SuppliedSchema::new(Some(name.clone()), SchemaType::Avro, json);
            Ok(schema_registry::post_schema(&address.settings, name, supplied).await?)
        });
        match registered.await {
            Ok(registered) => Ok(registered.id),
            Err(failure) if failure.is(409) || failure.is(422) => {
                Err(RegistryError::Refused { name: schema.name, cause: failure.cause })
            }
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// Makes the registry refuse every schema that breaks readers or writers of any version of
    /// `subject`.
    ///
    /// The converter has no call for compatibility levels, so this is a plain HTTP request.
    ///
    /// # Errors
    /// If the registry refuses, or can't be reached.
    pub async fn set_full_transitive(&self, subject: &'static str) -> Result<(), RegistryError> {
        let answer = self.addresses.first(|address| async move {
            let url = format!("{}/config/{subject}", address.url);
            let body = format!(r#"{{"compatibility":"{FULL_TRANSITIVE}"}}"#);
            let request = address.http.put(url).body(body);
            let request = request.header("content-type", "application/vnd.schemaregistry.v1+json");
            request.send().await?.error_for_status()?;
            Ok(())
        });
        answer.await.map_err(|failure| self.error(&failure))
    }

    /// The caller's error for a failed request.
    fn error(&self, failure: &Failure) -> RegistryError {
        let (url, cause) = (self.addresses.text(), failure.cause.clone());
        match failure.is_transient() {
            true => RegistryError::Unreachable { url, cause },
            false => RegistryError::Rejected { url, cause },
        }
    }
}
