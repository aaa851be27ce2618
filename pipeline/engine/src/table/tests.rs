//! The journal beside maps that are copied at every savepoint.

use super::*;

#[test]
fn roll_back_restores_the_values_at_the_savepoint() {
    let mut table = Table::default();
    table.load("a", Some(1));
    let first = table.savepoint();
    table.put("a", Some(2));
    table.put("b", Some(3));
    let second = table.savepoint();
    table.put("a", None);
    table.put("b", Some(4));

    table.roll_back(second);
    assert_eq!((table.get("a"), table.get("b")), (Some(&2), Some(&3)));
    table.roll_back(first);
    assert_eq!((table.get("a"), table.get("b")), (Some(&1), None));
}

#[test]
fn committed_write_stays_and_later_writes_can_still_be_rolled_back() {
    let mut table = Table::default();
    table.put("a", Some(1));
    let committed = table.savepoint();
    table.put("a", Some(2));

    table.commit(committed);
    table.roll_back(committed);
    assert_eq!(table.get("a"), Some(&1));
    assert_eq!(table.savepoint(), committed);
}

#[test]
fn changes_name_each_key_once_with_its_latest_value_unless_it_has_none_as_before() {
    let mut table = Table::default();
    table.put("old", Some(0));
    table.put("c", Some(0));
    let batch = table.savepoint();
    table.put("a", Some(1));
    table.put("b", Some(1));
    table.put("a", Some(2));
    table.put("b", None);
    table.put("c", Some(1));
    table.put("c", None);

    let changes: Vec<_> = table.changes(batch).map(|(k, v)| (k.to_owned(), v.copied())).collect();
    assert_eq!(changes, [("a".to_owned(), Some(2)), ("c".to_owned(), None)]);
}

#[test]
fn random_writes_are_rolled_back_and_committed_as_in_copied_maps() {
    use rand::{Rng as _, SeedableRng as _};
    use std::collections::{BTreeMap, BTreeSet};

    for seed in 0..200 {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let (mut table, mut model, mut written) = (Table::default(), BTreeMap::new(), Vec::new());
        let mut copies = vec![(table.savepoint(), model.clone(), 0)];
        for step in 0..300 {
            let key = random.random_range(0..12).to_string();
            match random.random_range(0..10) {
                0 => copies.push((table.savepoint(), model.clone(), written.len())),
                1 => {
                    copies.truncate(random.random_range(1..=copies.len()));
                    let (savepoint, copy, length) = &copies[copies.len() - 1];
                    table.roll_back(*savepoint);
                    written.truncate(*length);
                    model.clone_from(copy);
                }
                2 if copies.len() > 1 => {
                    table.commit(copies[1].0);
                    copies.remove(0);
                }
                kind => {
                    let value = (kind > 5).then_some(step);
                    table.put(&key, value);
                    let _ = match value {
                        Some(value) => model.insert(key.clone(), value),
                        None => model.remove(&key),
                    };
                    written.push(key);
                }
            }
            let found: BTreeMap<_, _> =
                table.iter().map(|(key, value)| (key.to_owned(), *value)).collect();
            assert_eq!(found, model, "seed {seed}, step {step}");
            assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
            for (savepoint, copy, length) in &copies {
                let changes: Vec<_> = table.changes(*savepoint).collect();
                let keys: BTreeSet<_> = changes.iter().map(|(key, _)| *key).collect();
                let had_or_has = |key: &&str| copy.contains_key(*key) || model.contains_key(*key);
                let expected: BTreeSet<_> =
                    written[*length..].iter().map(|key| &**key).filter(had_or_has).collect();
                assert_eq!(
                    (&keys, keys.len()),
                    (&expected, changes.len()),
                    "seed {seed}, step {step}"
                );
                assert!(changes.iter().all(|(key, value)| model.get(*key) == *value));
            }
        }
    }
}
