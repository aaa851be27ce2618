//! The schema registry: subjects are record names, and ids are found by content.
//!
//! Nothing here registers on the quiet: that is [`Registry::register`], which only `provision`
//! calls. A registry has one or several addresses, and a request fails over to the next one. A
//! registry that no address answers for is an error that says so, never an answer.

mod addresses;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use schema_registry_converter::{
    async_impl::schema_registry,
    schema_registry_common::{RegisteredSchema, SchemaType, SrCall, SuppliedSchema},
};
use schemas::{Codec, Schema, Use};
use secrecy::SecretString;

use addresses::{Addresses, Failure};
pub use addresses::{UrlsParser, checked_urls};

use crate::{settings::SettingError, tls::Tls};

/// The level that every subject has: no version breaks readers or writers of any other.
pub const FULL_TRANSITIVE: &str = "FULL_TRANSITIVE";

/// What went wrong between here and the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A setting is of no use.
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
    /// No address answered like a registry. The same request may succeed later.
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
        /// What it answered.
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

/// Where the registry is, for every program.
#[derive(Clone, Debug, clap::Args)]
pub struct RegistrySettings {
    /// Base URLs of the schema registry, comma separated: a request fails over to the next one.
    #[arg(
        long,
        env = "MILLRACE_REGISTRY_URL",
        default_value = "http://127.0.0.1:8081",
        value_parser = UrlsParser,
        hide_env_values = true
    )]
    pub registry_url: String,
    /// Who asks it.
    #[command(flatten)]
    pub login: LoginSettings,
}

/// Who asks the registry, for every program.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LoginSettings {
    /// Who asks the schema registry, by HTTP Basic authentication; only with https.
    #[arg(long, env = "MILLRACE_REGISTRY_USER")]
    pub registry_user: Option<String>,
    /// The password for the schema registry.
    #[arg(long, env = "MILLRACE_REGISTRY_PASSWORD", hide_env_values = true)]
    pub registry_password: Option<SecretString>,
}

impl RegistrySettings {
    /// A client of the registry; `https` URLs use `tls`.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn open(&self, tls: &Tls) -> Result<Registry, RegistryError> {
        self.login.open(&self.registry_url, tls)
    }
}

impl LoginSettings {
    /// A client of the registry at `urls`; `https` URLs use `tls`.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn open(&self, urls: &str, tls: &Tls) -> Result<Registry, RegistryError> {
        let (user, password) = (self.registry_user.clone(), self.registry_password.clone());
        let access = Access { tls: tls.clone(), user, password };
        Ok(Registry { addresses: Addresses::new(urls, &access)? })
    }
}

/// How the registry is asked.
#[derive(Clone, Debug, Default)]
struct Access {
    tls: Tls,
    user: Option<String>,
    password: Option<SecretString>,
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number among the subject's versions, from 1.
    pub number: u32,
    /// Its schema's id.
    pub id: u32,
    /// The schema, with the types of other subjects that it refers to put in.
    pub schema: String,
}

/// A client of the registry. Clones share the address that answered last.
#[derive(Clone, Debug)]
pub struct Registry {
    addresses: Addresses,
}

impl Registry {
    /// A client of the registry at `urls`, one address or several, comma separated. It connects
    /// when it is asked for something.
    ///
    /// # Errors
    /// When an address is malformed, or the client can't be made.
    pub fn new(urls: &str) -> Result<Self, RegistryError> {
        Ok(Self { addresses: Addresses::new(urls, &Access::default())? })
    }

    /// The schema registered under `id`, with the types of other subjects that it refers to put in;
    /// `None` where there is none.
    ///
    /// # Errors
    /// When the registry can't be reached.
    pub async fn schema_by_id(&self, id: u32) -> Result<Option<String>, RegistryError> {
        let found = self.addresses.first(|address| async move {
            Ok(schema_registry::get_schema_by_id(id, &address.settings).await?)
        });
        match found.await {
            Ok(found) => self.whole(found).await.map(Some),
            Err(failure) if failure.is(404) => Ok(None),
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// The text of a schema that stands by itself.
    async fn whole(&self, found: RegisteredSchema) -> Result<String, RegistryError> {
        let (mut references, mut open) = (Vec::new(), found.references);
        while let Some(reference) = open.pop() {
            let reference = &reference;
            let referred = self.addresses.first(|address| async move {
                Ok(schema_registry::get_referenced_schema(&address.settings, reference).await?)
            });
            let referred = referred.await.map_err(|failure| self.error(&failure))?;
            // Two may refer to the same third one.
            if !references.contains(&referred.schema) {
                open.extend(referred.references);
                references.push(referred.schema);
            }
        }
        Ok(schemas::self_contained(&found.schema, &references))
    }

    /// The id under which `schema` is registered, found by its content; `None` where it is not.
    /// Registries differ in what they take for the same content: one that says no is asked for all
    /// versions, which are compared here.
    ///
    /// # Errors
    /// When the registry can't be reached.
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

    /// All versions of `subject`, oldest first; none where there is no such subject.
    ///
    /// # Errors
    /// When the registry can't be reached.
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

    /// The compatibility level of `subject`; `None` where it has none of its own.
    ///
    /// # Errors
    /// When the registry can't be reached.
    pub async fn level_of(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            // Redpanda and Confluent have the one name, and took the other in requests and older
            // versions.
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

    /// Registers a schema under its record's name, and gives its id; one that is registered keeps
    /// its id.
    ///
    /// # Errors
    /// When the registry refuses it, or can't be reached.
    pub async fn register(&self, schema: &'static Schema) -> Result<u32, RegistryError> {
        let registered = self.addresses.first(|address| async move {
            let (name, json) = (schema.name.to_owned(), schema.json.to_owned());
            let supplied = SuppliedSchema::new(Some(name.clone()), SchemaType::Avro, json);
            Ok(schema_registry::post_schema(&address.settings, name, supplied).await?)
        });
        match registered.await {
            Ok(registered) => Ok(registered.id),
            Err(failure) if failure.is(409) || failure.is(422) => {
                Err(RegistryError::Refused { name: schema.name, cause: failure.cause().to_owned() })
            }
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// Makes the registry refuse what would break readers or writers of any version of `subject`.
    ///
    /// The converter has no call for compatibility levels, so this one goes by plain HTTP.
    ///
    /// # Errors
    /// When the registry refuses, or can't be reached.
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

    /// What a failed request means to whoever made it.
    fn error(&self, failure: &Failure) -> RegistryError {
        let (url, cause) = (self.addresses.text(), failure.cause().to_owned());
        match failure.is_passing() {
            true => RegistryError::Unreachable { url, cause },
            false => RegistryError::Rejected { url, cause },
        }
    }
}

/// The same codec, which logs a warning when it first writes or reads a record of a deprecated
/// schema, and hands each such use to `count`: the schema's name, and whether it was written.
pub fn watched(codec: Codec, count: impl Fn(&'static str, Use) + Send + Sync + 'static) -> Codec {
    let warned = Mutex::new(BTreeSet::new());
    codec.watched(move |schema, deprecated, what| {
        if warned.lock().unwrap_or_else(PoisonError::into_inner).insert(schema.name) {
            tracing::warn!(
                schema.name,
                schema.since = deprecated.since,
                schema.successor = deprecated.successor,
                "a deprecated schema is still in use"
            );
        }
        count(schema.name, what);
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use schemas::{Message as _, Record, Schema};
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Old {}

    impl Record for Old {
        const SCHEMA: &'static Schema = {
            static SCHEMA: Schema = Schema::foreign(
                "test.Old",
                r#"{"type":"record","name":"Old","namespace":"test","fields":[],
                    "deprecated":{"since":"2026-11-25","successor":"test.New"}}"#,
            );
            &SCHEMA
        };
    }

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_use_of_a_deprecated_schema_is_counted_and_the_first_is_logged() {
        let (log, uses) = (Log::default(), Arc::new(Mutex::new(Vec::new())));
        let (writer, told) = (log.clone(), uses.clone());
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let codec = watched(
            Codec::of([(Old::SCHEMA, 1), (schemas::Outcome::SCHEMA, 2)]),
            move |name, what| {
                told.lock().expect("nobody panicked").push((name, what));
            },
        );

        tracing::subscriber::with_default(subscriber, || {
            let mut bytes = Vec::new();
            Old {}.encode(&codec, &mut bytes).expect("written");
            Old::decode(&codec, &bytes).expect("read");
        });

        let uses = uses.lock().expect("nobody panicked").clone();
        assert_eq!(uses, [("test.Old", Use::Written), ("test.Old", Use::Read)]);
        let text = String::from_utf8(log.0.lock().expect("nobody panicked").clone()).expect("text");
        assert_eq!(text.matches("a deprecated schema is still in use").count(), 1, "{text}");
        assert!(text.contains("test.New"), "{text}");
    }
}
