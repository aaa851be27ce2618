//! The kinds of commands about an account, and how often users send each.

use rand::{Rng, rngs::StdRng};

/// One kind of command about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StartSession,
    RefreshSession,
    EndSession,
    ChangeName,
    ChangeEmail,
    ChangePassword,
    RehashPassword,
    Deactivate,
}

impl Kind {
    /// A random kind: the more often users do it, the more likely.
    pub(super) fn any(rng: &mut StdRng) -> Self {
        match rng.random_range(0..20) {
            0..5 => Self::StartSession,
            5..9 => Self::RefreshSession,
            9 => Self::EndSession,
            10..12 => Self::ChangeName,
            12..17 => Self::ChangeEmail,
            17 => Self::ChangePassword,
            18 => Self::RehashPassword,
            _ => Self::Deactivate,
        }
    }
}
