//! Who is asking: access tokens, the keys that sign them, passwords, refresh tokens, and the
//! back-off of an account whose password is being guessed. No token is ever in a log, a URL, Redis
//! or an outcome.

mod backoff;
mod keys;
mod password;
mod refresh;
mod token;

pub use backoff::Backoff;
pub use keys::{LoadError, SigningKeys};
pub use password::{Passwords, Verified};
pub use refresh::{REFRESH_LIFETIME, RefreshToken, RefreshTokens};
pub use token::{ACCESS_LIFETIME, Caller, Role, Tokens};
