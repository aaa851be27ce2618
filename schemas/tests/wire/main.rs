//! Records to bytes and back: the bytes on the wire, refused bytes, and records of other versions.

mod bytes;
mod foreign;
mod random;
mod refused;
mod versions;

use schemas::{
    Codec, Message, Outcome, Verdict,
    engine::{Header, Parked},
};
use uuid::Uuid;

pub(crate) fn encode(codec: &Codec, message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(codec, &mut bytes).expect("it fits its schema");
    bytes
}

pub(crate) fn outcome() -> Outcome {
    Outcome {
        command_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        command_type: "millrace.order.PlaceOrder".to_owned(),
        verdict: Verdict::Refused,
        code: Some("out_of_stock".to_owned()),
        detail: None,
        aggregate: "order".to_owned(),
        aggregate_id: "1".to_owned(),
        version: 2,
        principal: "operator".to_owned(),
        fingerprint: None,
        decided_at: 1_700_000_000_000,
    }
}

pub(crate) fn parked() -> Parked {
    Parked {
        topic: "order.followups".to_owned(),
        partition: 3,
        offset: 7,
        error: String::new(),
        received_at: -1,
        headers: vec![Header { name: "ce_id".to_owned(), value: vec![0, 255] }],
        value: Some(vec![1, 2, 3]),
    }
}
