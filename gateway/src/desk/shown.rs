//! What the desk makes of the columns of a projection: senders without fingerprints, and JSON.

use serde_json::Value;

/// The sender as admins see it. The fingerprint of an address or a token is shown to nobody.
pub(super) fn sender(principal: String) -> String {
    let is_fingerprint =
        principal.len() >= 32 && principal.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_fingerprint { "anonymous".to_owned() } else { principal }
}

/// JSON that a projection has written.
pub(super) fn json(text: Option<String>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(&text).ok())
}
