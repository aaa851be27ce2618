//! Pairs of schemas, judged three times: by this crate, by apache-avro's `SchemaCompatibility`, and
//! by reading values of one schema with the other.
//!
//! If the judges differ, [`oracles`] says which one is right and why; any other difference fails.
//! `SCHEMAS_PAIRS=1000000` tries a million pairs; the default is a few thousand.

mod oracles;
mod shape;
mod text;
mod values;

use apache_avro::Schema;
use proptest::prelude::*;
use schemas::{
    avro::parse_one,
    compatibility::{Severity, read},
};

use crate::shape::{Entropy, Shape};

fn config() -> ProptestConfig {
    let pairs = std::env::var("SCHEMAS_PAIRS").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: pairs.unwrap_or(4000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn judges_agree_except_for_known_differences(
        first in prop::collection::vec(any::<u8>(), 1..60),
        second in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let old = Shape::new(&mut Entropy::new(&first));
        let mut entropy = Entropy::new(&second);
        let mut new = old.clone();
        for _ in 0..1 + entropy.below(3) {
            new.mutate(&mut entropy);
        }
        agree(&old, &new)?;
        agree(&new, &old)?;
    }
}

fn agree(writer: &Shape, reader: &Shape) -> Result<(), TestCaseError> {
    let (written, wanted) = (writer.json(), reader.json());
    let report = |what: &str| format!("{what}\nwriter {written}\nreader {wanted}");
    let invalid = |invalid| TestCaseError::fail(report(&format!("not valid: {invalid:?}")));
    let (old, new) = (parse_one(&written).map_err(invalid)?, parse_one(&wanted).map_err(invalid)?);
    let problems = read(old.root(0).expect("a type"), new.root(0).expect("a type"));
    let is_readable = problems.iter().all(|one| one.kind.severity() != Severity::Break);
    let theirs = |text: &str| match Schema::parse_str(text) {
        Ok(schema) => Ok(Some(schema)),
        Err(error) if oracles::is_refused_default(&error) => Ok(None),
        Err(error) => Err(TestCaseError::fail(report(&format!("apache-avro: {error}")))),
    };
    let (Some(old), Some(new)) = (theirs(&written)?, theirs(&wanted)?) else { return Ok(()) };
    for (judge, result) in [
        ("reading", oracles::reads(writer, &old, &new)),
        ("SchemaCompatibility", oracles::can_read(&old, &new)),
    ] {
        let is_known = match judge {
            "reading" => oracles::reading_differs(&problems, is_readable, reader),
            _ => oracles::can_read_differs(&problems, is_readable, &old, &new),
        };
        prop_assert!(
            result.is_ok() == is_readable || is_known,
            "{}",
            report(&format!("{judge} says {result:?}, and this crate {problems:#?}"))
        );
    }
    Ok(())
}
