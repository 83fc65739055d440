//! Passwords: argon2id, off the threads of HTTP, few at a time, one of each realm in turn.

use std::{fmt, sync::Arc};

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::Realm,
    error::{Error, ErrorKind, Result},
    runtime::{ServiceClass, Turn, Turnstile},
};

const MIN_CHARS: usize = 8;
const MAX_BYTES: usize = 1024;
/// Each takes 19 MiB while it is hashed. The last place is for a realm that has none.
const AT_A_TIME: usize = 3;
/// Those beyond wait; more than so many of one realm are told to come back.
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

/// Whose password it is: those of one queue wait for each other, those of different ones in turn.
#[derive(Debug, Clone, Copy)]
pub enum Queue<'a> {
    /// One of this realm: of somebody who is logged in, or logs in from where they did before. They go first, and have a
    /// place that no others take: however many guess, and from however many addresses, these get in.
    Of(&'a Realm),
    /// One of this realm, or nobody's who claims to be of it: whether there is such a user is not to be told by how long it
    /// takes.
    GuestOf(&'a Realm),
    /// Nobody's: all who name realms that there are not wait as one.
    Nowhere,
}

impl Queue<'_> {
    fn turn(self) -> Turn {
        let (class, key) = match self {
            Self::Of(realm) => (ServiceClass::Interactive, Self::key(realm)),
            Self::GuestOf(realm) => (ServiceClass::Bulk, Self::key(realm)),
            Self::Nowhere => (ServiceClass::Bulk, "nowhere".to_owned()),
        };
        Turn::new(class, &key)
    }

    fn key(realm: &Realm) -> String {
        match realm {
            Realm::Tenant(tenant) => format!("tenant {tenant}"),
            Realm::Server => "server".to_owned(),
        }
    }
}

/// Hashes and checks with OWASP's parameters for argon2id: 19 MiB, two passes, one lane; the crate's defaults.
pub struct Passwords {
    places: Arc<Turnstile>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { places: Turnstile::new(AT_A_TIME) }
    }
}

impl Passwords {
    /// A new password as a PHC string, with a salt of its own.
    ///
    /// # Errors
    /// `Invalid` `invalid_password` for one that is too short or too long; `Overloaded` where too many of the queue wait.
    pub async fn hash(&self, queue: Queue<'_>, password: Password) -> Result<String> {
        if password.0.chars().count() < MIN_CHARS || password.0.len() > MAX_BYTES {
            let message = format!("a password has at least {MIN_CHARS} characters and at most {MAX_BYTES} bytes");
            return Err(Error::invalid(message).with_code("invalid_password"));
        }
        self.in_turn(queue, move || hash(&password)).await
    }

    /// Whether `password` is the one of the hash. Where there is no hash, it takes as long to say no.
    ///
    /// # Errors
    /// `Overloaded` where too many of the queue wait.
    pub async fn matches(&self, queue: Queue<'_>, password: Password, hash_of: Option<String>) -> Result<bool> {
        if password.0.len() > MAX_BYTES {
            return Ok(false);
        }
        self.in_turn(queue, move || match hash_of {
            Some(phc) => Ok(Argon2::default().verify_password(password.0.as_bytes(), phc.as_str()).is_ok()),
            None => hash(&password).map(|_| false),
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        queue: Queue<'_>,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let worked = self.places.work(&queue.turn(), MAX_WAITING, work).await;
        let worked = worked.map_err(|_| {
            Error::new(ErrorKind::Overloaded, "too many passwords of your tenant are being checked: try again")
        })?;
        worked.unwrap_or_else(|lost| Err(Error::internal("a password was not checked").with_source(lost)))
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

    use futures_util::{FutureExt, future::join_all};

    #[tokio::test]
    async fn only_the_same_password_matches_and_the_hash_is_argon2id_with_its_cost() {
        let (passwords, queue) = (Passwords::default(), Queue::Of(&Realm::Server));
        let phc = passwords.hash(queue, "correct horse".to_owned().into()).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let matches = async |text: &str, phc| passwords.matches(queue, text.to_owned().into(), phc).await.unwrap();
        assert!(matches("correct horse", Some(phc.clone())).await);
        assert!(!matches("correct horsf", Some(phc.clone())).await);
        assert!(!matches("correct horse", None).await);
        assert_ne!(passwords.hash(queue, "correct horse".to_owned().into()).await.unwrap(), phc, "salted");
        for bad in ["short", &"x".repeat(1025)] {
            assert_eq!(passwords.hash(queue, bad.to_owned().into()).await.unwrap_err().code(), "invalid_password");
        }
        assert_eq!(format!("{:?}", Password("secret".into())), "Password");
    }

    #[tokio::test]
    async fn a_realms_flood_is_told_to_come_back_and_another_realm_is_served_meanwhile() {
        let passwords = Passwords::default();
        let tenant = Realm::Tenant("t".parse().unwrap());
        let check = |queue| passwords.matches(queue, "correct horse".to_owned().into(), None);
        let mut flood: Vec<_> = (0..100).map(|_| Box::pin(check(Queue::Of(&tenant)))).collect();
        flood.retain_mut(|one| {
            let answer = one.as_mut().now_or_never();
            assert!(answer.as_ref().is_none_or(|answer| answer.as_ref().is_err_and(|e| e.code() == "overloaded")));
            answer.is_none()
        });
        assert_eq!(flood.len(), AT_A_TIME - 1 + MAX_WAITING, "inside, and in line");
        for other in [Queue::Of(&Realm::Server), Queue::GuestOf(&Realm::Server), Queue::Nowhere] {
            assert!(!check(other).await.unwrap(), "{other:?}");
        }
        assert!(join_all(flood).await.into_iter().all(|answer| !answer.unwrap()));
    }

    #[tokio::test]
    async fn who_logged_in_from_there_before_is_let_in_while_any_number_guesses() {
        let passwords = Passwords::default();
        let tenant = Realm::Tenant("t".parse().unwrap());
        let check = |queue| passwords.matches(queue, "correct horse".to_owned().into(), None);
        let mut flood: Vec<_> = (0..100).map(|_| Box::pin(check(Queue::GuestOf(&tenant)))).collect();
        flood.retain_mut(|one| one.as_mut().now_or_never().is_none());
        assert_eq!(check(Queue::GuestOf(&tenant)).await.unwrap_err().code(), "overloaded");
        assert!(!check(Queue::Of(&tenant)).await.unwrap(), "before those who wait");
        assert!(join_all(flood).await.into_iter().all(|answer| !answer.unwrap()));
    }
}
