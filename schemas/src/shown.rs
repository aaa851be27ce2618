//! A record as people see it: its headers, and its value as JSON. Hashes and fingerprints are never
//! shown, and personal fields are masked except where they are asked for.

use serde_json::{Map, Value};

use crate::{
    chain,
    codec::{Codec, split},
    error::CodecError,
    headers,
    personal::{hide, mask},
};

/// The most bytes of a value as JSON. A larger one is not shown.
pub(crate) const VALUE_BYTES_MAX: usize = 8_192;
/// The most bytes of a header, and of the reason why there is no value.
const TEXT_BYTES_MAX: usize = 500;
/// The headers that are shown. The others repeat the key or the sender, which are known where
/// records are listed, or are fingerprints.
const SHOWN: [&str; 8] = [
    headers::ID,
    headers::TYPE,
    headers::SOURCE,
    headers::TIME,
    headers::CORRELATION_ID,
    headers::CAUSATION_ID,
    headers::TRACE_PARENT,
    headers::VERSION,
];

/// What a record says. All texts are bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The headers, as a JSON object.
    pub headers: String,
    /// The value as JSON, with personal fields masked.
    pub value: Option<String>,
    /// The value as JSON with its personal fields, if it has any.
    pub personal: Option<String>,
    /// Why there is no value.
    pub omitted: Option<String>,
    /// The id of the schema that the value names, also if the value can't be read.
    pub schema_id: Option<u32>,
}

impl Shown {
    /// The record with these headers and this value. A value that can't be read is no error:
    /// `omitted` says why.
    pub fn of<'a>(
        codec: &Codec,
        header: impl Fn(&str) -> Option<&'a str>,
        value: Option<&[u8]>,
    ) -> Self {
        let text = |name: &str| Some((name.to_owned(), Value::from(cut(header(name)?))));
        let headers = SHOWN.into_iter().filter_map(text).collect::<Map<String, Value>>();
        let headers = Value::Object(headers).to_string();
        let schema_id = value.and_then(|bytes| Some(split(bytes).ok()?.0));
        let (value, personal, omitted) = match value.map(|bytes| read(codec, bytes)) {
            Some(Ok((masked, personal))) => (Some(masked), personal, None),
            Some(Err(error)) => (None, None, Some(cut(&chain(&error)).to_owned())),
            None => (None, None, Some("it has no value".to_owned())),
        };
        Self { headers, value, personal, omitted, schema_id }
    }
}

/// Why a value is not shown.
#[derive(Debug, thiserror::Error)]
enum NotShown {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("it has {bytes} bytes as JSON; at most {max} are shown", max = VALUE_BYTES_MAX)]
    TooLarge { bytes: usize },
}

/// The value with personal fields masked, and with them if it has any.
fn read(codec: &Codec, bytes: &[u8]) -> Result<(String, Option<String>), NotShown> {
    let datum = codec.open(bytes)?;
    let mut value = datum.json()?;
    hide(&mut value);
    let mut masked = value.clone();
    mask(&mut masked, datum.name());
    let text = value.to_string();
    if text.len() > VALUE_BYTES_MAX {
        return Err(NotShown::TooLarge { bytes: text.len() });
    }
    let personal = (masked != value).then_some(text);
    Ok((masked.to_string(), personal))
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
pub(crate) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        Message, Money,
        personal::MASK,
        stock::{self, ProductAdded},
        user::{Event, Role, UserRegistered},
    };

    pub(crate) fn registered() -> Event {
        Event::from(UserRegistered {
            user_id: Uuid::from_u128(1),
            email: "ada@example.org".to_owned(),
            email_fingerprint: "f1".to_owned(),
            name: "Ada".to_owned(),
            role: Role::User,
            registered_at: 3,
        })
    }

    fn header(name: &str) -> Option<&'static str> {
        match name {
            headers::ID => Some("an id"),
            headers::SUBJECT => Some("f1"),
            headers::FINGERPRINT => Some("f2"),
            _ => None,
        }
    }

    fn encoded(event: &impl Message, codec: &Codec) -> Vec<u8> {
        let mut bytes = Vec::new();
        event.encode(codec, &mut bytes).expect("bytes");
        bytes
    }

    #[test]
    fn personal_fields_are_masked_and_hashes_and_fingerprints_are_left_out() {
        let codec = Codec::local();
        let shown = Shown::of(&codec, header, Some(&encoded(&registered(), &codec)));
        let json = |text: Option<String>| -> Value {
            serde_json::from_str(&text.expect("a value")).expect("JSON")
        };
        let (value, personal) = (json(shown.value), json(shown.personal));
        assert_eq!((&value["email"], &value["name"]), (&MASK.into(), &MASK.into()));
        assert_eq!(value["user_id"], Uuid::from_u128(1).to_string());
        assert_eq!(
            (&personal["email"], &personal["name"]),
            (&"ada@example.org".into(), &"Ada".into())
        );
        for value in [value, personal] {
            assert_eq!(value.get("email_fingerprint"), None);
        }
        assert_eq!((&*shown.headers, shown.omitted), (r#"{"ce_id":"an id"}"#, None));
        assert!(shown.schema_id.is_some());
    }

    #[test]
    fn value_that_is_unreadable_too_large_or_missing_has_a_reason_instead() {
        let codec = Codec::local();
        let omitted = |value: Option<&[u8]>| {
            let shown = Shown::of(&codec, header, value);
            assert_eq!((shown.value, shown.personal), (None, None));
            shown.omitted.expect("a reason")
        };
        assert!(omitted(Some(b"poison")).contains("begins with byte 112"));
        let large = stock::Event::from(ProductAdded {
            sku: "tea".to_owned(),
            name: "x".repeat(VALUE_BYTES_MAX),
            price: Money { amount_minor: 1, currency: "EUR".to_owned() },
            added_at: 1,
        });
        assert!(omitted(Some(&encoded(&large, &codec))).contains("at most 8192 are shown"));
        assert_eq!(omitted(None), "it has no value");
        for (value, expected) in [(&b"poison"[..], None), (&b"\0\0\0\x01\x02poison"[..], Some(258))]
        {
            assert_eq!(Shown::of(&codec, header, Some(value)).schema_id, expected);
        }
    }
}
