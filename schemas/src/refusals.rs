//! The codes of refused and failed commands: stable words for programs. The domain and the engine
//! write them to outcomes, the gateway maps them to HTTP statuses.

/// A field is outside its bounds; the detail names the field and the bounds.
pub const INVALID: &str = "invalid";
/// The aggregate does not exist, or it belongs to another user.
pub const NOT_FOUND: &str = "not_found";
/// The aggregate exists already.
pub const ALREADY_EXISTS: &str = "already_exists";
/// The aggregate has another version than the command expects.
pub const VERSION_MISMATCH: &str = "version_mismatch";
/// The e-mail address belongs to another user.
pub const ADDRESS_TAKEN: &str = "address_taken";
/// The e-mail address could not be claimed before the deadline.
pub const CLAIM_TIMED_OUT: &str = "claim_timed_out";
/// Another change of the same kind is still pending.
pub const IN_PROGRESS: &str = "in_progress";
/// The password was changed after it was verified.
pub const STALE_CREDENTIAL: &str = "stale_credential";
/// The session has ended.
pub const SESSION_ENDED: &str = "session_ended";
/// A refresh token was used a second time. Its session is ended, because the token may be stolen.
pub const TOKEN_REUSED: &str = "token_reused";
/// The stock holds fewer pieces than the order asks for.
pub const OUT_OF_STOCK: &str = "out_of_stock";
/// The product does not exist.
pub const UNKNOWN_PRODUCT: &str = "unknown_product";
/// The order could not be decided before its deadline.
pub const DEADLINE: &str = "deadline";
/// The lines of an order have prices in different currencies.
pub const MIXED_CURRENCIES: &str = "mixed_currencies";
/// The order's total is above [`crate::bounds::TOTAL_MINOR_MAX`].
pub const TOTAL_OVERFLOW: &str = "total_overflow";
/// The order was cancelled before it was decided.
pub const CANCELLED: &str = "cancelled";
/// The order's stage does not allow the command.
pub const WRONG_STAGE: &str = "wrong_stage";
/// The command is older than the dedupe horizon, so that a repeat could not be recognised.
pub const EXPIRED: &str = "expired";
/// The command could not be processed; a dead letter holds the cause.
pub const FAILED: &str = "failed";
