//! HTTPS: the server with a certificate, and the command line that finds it.

use std::{fs, path::Path, process::Command};

use reqwest::{Certificate, Method};
use serde_json::{Value, json};

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
    let https = over_tls(&server, Certificate::from_pem(pem.as_bytes()).unwrap());
    assert_eq!(https.get("/api/v1/people").await.status, 200);
    assert_eq!(https.group("over https").await["id"], "over https");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let doubtful = over_tls(&server, Certificate::from_der(other.cert.der()).unwrap());
    assert!(doubtful.request(reqwest::Method::GET, "/health/live").send().await.is_err(), "not trusted by itself");
    // The command line goes by the socket, whatever the certificate.
    let socket = rollcall::app::local_folder(&server.data()).join("socket");
    eventually("the server listens for commands", async || socket.exists()).await;
    let data = server.data();
    let list = || Command::new(env!("CARGO_BIN_EXE_rollcall")).arg("--data").arg(&data).args(["user", "list"]).output();
    let listed = tokio::task::block_in_place(|| list().unwrap());
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_speaks_http_to_the_port_of_https_is_told_so_and_gets_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (_, certificate, key) = certify(folder.path());
    let server = TestServer::with(&[("server.tls_certificate", &certificate), ("server.tls_key", &key)]).await;
    let group = json!({ "id": "g", "name": "g" });
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/health/live"),
        (Method::GET, "/docs/"),
        (Method::GET, "/api/v1/people"),
        (Method::POST, "/api/v1/groups"),
        (Method::OPTIONS, "/api/v1/groups"),
    ] {
        // With a key that is good, and a body. The description is of the server, which is not what is spoken to here.
        let answer = server.api.request(method.clone(), path).json(&group).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{method} {path}");
        assert!(!answer.headers().contains_key("strict-transport-security"), "not to be said in clear");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["error"]["code"], "https_wanted", "{method} {path}");
        assert!(problem["error"]["message"].as_str().unwrap().contains("https://"), "{problem}");
    }
    let certificates = Certificate::from_pem(&fs::read(&certificate).unwrap()).unwrap();
    let https = over_tls(&server, certificates);
    assert_eq!(https.get("/api/v1/groups").await.expect(200)["groups"], json!([]), "nothing was made");
}

/// The same server by https, trusting this certificate.
fn over_tls(server: &TestServer, trusted: Certificate) -> Api {
    let port = server.api.address().rsplit(':').next().unwrap();
    Api::over(format!("https://localhost:{port}"), server.api.key().to_owned(), vec![trusted])
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_fetch_the_certificate_of_an_authority_of_ones_own_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (pem, certificate, key) = certify(folder.path());
    let settings = [("server.tls_certificate", certificate.as_str()), ("server.tls_key", key.as_str())];
    let server = TestServer::with(&settings).await;
    assert_eq!(server.api.without_key().get("/ca.crt").await.problem(), (404, "not_found".to_owned()));
    let authority = rcgen::generate_simple_self_signed(vec!["authority".to_owned()]).unwrap();
    fs::write(folder.path().join("ca.pem"), authority.signing_key.serialize_pem() + &authority.cert.pem()).unwrap();
    let server = TestServer::with(&settings).await;
    let https = over_tls(&server, Certificate::from_pem(pem.as_bytes()).unwrap());
    for api in [server.api.without_key(), https.without_key()] {
        let given = api.get("/ca.crt").await;
        assert_eq!((given.status, given.header("content-type")), (200, "application/x-x509-ca-cert"));
        assert_eq!(given.bytes, authority.cert.der().as_ref(), "the certificate alone, whatever else is in its file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_while_the_server_serves() {
    let (folder, next) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first_pem, certificate, key) = certify(folder.path());
    let (next_pem, next_certificate, next_key) = certify(next.path());
    let server = TestServer::with(&[("server.tls_certificate", &certificate), ("server.tls_key", &key)]).await;
    let trusting = |pem: &str| over_tls(&server, Certificate::from_pem(pem.as_bytes()).unwrap());
    let (first, next) = (trusting(&first_pem), trusting(&next_pem));
    let is_live = async |api: &Api| api.request(Method::GET, "/health/live").send().await.is_ok();
    assert!(is_live(&first).await && !is_live(&next).await);
    // Half of a pair fits nothing: the old one is kept.
    fs::copy(&next_certificate, &certificate).unwrap();
    assert!(is_live(&first).await);
    fs::copy(&next_key, &key).unwrap();
    eventually("the new certificate is shown", async || is_live(&next).await).await;
    // Who was there before may go on with what was agreed; a new client is shown the new one alone.
    assert!(!is_live(&trusting(&first_pem)).await);
    // What is no certificate at all changes nothing, and the one after it is taken up again.
    fs::write(&certificate, "no certificate").unwrap();
    fs::remove_file(&key).unwrap();
    assert!(is_live(&next).await);
    let (last_pem, ..) = certify(folder.path());
    let last = trusting(&last_pem);
    eventually("the last certificate is shown", async || is_live(&last).await).await;
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
