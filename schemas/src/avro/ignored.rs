//! The reasons why readers ignore a logical type.

/// Why readers ignore a logical type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Its name is no string, but a value of this kind.
    #[error("a logical type is a string, not {0}")]
    NoString(&'static str),
    /// The specification has no such logical type.
    #[error("there is no logical type {name:?}{}", question(*near))]
    Unknown {
        /// The name in the text.
        name: String,
        /// A name that is spelled similarly.
        near: Option<&'static str>,
    },
    /// It is on the wrong type.
    #[error("{logical} stands on {base}, not on {found}")]
    Base {
        /// Its name.
        logical: &'static str,
        /// The types that it may stand on.
        base: &'static str,
        /// The type that it stands on.
        found: String,
    },
    /// A parameter of a decimal is no whole number.
    #[error("a decimal's {0} is a whole number, not negative")]
    Parameter(&'static str),
    /// A decimal has no precision.
    #[error("a decimal needs a \"precision\"")]
    NoPrecision,
    /// A decimal's precision is 0.
    #[error("a decimal's precision is at least 1")]
    ZeroPrecision,
    /// A decimal has more digits after the point than digits.
    #[error("a decimal's scale ({scale}) is at most its precision ({precision})")]
    Scale {
        /// The digits after the point.
        scale: u64,
        /// All digits.
        precision: u64,
    },
    /// A fixed type is too short for a decimal.
    #[error("a decimal of {precision} digits does not fit {size} bytes, which hold {fits}")]
    TooShort {
        /// The decimal's digits.
        precision: u64,
        /// The bytes of the fixed type.
        size: u64,
        /// The digits that always fit.
        fits: u64,
    },
}

/// The question after an unknown name.
fn question(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}
