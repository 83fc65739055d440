//! HTTPS: phones give their camera to nothing else.
//!
//! A certificate is renewed while the server serves: its files are read again and again, and a pair that fits is shown from
//! then on. One that does not is told in the log, once, and what was shown before is kept.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{self, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::{
    error::{Error, Result},
    runtime::spawn_blocking,
};

/// How often the files are read again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How the certificate of the authority that issued the server's is called, beside it, as `rollcall tls init` leaves it.
pub const AUTHORITY_FILE: &str = "ca.pem";

/// The certificate that is shown. Clones show the same one.
#[derive(Debug, Clone)]
pub struct Certificate {
    shown: Arc<Shown>,
    files: PairFiles,
}

#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Where a certificate, with those that it was issued by, and its key lie: both PEM.
#[derive(Debug, Clone)]
struct PairFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// What was in the files at one time.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// `Invalid` `invalid_tls`, naming the file and what to do, if one cannot be read, holds none, or they do not belong
    /// together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let files = PairFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        let key = files.read().and_then(|pair| files.parse(&pair))?;
        Ok(Self { shown: Arc::new(Shown(ArcSwap::from_pointee(key))), files })
    }

    /// How the server speaks TLS with it.
    ///
    /// # Errors
    /// `Internal` if this build of TLS has no version to speak.
    pub fn config(&self) -> Result<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("TLS cannot be spoken").with_source(error))?;
        let mut config =
            builder.with_no_client_auth().with_cert_resolver(Arc::clone(&self.shown) as Arc<dyn ResolvesServerCert>);
        // What the listeners speak: a client that wants something else alone is refused here.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Shows what the files hold, whenever that has changed; never returns.
    pub async fn keep_renewed(self) {
        let mut told = None;
        loop {
            sleep(LOOK_AGAIN).await;
            let (shown, files) = (Arc::clone(&self.shown), self.files.clone());
            let Ok(renewed) = spawn_blocking(move || shown.renew(&files)).await else { continue };
            match renewed {
                Ok(false) => told = None,
                Ok(true) => {
                    told = None;
                    tracing::info!("the certificate was renewed");
                }
                Err(error) if told.as_deref() != Some(error.message()) => {
                    tracing::error!(%error, "the new certificate cannot be used: the old one is kept");
                    told = Some(error.message().to_owned());
                }
                Err(_) => {}
            }
        }
    }
}

impl Shown {
    /// Takes up what the files hold; whether that is another certificate.
    fn renew(&self, files: &PairFiles) -> Result<bool> {
        let key = files.read().and_then(|pair| files.parse(&pair))?;
        let is_new = key.cert != self.0.load().cert;
        if is_new {
            self.0.store(Arc::new(key));
        }
        Ok(is_new)
    }
}

impl PairFiles {
    fn read(&self) -> Result<Pair> {
        let read = |setting, path: &Path| fs::read(path).map_err(|error| unreadable(setting, path, error));
        let certificate = read("server.tls_certificate", &self.certificate)?;
        Ok(Pair { certificate, key: read("server.tls_key", &self.key)? })
    }

    fn parse(&self, pair: &Pair) -> Result<CertifiedKey> {
        let chain = CertificateDer::pem_slice_iter(&pair.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
            let message = "there is no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
            invalid("server.tls_certificate", message, &self.certificate)
        })?;
        // Its cause may quote the file.
        let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(|_| {
            let message = "there is no private key in PEM form (-----BEGIN PRIVATE KEY-----)";
            invalid("server.tls_key", message, &self.key)
        })?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
            let message = "the key does not belong to the certificate: give the pair that was made together";
            invalid("server.tls_key", message, &self.key).with_source(error)
        })
    }
}

fn unreadable(setting: &str, path: &Path, error: io::Error) -> Error {
    let message = match error.kind() {
        ErrorKind::NotFound => "there is no such file: correct the path, or make a pair with rollcall tls init",
        ErrorKind::PermissionDenied => "the user that the server runs as may not read it",
        _ => "it cannot be read",
    };
    invalid(setting, message, path).with_source(error)
}

/// The file by its whole path: a relative one depends on where the server was started.
fn invalid(setting: &str, message: &str, path: &Path) -> Error {
    let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Error::invalid(format!("{setting}: {}: {message}", path.display())).with_code("invalid_tls")
}

/// The certificate, DER, of the authority of one's own that issued the server's, where it lies beside that. Nothing else
/// that the file may hold leaves it.
pub fn authority_of(certificate: &Path) -> Option<Bytes> {
    let authority = CertificateDer::from_pem_file(certificate.with_file_name(AUTHORITY_FILE)).ok()?;
    Some(Bytes::copy_from_slice(&authority))
}

/// SHA-256 of a certificate in DER form, as phones and browsers show it.
pub fn fingerprint(der: &[u8]) -> String {
    let digest = Sha256::digest(der);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a certificate and its key in a folder, under the name of another pair perhaps.
    fn certify(folder: &Path, name: &str) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn wrong_files_are_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            certify(folder.path(), name);
        }
        fs::write(path("empty"), "").unwrap();
        assert!(Certificate::read(&path("a.pem"), &path("a.key")).unwrap().config().is_ok());
        for (certificate, key, named, bad) in [
            ("none", "a.key", "tls_certificate", "none: there is no such file: correct the path, or make a pair"),
            ("empty", "a.key", "tls_certificate", "empty: there is no certificate in PEM form"),
            ("a.key", "a.key", "tls_certificate", "a.key: there is no certificate in PEM form"),
            (".", "a.key", "tls_certificate", ": it cannot be read"),
            ("a.pem", "none", "tls_key", "none: there is no such file"),
            ("a.pem", "a.pem", "tls_key", "a.pem: there is no private key in PEM form"),
            ("a.pem", "b.key", "tls_key", "b.key: the key does not belong to the certificate"),
        ] {
            let error = Certificate::read(&path(certificate), &path(key)).err().unwrap();
            assert_eq!(error.code(), "invalid_tls");
            let told = error.message();
            assert!(told.contains(named) && told.contains(bad), "{certificate} {key}: {told}");
        }
    }

    #[test]
    fn a_pair_that_fits_is_taken_up_and_one_that_does_not_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let (pem, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
        certify(folder.path(), "a");
        let certificate = Certificate::read(&pem, &key).unwrap();
        let (shown, files) = (Arc::clone(&certificate.shown), certificate.files.clone());
        let first = shown.0.load_full();
        assert!(!shown.renew(&files).unwrap(), "nothing has changed");
        certify(folder.path(), "b");
        fs::copy(folder.path().join("b.pem"), &pem).unwrap();
        assert_eq!(shown.renew(&files).unwrap_err().code(), "invalid_tls");
        fs::remove_file(&key).unwrap();
        assert_eq!(shown.renew(&files).unwrap_err().code(), "invalid_tls");
        assert_eq!(shown.0.load().cert, first.cert);
        fs::copy(folder.path().join("b.key"), &key).unwrap();
        assert!(shown.renew(&files).unwrap());
        assert_ne!(shown.0.load().cert, first.cert);
    }

    #[test]
    fn of_the_authoritys_file_only_the_certificate_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let server = folder.path().join("server.pem");
        assert_eq!(authority_of(&server), None);
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let both = made.signing_key.serialize_pem() + &made.cert.pem();
        fs::write(folder.path().join(AUTHORITY_FILE), both).unwrap();
        assert_eq!(authority_of(&server).unwrap(), made.cert.der().as_ref());
        assert!(fingerprint(made.cert.der()).split(':').all(|byte| byte.len() == 2));
    }
}
