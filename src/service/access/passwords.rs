//! Passwords: argon2id, off the threads of HTTP, few at a time.

use std::fmt;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::spawn_blocking};
use utoipa::ToSchema;

use crate::error::{Error, ErrorKind, Result};

const MIN_CHARS: usize = 8;
const MAX_BYTES: usize = 1024;
/// Each takes 19 MiB while it is hashed.
const AT_A_TIME: usize = 2;
/// Those beyond wait; more than so many together are told to come back.
const MAX_WAITING: usize = 64;

/// A password in clear. Never shown, not even to a debugger's eyes.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Hashes and checks with OWASP's parameters for argon2id: 19 MiB, two passes, one lane; the crate's defaults.
pub struct Passwords {
    turns: Semaphore,
    places: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_A_TIME), places: Semaphore::new(AT_A_TIME + MAX_WAITING) }
    }
}

impl Passwords {
    /// A new password as a PHC string, with a salt of its own.
    ///
    /// # Errors
    /// `Invalid` `invalid_password` for one that is too short or too long; `Overloaded` where too many wait.
    pub async fn hash(&self, password: Password) -> Result<String> {
        if password.0.chars().count() < MIN_CHARS || password.0.len() > MAX_BYTES {
            let message = format!("a password has at least {MIN_CHARS} characters and at most {MAX_BYTES} bytes");
            return Err(Error::invalid(message).with_code("invalid_password"));
        }
        self.in_turn(move || hash(&password)).await
    }

    /// Whether `password` is the one of the hash. Where there is no hash, it takes as long to say no.
    ///
    /// # Errors
    /// `Overloaded` where too many wait.
    pub async fn matches(&self, password: Password, hash_of: Option<String>) -> Result<bool> {
        if password.0.len() > MAX_BYTES {
            return Ok(false);
        }
        self.in_turn(move || match hash_of {
            Some(phc) => Ok(Argon2::default().verify_password(password.0.as_bytes(), phc.as_str()).is_ok()),
            None => hash(&password).map(|_| false),
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let full = || Error::new(ErrorKind::Overloaded, "too many passwords are being checked: try again");
        let _place = self.places.try_acquire().map_err(|_| full())?;
        let _turn = self.turns.acquire().await.map_err(|_| full())?;
        spawn_blocking(work)
            .await
            .unwrap_or_else(|lost| Err(Error::internal("a password was not checked").with_source(lost)))
    }
}

fn hash(password: &Password) -> Result<String> {
    let phc = Argon2::default().hash_password(password.0.as_bytes());
    phc.map(|phc| phc.to_string())
        .map_err(|error| Error::internal("a password cannot be hashed").with_source(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_password_matches_and_the_hash_is_argon2id_with_its_cost() {
        let passwords = Passwords::default();
        let phc = passwords.hash("correct horse".to_owned().into()).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let matches = async |text: &str, phc| passwords.matches(text.to_owned().into(), phc).await.unwrap();
        assert!(matches("correct horse", Some(phc.clone())).await);
        assert!(!matches("correct horsf", Some(phc.clone())).await);
        assert!(!matches("correct horse", None).await);
        assert_ne!(passwords.hash("correct horse".to_owned().into()).await.unwrap(), phc, "salted");
        for bad in ["short", &"x".repeat(1025)] {
            assert_eq!(passwords.hash(bad.to_owned().into()).await.unwrap_err().code(), "invalid_password");
        }
        assert_eq!(format!("{:?}", Password("secret".into())), "Password");
    }
}
