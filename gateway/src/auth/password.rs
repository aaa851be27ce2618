//! Passwords: Argon2id on a bounded number of blocking threads. A password is never kept after its
//! request.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{Salt, SaltString},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// The shortest password, in characters.
const CHARS_MIN: usize = 8;
/// The longest password in bytes, so that no client can load the gateway with long ones.
const BYTES_MAX: usize = 128;
/// How long a request waits until its password is hashed. Their number is bounded before they get
/// here.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// OWASP's recommendation: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The result of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The password is wrong.
    Mismatch,
    /// The password is right.
    Match {
        /// Whether the hash has other parameters than today's, so that it should be replaced.
        is_outdated: bool,
    },
}

/// Hashes and verifies passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// A permit for each password that is being hashed.
    hashing: Arc<Semaphore>,
    /// The hash of no password with today's parameters, so that a log-in to an unknown address
    /// takes as long as any other.
    dummy: String,
}

impl Passwords {
    /// Hashes at most `concurrency_max` passwords at once.
    ///
    /// # Errors
    /// Returns an error when argon2 refuses its parameters, which is a fault of the program.
    pub fn new(concurrency_max: usize) -> Result<Self, argon2::password_hash::Error> {
        Self::with(concurrency_max, Params::new(MEMORY_KIB, PASSES, LANES, None)?)
    }

    /// Hashes with cheap parameters, for tests.
    ///
    /// # Errors
    /// Returns the same error as [`new`](Self::new).
    pub fn cheap() -> Result<Self, argon2::password_hash::Error> {
        Self::with(4, Params::new(16, 1, 1, None)?)
    }

    fn with(concurrency_max: usize, params: Params) -> Result<Self, argon2::password_hash::Error> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy =
            argon2.hash_password(&rand::random::<[u8; 16]>(), salt()?.as_salt())?.to_string();
        Ok(Self { argon2, hashing: Arc::new(Semaphore::new(concurrency_max)), dummy })
    }

    /// Checks the length of a new password.
    ///
    /// # Errors
    /// Returns a 400 problem when it is too short or too long.
    pub fn check_length(field: &str, password: &SecretString) -> Result<(), Problem> {
        let password = password.expose_secret();
        if password.chars().count() < CHARS_MIN {
            return Err(Problem::field(field, format!("expected at least {CHARS_MIN} characters")));
        }
        if password.len() > BYTES_MAX {
            return Err(Problem::field(field, format!("expected at most {BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// The hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// Returns a 503 problem when too many other passwords are hashed first.
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

    /// Compares `password` with `hash`. Without a hash the check takes as long and is a mismatch.
    ///
    /// # Errors
    /// Returns a 503 problem when too many other passwords are hashed first.
    pub async fn verify(
        &self,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<PasswordCheck, Problem> {
        let is_known = hash.is_some();
        if password.expose_secret().len() > BYTES_MAX {
            return Ok(PasswordCheck::Mismatch);
        }
        let hash = hash.unwrap_or(&self.dummy).to_owned();
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.run(move || {
            let hash = PasswordHash::new(&hash)?;
            Ok(match argon2.verify_password(password.expose_secret().as_bytes(), &hash) {
                Ok(()) if is_known => {
                    PasswordCheck::Match { is_outdated: is_outdated(&argon2, &hash) }
                }
                Ok(()) | Err(argon2::password_hash::Error::Password) => PasswordCheck::Mismatch,
                Err(error) => return Err(error),
            })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::unavailable("Too many passwords are being verified.");
        let permit = tokio::time::timeout(WAIT_MAX, self.hashing.clone().acquire_owned());
        let permit = permit.await.map_err(|_| busy())?.map_err(|_| busy())?;
        // The thread holds the permit: a client that disconnects does not free it while it works.
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        let doing = "hashing or verifying a password";
        match done.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(Problem::internal(doing, &error)),
            Err(error) => Err(Problem::internal(doing, &error)),
        }
    }
}

fn salt() -> Result<SaltString, argon2::password_hash::Error> {
    SaltString::encode_b64(&rand::random::<[u8; Salt::RECOMMENDED_LENGTH]>())
}

fn is_outdated(argon2: &Argon2<'_>, hash: &PasswordHash<'_>) -> bool {
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
    async fn only_the_right_password_matches() {
        let passwords = Passwords::cheap().expect("parameters");
        let right = SecretString::from("correct horse");
        let hash = passwords.hash(&right).await.expect("a hash");

        assert_eq!(
            passwords.verify(&right, Some(&hash)).await.expect("done"),
            PasswordCheck::Match { is_outdated: false }
        );
        let wrong = SecretString::from("battery staple");
        assert_eq!(
            passwords.verify(&wrong, Some(&hash)).await.expect("done"),
            PasswordCheck::Mismatch
        );
        assert_eq!(passwords.verify(&right, None).await.expect("done"), PasswordCheck::Mismatch);
    }

    #[tokio::test]
    async fn hash_with_other_parameters_is_outdated() {
        let right = SecretString::from("correct horse");
        let hash = Passwords::cheap().expect("parameters").hash(&right).await.expect("a hash");
        let today = Passwords::new(1).expect("parameters");

        assert_eq!(
            today.verify(&right, Some(&hash)).await.expect("done"),
            PasswordCheck::Match { is_outdated: true }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn password_that_waits_too_long_to_be_hashed_is_refused() {
        let passwords = Passwords::cheap().expect("parameters");
        let begun = tokio::time::Instant::now();
        let _others = passwords.hashing.clone().acquire_many_owned(4).await.expect("permits");
        let refused = passwords.hash(&SecretString::from("correct horse")).await;
        assert!(refused.is_err());
        assert!(begun.elapsed() >= WAIT_MAX, "{:?}", begun.elapsed());
    }

    #[test]
    fn password_has_8_characters_to_128_bytes() {
        let is_valid =
            |text: &str| Passwords::check_length("password", &SecretString::from(text)).is_ok();
        assert!(!is_valid("1234567"));
        assert!(is_valid("12345678"));
        assert!(is_valid(&"x".repeat(128)));
        assert!(!is_valid(&"x".repeat(129)));
    }
}
