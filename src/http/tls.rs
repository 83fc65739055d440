//! HTTPS: phones give their camera to nothing else.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::error::{Error, Result};

/// Reads the certificate with those that it was issued by, and its key: both PEM.
///
/// # Errors
/// `Invalid` `invalid_tls`, naming the file, if one cannot be read, holds none, or they do not belong together.
pub fn tls_config(certificate: &Path, key: &Path) -> Result<ServerConfig> {
    let bad =
        |what: &str, path: &Path| Error::invalid(format!("{what}, in {}", path.display())).with_code("invalid_tls");
    let unreadable = |_| bad("server.tls_certificate: there is no certificate in PEM form", certificate);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(bad("server.tls_certificate: there is no certificate", certificate));
    }
    // Its cause may quote the file.
    let key_der = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| bad("server.tls_key: there is no private key in PEM form", key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key_der))
        .map_err(|error| bad("server.tls_key: it does not belong to the certificate", key).with_source(error))?;
    // What the listeners speak: a client that wants something else alone is refused here.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn wrong_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            fs::write(path(&format!("{name}.pem")), made.cert.pem()).unwrap();
            fs::write(path(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
        }
        fs::write(path("empty"), "").unwrap();
        assert!(tls_config(&path("a.pem"), &path("a.key")).is_ok());
        for (certificate, key, named) in [
            ("none", "a.key", "tls_certificate"),
            ("empty", "a.key", "tls_certificate"),
            ("a.key", "a.key", "tls_certificate"),
            ("a.pem", "none", "tls_key"),
            ("a.pem", "a.pem", "tls_key"),
            ("a.pem", "b.key", "does not belong"),
        ] {
            let error = tls_config(&path(certificate), &path(key)).err().unwrap();
            assert_eq!(error.code(), "invalid_tls");
            assert!(error.message().contains(named), "{certificate} {key}: {error}");
        }
    }
}
