//! HTTPS: the server with a certificate, and the command line that finds it.

use std::{fs, path::Path, process::Command};

use crate::support::{Api, TestServer, eventually};

/// Makes a certificate for `localhost` and its key: in PEM, and where the two lie.
pub(crate) fn certify(folder: &Path) -> (String, String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (made.cert.pem(), certificate.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_the_server_speaks_https_alone_and_its_own_command_line_too() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, certificate, key) = certify(folder.path());
    let server = TestServer::with(&[("server.tls_certificate", &certificate), ("server.tls_key", &key)]).await;
    let port = server.api.address().rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}");
    let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let https = Api::over(url.clone(), server.api.key().to_owned(), vec![trusted]);
    assert_eq!(https.get("/api/v1/people").await.status, 200);
    assert_eq!(https.group("over https").await["id"], "over https");
    let plain = server.api.request(reqwest::Method::GET, "/health/live").send().await;
    assert!(plain.is_err_and(|error| error.is_request()), "plain HTTP gets no answer");
    let doubtful = Api::over(url, String::new(), Vec::new());
    assert!(doubtful.request(reqwest::Method::GET, "/health/live").send().await.is_err(), "not trusted by itself");
    // The command line goes by the socket, whatever the certificate.
    let socket = rollcall::app::local_folder(&server.data()).join("socket");
    eventually("the server listens for commands", async || socket.exists()).await;
    let data = server.data();
    let list = || Command::new(env!("CARGO_BIN_EXE_rollcall")).arg("--data").arg(&data).args(["user", "list"]).output();
    let listed = tokio::task::block_in_place(|| list().unwrap());
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
}

#[test]
fn a_wrong_certificate_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (_, certificate, _) = certify(folder.path());
    let start = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .env("ROLLCALL__SERVER__TLS_CERTIFICATE", &certificate)
        .env("ROLLCALL__SERVER__TLS_KEY", &certificate)
        .arg("--data")
        .arg(folder.path().join("data"))
        .args(["serve", "--address", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!start.status.success());
    let told = String::from_utf8_lossy(&start.stderr);
    assert!(told.contains("server.tls_key") && told.contains("server.pem"), "{told}");
}
