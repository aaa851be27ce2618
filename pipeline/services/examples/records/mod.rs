//! The records of the walkthrough in `schemas/EVOLUTION.md`, as `schemas generate` would generate
//! them: one that is replaced, and its successor. It writes and reads nothing.

use schemas::{Record, Schema, messages};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The schema of `SaleMade`, with the additional attributes of its second version.
macro_rules! sale_made {
    ($more:literal) => {
        concat!(
            r#"{"type":"record","name":"SaleMade","namespace":"millrace.sales",
                "doc":"An order was sold.","fields":[
                {"name":"order_id","type":{"type":"string","logicalType":"uuid"},
                 "doc":"The order, and the record's key."},
                {"name":"total_minor","type":"long","doc":"The total price, in cents."}]"#,
            $more,
            "}"
        )
    };
}

/// A sale in euros, from the time before other currencies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SaleMade {
    pub(crate) order_id: Uuid,
    pub(crate) total_minor: i64,
}

impl Record for SaleMade {
    const SCHEMA: &'static Schema = {
        static SCHEMA: Schema = Schema::foreign("millrace.sales.SaleMade", sale_made!(""));
        &SCHEMA
    };
}

/// The same record in programs that were built after it was deprecated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "SaleMade", transparent)]
pub(crate) struct DeprecatedSaleMade(pub(crate) SaleMade);

impl Record for DeprecatedSaleMade {
    const SCHEMA: &'static Schema = {
        static SCHEMA: Schema = Schema::foreign(
            "millrace.sales.SaleMade",
            sale_made!(
                r#","deprecated":{"since":"2026-11-25","successor":"millrace.sales.SaleMadeV2"}"#
            ),
        );
        &SCHEMA
    };
}

/// A sale in any currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SaleMadeV2 {
    pub(crate) order_id: Uuid,
    pub(crate) total: schemas::Money,
}

impl Record for SaleMadeV2 {
    const SCHEMA: &'static Schema = {
        static SCHEMA: Schema = Schema::foreign(
            "millrace.sales.SaleMadeV2",
            r#"{"type":"record","name":"SaleMadeV2","namespace":"millrace.sales",
                "doc":"An order was sold.","fields":[
                {"name":"order_id","type":{"type":"string","logicalType":"uuid"},
                 "doc":"The order, and the record's key."},
                {"name":"total","type":{"type":"record","name":"Money","namespace":"millrace",
                  "doc":"An amount of money in the smallest unit of its currency; never a fraction.",
                  "fields":[
                    {"name":"amount_minor","type":"long",
                     "doc":"The amount in minor units, such as cents."},
                    {"name":"currency","type":"string",
                     "doc":"The currency as three capital letters, ISO 4217."}]},
                 "doc":"The total price."}]}"#,
        );
        &SCHEMA
    };
}

messages! {
    /// The records of `sales.events`, in programs that know both.
    pub(crate) enum Sale { SaleMade(DeprecatedSaleMade), SaleMadeV2(SaleMadeV2) }
}

/// The topic of sales.
pub(crate) const SALES: &str = "sales.events";
