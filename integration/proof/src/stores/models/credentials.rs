//! Credentials in PostgreSQL, against the newest record of each key of `user.credentials`. A
//! tombstone deletes the row. No hash is printed.

use serde_json::json;

use super::{Rows, fields};
use crate::ledger::Ledger;

/// The rows that the newest records give.
pub(super) fn newest(ledger: &Ledger) -> Rows {
    let credentials = ledger.credentials.iter();
    credentials.map(|(user, credential)| (user.clone(), fields(json!(credential)))).collect()
}

#[cfg(test)]
mod tests {
    use schemas::user::Credential;
    use uuid::Uuid;

    use super::*;
    use crate::ledger::testing::Log;

    fn credential(user: u128, version: i32) -> Credential {
        Credential {
            user_id: Uuid::from_u128(user),
            password_hash: format!("hash {version}"),
            credential_version: version,
            changed_at: 10,
        }
    }

    #[test]
    fn newest_record_of_a_user_counts_and_a_tombstone_deletes_the_row() {
        let mut log = Log::default();
        for (user, version) in [(1, 1), (2, 1), (1, 2)] {
            log.credential(&credential(user, version));
        }
        let row = |user: u128, version: i32| {
            let user_id = Uuid::from_u128(user).to_string();
            let hash = format!("hash {version}");
            let object = json!({
                "user_id": user_id, "password_hash": hash, "credential_version": version,
                "changed_at": 10,
            });
            (user_id, fields(object))
        };
        assert_eq!(newest(&log.ledger), Rows::from([row(1, 2), row(2, 1)]));

        log.tombstone("user.credentials", &Uuid::from_u128(1).to_string());
        assert_eq!(newest(&log.ledger), Rows::from([row(2, 1)]));
    }
}
