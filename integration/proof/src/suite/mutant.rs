//! A mutant of the services, and which of its effects on a fault are expected.

use crate::ledger::{Damage, Violation};
use crate::world::Stalled;

/// A mutant of the services, which a run must catch.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name in the services.
    pub name: &'static str,
    /// The invariant that it must violate, perhaps beside others.
    pub violates: char,
    /// What a service may say that refuses to work with what the mutant has done, so that the fault
    /// can't end. Empty if no service does.
    pub stalls: &'static [&'static str],
}

impl Mutant {
    /// The violation of H by a service that the mutant has stalled.
    ///
    /// # Errors
    /// Returns every other error of the fault: it says nothing about the mutant.
    pub(super) fn stalled(self, error: anyhow::Error) -> anyhow::Result<Violation> {
        let stalled = error.downcast_ref::<Stalled>();
        let is_expected =
            |stalled: &Stalled| self.stalls.iter().any(|expected| stalled.says.contains(expected));
        if !stalled.is_some_and(is_expected) {
            return Err(error);
        }
        Ok(Violation::new('H', Damage::Late, schemas::chain(&*error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALLS: Mutant =
        Mutant { name: "offsets-early", violates: 'H', stalls: &["the group has committed"] };

    fn not_ready(says: &str) -> anyhow::Error {
        let (part, what) = ("order-0".to_owned(), "is not ready after 60 s".to_owned());
        Stalled { part, what, says: says.to_owned() }.into()
    }

    #[test]
    fn service_that_says_what_the_mutant_has_done_is_late() {
        let error = not_ready("task 1: a[1]: the group has committed 3, but ...");
        let found = STALLS.stalled(error.context("in the fault")).expect("a violation");
        assert_eq!((found.invariant, found.damage), ('H', Damage::Late));
        assert!(found.what.contains("order-0 is not ready"), "{}", found.what);
    }

    #[test]
    fn every_other_error_of_a_fault_stays_an_error() {
        let failed = anyhow::anyhow!("the group has committed nothing: the fault did not happen");
        assert!(STALLS.stalled(failed).is_err(), "no part has stalled");
        assert!(STALLS.stalled(not_ready("waiting for the schemas")).is_err(), "another reason");
        let never = Mutant { stalls: &[], ..STALLS };
        assert!(never.stalled(not_ready("the group has committed 3")).is_err());
    }
}
