//! A schema's converter between Avro and JSON.

use std::borrow::Cow;

use apache_avro::{Schema as Avro, schema::ResolvedSchema};
use serde_json::Value;

use super::{
    avro_to_json::AvroToJson,
    error::{Malformed, Misfit, Unusable},
    json_to_avro::JsonToAvro,
    kind::Names,
};

/// Turns values of one schema into JSON and back.
#[derive(Debug)]
pub struct Converter {
    schema: Cow<'static, Avro>,
    referenced: Vec<Avro>,
    /// Whether its errors hold no part of a value, because they are stored and logged.
    hides_values: bool,
}

impl Converter {
    /// A converter for values of `schema`, which may use the types that `references` define.
    ///
    /// # Errors
    /// If one of them is no schema, or uses a type that none of them defines.
    pub fn new(schema: &str, references: &[String]) -> Result<Self, Unusable> {
        let (schema, referenced) = Avro::parse_str_with_list(schema, references)?;
        let converter = Self { schema: Cow::Owned(schema), referenced, hides_values: false };
        converter.names()?;
        Ok(converter)
    }

    /// A converter for a parsed schema without references. Its errors hold no part of a value:
    /// those of a codec are stored in dead letters and outcomes, and logged.
    pub(crate) fn of(schema: &'static Avro) -> Self {
        Self { schema: Cow::Borrowed(schema), referenced: Vec::new(), hides_values: true }
    }

    /// The full name of the type; `None` if it has none.
    pub fn name(&self) -> Option<String> {
        self.schema.name().map(ToString::to_string)
    }

    /// The value as JSON. It must take all of `avro`.
    ///
    /// # Errors
    /// At the first byte that does not fit.
    pub fn to_json(&self, avro: &[u8]) -> Result<Value, Malformed> {
        let names = self.names().unwrap_or_default();
        AvroToJson::new(&names, avro, self.hides_values).whole(&self.schema)
    }

    /// `json` in Avro's binary encoding. Fields that it lacks get their default.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn to_avro(&self, json: &Value) -> Result<Vec<u8>, Vec<Misfit>> {
        let names = self.names().unwrap_or_default();
        JsonToAvro::new(&names, self.hides_values).whole(&self.schema, json)
    }

    fn names(&self) -> Result<Names<'_>, apache_avro::Error> {
        let all = self.referenced.iter().chain([&*self.schema]).collect();
        Ok(ResolvedSchema::new_with_schemata(all)?.get_names().clone())
    }
}
