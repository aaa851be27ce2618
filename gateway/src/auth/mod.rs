//! Authentication: access tokens and the keys that sign them, refresh tokens, passwords, and the
//! back-off of an account whose password is being guessed. No token is ever in a log, a URL, Redis
//! or an outcome.

mod backoff;
mod eddsa;
mod keys;
mod password;
mod refresh;
mod token;

pub use backoff::{Attempt, Backoff};
pub use keys::{LoadError, SigningKeys};
pub use password::{PasswordCheck, Passwords};
pub use refresh::{REFRESH_LIFETIME, RefreshToken, RefreshTokens};
pub use token::{ACCESS_LIFETIME, Caller, Role, STEP_UP_MAX_AGE, Tokens};
