//! Consents: given, shown, withdrawn, and demanded where the tenant's rules do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{Consent, LegalBasis, PersonId, TenantScope},
    error::{Error, Result},
    service::people::Service,
};

/// A consent as it is given.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConsent {
    /// Who gave it: the person, a parent, an office; 1–200 characters.
    pub given_by: String,
    /// When; now if missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// On what ground.
    pub basis: LegalBasis,
    /// When it ends; never if missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Anything else, such as where the paper lies; up to 1000 characters.
    pub note: Option<String>,
}

/// A consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsentView {
    /// Who gave it.
    pub given_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// On what ground.
    pub basis: LegalBasis,
    /// When it ends; never if null.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Anything else.
    pub note: Option<String>,
}

impl From<Consent> for ConsentView {
    fn from(consent: Consent) -> Self {
        let Consent { given_by, at, basis, expires_at, note } = consent;
        Self { given_by, at, basis, expires_at, note }
    }
}

impl NewConsent {
    /// The consent that is kept. Errors as for [`Consent::checked`].
    pub(in crate::service) fn checked(self, now: Timestamp) -> Result<Consent> {
        let Self { given_by, at, basis, expires_at, note } = self;
        Consent { given_by, at: at.unwrap_or(now), basis, expires_at, note }.checked(now)
    }
}

impl Service {
    /// A person's consent.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`, or `no_consent` where there is none.
    pub async fn consent(&self, scope: &TenantScope, person: &PersonId) -> Result<ConsentView> {
        let consent = self.store.person(scope, person).await?.person.consent;
        consent.map(Into::into).ok_or_else(|| Error::not_found("the person has no consent").with_code("no_consent"))
    }

    /// Keeps a consent in the place of the one before. From then on the person is found where one is needed.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`, `Invalid` `invalid_consent`.
    pub async fn give_consent(&self, scope: &TenantScope, person: &PersonId, new: NewConsent) -> Result<ConsentView> {
        let consent = new.checked(self.clock.now())?;
        self.store.set_consent(scope, person, Some(consent.clone())).await?;
        Ok(consent.into())
    }

    /// Takes a person's consent away. From then on nobody finds them where one is needed; what is stored of them stays.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`.
    pub async fn withdraw_consent(&self, scope: &TenantScope, person: &PersonId) -> Result<()> {
        self.store.set_consent(scope, person, None).await
    }
}
