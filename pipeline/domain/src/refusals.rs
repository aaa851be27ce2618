//! The words with which commands are refused: stable, for programs to branch on.

/// A field is out of its bounds; the detail says which and what was expected.
pub const INVALID: &str = "invalid";
/// There is no such thing, or it is somebody else's.
pub const NOT_FOUND: &str = "not_found";
/// There is such a thing already.
pub const ALREADY_EXISTS: &str = "already_exists";
/// It has another version than the sender has seen.
pub const VERSION_MISMATCH: &str = "version_mismatch";
/// The address belongs to another user.
pub const ADDRESS_TAKEN: &str = "address_taken";
/// The address could not be claimed in time.
pub const CLAIM_TIMED_OUT: &str = "claim_timed_out";
/// Another change of the same kind is still under way.
pub const IN_PROGRESS: &str = "in_progress";
/// The password was changed since it was verified.
pub const STALE_CREDENTIAL: &str = "stale_credential";
/// The session has ended.
pub const SESSION_ENDED: &str = "session_ended";
/// A refresh token was used again: its session is ended, for it may be stolen.
pub const TOKEN_REUSED: &str = "token_reused";
/// Too little is in stock.
pub const OUT_OF_STOCK: &str = "out_of_stock";
/// There is no such product.
pub const UNKNOWN_PRODUCT: &str = "unknown_product";
/// The order could not be decided in time.
pub const DEADLINE: &str = "deadline";
/// The lines of an order have prices in different currencies.
pub const MIXED_CURRENCIES: &str = "mixed_currencies";
/// The order's total is more than can be counted.
pub const TOTAL_OVERFLOW: &str = "total_overflow";
/// The order was cancelled before it was decided.
pub const CANCELLED: &str = "cancelled";
/// The order's stage does not allow it.
pub const WRONG_STAGE: &str = "wrong_stage";
