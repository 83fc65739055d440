//! An authority of one's own, and what it certifies. All that is kept of it is its key: its name is made from that, so that
//! a certificate of later is found to be by the same one.

use jiff::{ToSpan, Zoned, civil::Date};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// How long phones trust the authority.
const AUTHORITY_YEARS: i32 = 10;
/// How long a certificate is good: iPhones take none of over 825 days, whoever issued it.
const CERTIFICATE_DAYS: i32 = 800;
/// Bytes of the key's hash in the authority's name.
const HASHED_NAME_BYTES: usize = 4;

/// See the module.
pub(super) struct Authority(KeyPair);

/// A certificate and its key, PEM.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
    /// The last day on which it is good.
    pub(super) until: Date,
}

impl Authority {
    pub(super) fn new() -> Result<Self> {
        KeyPair::generate().map(Self).map_err(failed)
    }

    /// The authority whose key this is, PEM. Errors: `Invalid` `invalid_tls` for what is no key.
    pub(super) fn of_key(pem: &str) -> Result<Self> {
        // Its cause may quote the file.
        let wrong = |_| Error::invalid("ca.key is not the key of an authority").with_code("invalid_tls");
        KeyPair::from_pem(pem).map(Self).map_err(wrong)
    }

    /// The key, PEM.
    pub(super) fn key(&self) -> String {
        self.0.serialize_pem()
    }

    /// A certificate for phones to trust; another one each time, all of the same key.
    pub(super) fn certificate(&self) -> Result<Certificate> {
        self.params(today())?.self_signed(&self.0).map_err(failed)
    }

    fn params(&self, today: Date) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let digest = hex::encode(&Sha256::digest(self.0.der_bytes())[..HASHED_NAME_BYTES]);
        params.distinguished_name = common_name(&format!("rollcall {digest}"));
        set_dates(&mut params, today, today.checked_add(AUTHORITY_YEARS.years()).map_err(out_of_time)?);
        Ok(params)
    }

    /// Certifies a server by these names and addresses.
    pub(super) fn certify(&self, names: &[String]) -> Result<Made> {
        let today = today();
        let until = today.checked_add(CERTIFICATE_DAYS.days()).map_err(out_of_time)?;
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = common_name(names.first().map_or("rollcall", String::as_str));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_dates(&mut params, today, until);
        let key = KeyPair::generate().map_err(failed)?;
        let issuer = Issuer::new(self.params(today)?, &self.0);
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        Ok(Made { certificate: certificate.pem(), key: key.serialize_pem(), until })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn today() -> Date {
    Zoned::now().date()
}

/// From the day before, as clocks of phones and time zones differ.
fn set_dates(params: &mut CertificateParams, today: Date, until: Date) {
    let midnight =
        |date: Date| date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
    params.not_before = midnight(today.saturating_sub(1.days()));
    params.not_after = midnight(until);
}

fn failed(error: rcgen::Error) -> Error {
    Error::internal("the certificate cannot be made").with_source(error)
}

fn out_of_time(error: jiff::Error) -> Error {
    Error::internal("the clock of this machine is wrong").with_source(error)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    };

    use super::*;

    /// Fails unless a client that trusts `authority` takes `certificate` for that of `name`.
    pub(in super::super) fn require_trusted(authority: &CertificateDer, certificate: &CertificateDer, name: &str) {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(name).unwrap().to_owned();
        verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).unwrap();
    }

    #[test]
    fn a_client_that_trusts_the_authority_trusts_the_server_by_each_name() {
        let authority = Authority::new().unwrap();
        let names = ["school.example", "localhost", "192.168.1.5", "::1"];
        let made = authority.certify(&names.map(str::to_owned)).unwrap();
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (own, server) = (der(&authority.certificate().unwrap().pem()), der(&made.certificate));
        for name in names {
            require_trusted(&own, &server, name);
        }
        // The authority is what its key is.
        let again = Authority::of_key(&authority.key()).unwrap().certify(&["other.example".to_owned()]).unwrap();
        require_trusted(&own, &der(&again.certificate), "other.example");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(Authority::of_key("no key").err().unwrap().code(), "invalid_tls");
    }
}
