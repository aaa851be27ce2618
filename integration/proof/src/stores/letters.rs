//! Invariant E: no projection has a dead letter, because the suite sends nothing that can't be
//! projected. A projection moves past a record that is one, so its rows lack the record.

use redis::AsyncCommands as _;

use super::{Stores, documents};
use crate::ledger::{Damage, Violation};

impl Stores {
    /// The dead letters of all projections in the three stores.
    pub(super) async fn dead_letters(&self) -> anyhow::Result<Vec<String>> {
        let sql = r#"SELECT format('%s, %s[%s]@%s: %s', projection, topic, partition, "offset", why)
                     FROM dead_letters"#;
        let rows = self.postgres().await?.query(sql, &[]).await?;
        let mut letters: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        for (id, letter) in documents(&self.mongo().await?, "dead_letters").await? {
            letters.push(format!("{id}: {}", letter.get_str("why").unwrap_or_default()));
        }
        let mut redis = self.redis().await?;
        let streams: Vec<String> = redis.keys("dead:*").await?;
        for stream in streams {
            let count: u64 = redis::cmd("XLEN").arg(&stream).query_async(&mut redis).await?;
            letters.push(format!("{stream} in Redis has {count}"));
        }
        Ok(letters)
    }
}

/// The violations by the dead letters of projections.
pub(super) fn violations(letters: &[String]) -> Vec<Violation> {
    let violation = |letter: &String| {
        Violation::new('E', Damage::Lost, format!("a projection has a dead letter: {letter}"))
    };
    letters.iter().map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letter_of_a_projection_is_lost() {
        assert_eq!(violations(&[]), []);
        let found = violations(&["orders, order.events[1]@7: no such field".to_owned()]);
        assert_eq!((found[0].invariant, found[0].damage), ('E', Damage::Lost));
        assert!(found[0].what.contains("order.events[1]@7"), "{}", found[0].what);
    }
}
