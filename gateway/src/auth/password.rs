//! Passwords: argon2id on a bounded number of blocking threads. A password lives only as long as
//! its request.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{Salt, SaltString},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use warp::http::StatusCode;

use crate::problem::Problem;

/// The shortest password, in characters.
const LENGTH_MIN: usize = 8;
/// The longest, in bytes: hashing must not become someone's lever.
const LENGTH_MAX: usize = 128;
/// For each one that is hashed, so many may wait.
const WAITING_MAX: usize = 8;
/// OWASP's: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What came of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is another.
    Wrong,
    /// It is the one.
    Right {
        /// The hash was made with other parameters than today's: make it anew.
        outdated: bool,
    },
}

/// Hashes passwords and compares them.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Hashing at once.
    hashing: Arc<Semaphore>,
    /// Hashing and waiting.
    admitted: Arc<Semaphore>,
    /// Of no password, made with today's parameters: so that an unknown address takes as long as a
    /// known one.
    dummy: String,
}

impl Passwords {
    /// At most `at_once` at a time.
    ///
    /// # Errors
    /// When argon2 does not take its parameters, which is a fault of the program.
    pub fn new(at_once: usize) -> Result<Self, argon2::password_hash::Error> {
        Self::with(at_once, Params::new(MEMORY_KIB, PASSES, LANES, None)?)
    }

    /// With cheap parameters, for tests.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn cheap() -> Result<Self, argon2::password_hash::Error> {
        Self::with(4, Params::new(16, 1, 1, None)?)
    }

    fn with(at_once: usize, params: Params) -> Result<Self, argon2::password_hash::Error> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy =
            argon2.hash_password(&rand::random::<[u8; 16]>(), salt()?.as_salt())?.to_string();
        Ok(Self {
            argon2,
            hashing: Arc::new(Semaphore::new(at_once)),
            admitted: Arc::new(Semaphore::new(at_once * (1 + WAITING_MAX))),
            dummy,
        })
    }

    /// Whether a new password is one that may be had.
    ///
    /// # Errors
    /// The problem to answer with.
    pub fn acceptable(field: &str, password: &SecretString) -> Result<(), Problem> {
        let password = password.expose_secret();
        if password.chars().count() < LENGTH_MIN {
            return Err(Problem::field(field, format!("at least {LENGTH_MIN} characters")));
        }
        if password.len() > LENGTH_MAX {
            return Err(Problem::field(field, format!("at most {LENGTH_MAX} bytes")));
        }
        Ok(())
    }

    /// The hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// The problem to answer with, when too many are being hashed.
    pub async fn hash(&self, password: &SecretString) -> Result<String, Problem> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.run(move || {
            let salt = salt()?;
            argon2
                .hash_password(password.expose_secret().as_bytes(), salt.as_salt())
                .map(|hash| hash.to_string())
        })
        .await
    }

    /// Compares `password` with `hash`; without one, takes as long and says no.
    ///
    /// # Errors
    /// The problem to answer with, when too many are being hashed.
    pub async fn verify(
        &self,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<Verified, Problem> {
        let known = hash.is_some();
        if password.expose_secret().len() > LENGTH_MAX {
            return Ok(Verified::Wrong);
        }
        let hash = hash.unwrap_or(&self.dummy).to_owned();
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.run(move || {
            let hash = PasswordHash::new(&hash)?;
            Ok(match argon2.verify_password(password.expose_secret().as_bytes(), &hash) {
                Ok(()) if known => Verified::Right { outdated: outdated(&argon2, &hash) },
                Ok(()) | Err(argon2::password_hash::Error::Password) => Verified::Wrong,
                Err(error) => return Err(error),
            })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::unavailable("Too many passwords are being checked.");
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| busy())?;
        let hashing = self.hashing.clone().acquire_owned().await.map_err(|_| busy())?;
        // The permits go along: a client that leaves does not make room for work that still runs.
        let done = tokio::task::spawn_blocking(move || {
            let _permits = (admitted, hashing);
            work()
        });
        match done.await {
            Ok(Ok(result)) => Ok(result),
            failed => {
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                    Ok(Ok(_)) => unreachable!("handled above"),
                };
                tracing::error!(error, "a password could not be hashed or compared");
                Err(Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "This should not happen.",
                ))
            }
        }
    }
}

fn salt() -> Result<SaltString, argon2::password_hash::Error> {
    SaltString::encode_b64(&rand::random::<[u8; Salt::RECOMMENDED_LENGTH]>())
}

fn outdated(argon2: &Argon2<'_>, hash: &PasswordHash<'_>) -> bool {
    let today = argon2.params();
    hash.algorithm != Algorithm::Argon2id.ident()
        || Params::try_from(hash).map_or(true, |params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                != (today.m_cost(), today.t_cost(), today.p_cost())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::cheap().expect("parameters");
        let right = SecretString::from("correct horse");
        let hash = passwords.hash(&right).await.expect("a hash");

        assert_eq!(
            passwords.verify(&right, Some(&hash)).await.expect("done"),
            Verified::Right { outdated: false }
        );
        let wrong = SecretString::from("battery staple");
        assert_eq!(passwords.verify(&wrong, Some(&hash)).await.expect("done"), Verified::Wrong);
        assert_eq!(passwords.verify(&right, None).await.expect("done"), Verified::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_to_be_made_anew() {
        let right = SecretString::from("correct horse");
        let hash = Passwords::cheap().expect("parameters").hash(&right).await.expect("a hash");
        let today = Passwords::new(1).expect("parameters");

        assert_eq!(
            today.verify(&right, Some(&hash)).await.expect("done"),
            Verified::Right { outdated: true }
        );
    }

    #[test]
    fn lengths_are_bounded() {
        let acceptable =
            |text: &str| Passwords::acceptable("password", &SecretString::from(text)).is_ok();
        assert!(!acceptable("1234567"));
        assert!(acceptable("12345678"));
        assert!(acceptable(&"x".repeat(128)));
        assert!(!acceptable(&"x".repeat(129)));
    }
}
