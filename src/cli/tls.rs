//! `rollcall tls`: certificates for a server that has no public name, by an authority of one's own.

mod authority;
mod phones;

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{self, Path, PathBuf},
};

use clap::{Args, Subcommand};
use rustls::pki_types::ServerName;

use self::authority::{Authority, Made};
use super::{Common, say};
use crate::{
    config::Server,
    error::{Error, ErrorKind, Result},
    http::{AUTHORITY_FILE, AUTHORITY_PATH, fingerprint},
    runtime::{host_name, reachable_addresses},
};

const AUTHORITY_KEY_FILE: &str = "ca.key";
const CERTIFICATE_FILE: &str = "server.pem";
const KEY_FILE: &str = "server.key";

/// Where the server is to listen, unless the settings say where others reach it.
const PORT: u16 = 8443;

#[derive(Debug, Args)]
pub(super) struct TlsArgs {
    #[command(subcommand)]
    what: Tls,
}

#[derive(Debug, Subcommand)]
enum Tls {
    /// Makes an authority of your own and a certificate by it, in DATA/tls, and says how phones come to trust it.
    Init(NamesArgs),
    /// Makes the next certificate by the same authority, for the addresses of now and every --name, which is to be given
    /// again: phones need nothing new, and a running server takes it up by itself.
    Renew(NamesArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The certificate is good for localhost, for this machine's name (also with .local) and for its addresses of now.
ca.key signs certificates that your phones trust: who has it can pose as any site to them. Only renew needs it: keep it
elsewhere if others reach this folder.")]
struct NamesArgs {
    /// A further name or address by which the server is reached; may be given several times.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
}

/// The folder of certificates and keys.
struct Folder(PathBuf);

pub(super) fn run(common: &Common, args: &TlsArgs) -> Result<()> {
    let settings = common.settings()?;
    let folder = Folder::of(&settings.server.data);
    match &args.what {
        Tls::Init(args) => init(&settings.server, &folder, &args.names),
        Tls::Renew(args) => renew(&folder, &args.names),
    }
}

fn init(server: &Server, folder: &Folder, further: &[String]) -> Result<()> {
    folder.require_empty()?;
    let addresses = reachable_addresses().unwrap_or_default();
    let names = names(further, &addresses)?;
    let authority = Authority::new()?;
    let own = authority.certificate()?;
    let made = authority.certify(&names)?;
    folder.make()?;
    for (file, content, is_secret) in [
        (AUTHORITY_FILE, own.pem(), false),
        (AUTHORITY_KEY_FILE, authority.key(), true),
        (CERTIFICATE_FILE, made.certificate.clone(), false),
        (KEY_FILE, made.key.clone(), true),
    ] {
        folder.write_new(file, &content, is_secret)?;
    }
    tell(folder, &names, &made)?;
    let port = if server.address.ip().is_loopback() { PORT } else { server.address.port() };
    let listen = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    say(format_args!(
        "\nServe with it by these lines of a settings file (rollcall --config FILE serve):\n\n[server]\naddress = \"{listen}\"\n\
         tls_certificate = {}\ntls_key = {}\n",
        folder.quoted(CERTIFICATE_FILE),
        folder.quoted(KEY_FILE)
    ))?;
    let host = addresses.first().map_or_else(|| names[0].clone(), |&address| url_host(address));
    phones::help(&format!("http://{host}:{port}{AUTHORITY_PATH}"), &fingerprint(own.der()))
}

fn renew(folder: &Folder, further: &[String]) -> Result<()> {
    let authority = Authority::of_key(&folder.read(AUTHORITY_KEY_FILE)?)?;
    let names = names(further, &reachable_addresses().unwrap_or_default())?;
    let made = authority.certify(&names)?;
    let _alone = folder.lock()?;
    // Between the two the pair does not fit, and a server that looks just then goes on with the old one.
    folder.replace(KEY_FILE, &made.key)?;
    folder.replace(CERTIFICATE_FILE, &made.certificate)?;
    tell(folder, &names, &made)
}

fn tell(folder: &Folder, names: &[String], made: &Made) -> Result<()> {
    let (folder, names) = (folder.0.display(), names.join(", "));
    say(format_args!("Made {CERTIFICATE_FILE} and {KEY_FILE} in {folder}, good until {}, for\n{names}", made.until))
}

/// What the server is reached by: `further` first, then this machine's names and addresses. Errors: `Invalid`
/// `invalid_name`.
fn names(further: &[String], addresses: &[IpAddr]) -> Result<Vec<String>> {
    let is_name = |name: &str| ServerName::try_from(name).is_ok();
    if let Some(wrong) = further.iter().find(|name| !is_name(name)) {
        let message = format!("{wrong} is neither a name, such as rollcall.school.example, nor an address");
        return Err(Error::invalid(message).with_code("invalid_name"));
    }
    let host = host_name().filter(|name| is_name(name));
    let on_the_link = host.iter().filter(|name| !name.contains('.')).map(|name| format!("{name}.local"));
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let mut known = BTreeSet::new();
    let names = (further.iter().cloned())
        .chain(["localhost".to_owned()])
        .chain(host.iter().cloned())
        .chain(on_the_link)
        .chain(loopback.iter().chain(addresses).map(IpAddr::to_string))
        .filter(|name| known.insert(name.clone()));
    Ok(names.collect())
}

/// An address as it stands in a URL.
fn url_host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

impl Folder {
    fn of(data: &Path) -> Self {
        let folder = data.join("tls");
        Self(path::absolute(&folder).unwrap_or(folder))
    }

    /// Errors: `Conflict` `tls_exists` where there is anything that would be overwritten.
    fn require_empty(&self) -> Result<()> {
        let files = [AUTHORITY_FILE, AUTHORITY_KEY_FILE, CERTIFICATE_FILE, KEY_FILE];
        let Some(found) = files.iter().map(|file| self.0.join(file)).find(|path| path.exists()) else { return Ok(()) };
        let message = format!(
            "{} is there already, and nothing is overwritten: rollcall tls renew makes the next certificate by the authority \
             that phones trust; to begin anew, move the folder away",
            found.display()
        );
        Err(Error::new(ErrorKind::Conflict, message).with_code("tls_exists"))
    }

    fn make(&self) -> Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&self.0);
        made.map_err(|error| Error::storage(format!("cannot make the folder {}", self.0.display())).with_source(error))
    }

    /// Keeps another renewal waiting as long as the answer is held.
    fn lock(&self) -> Result<File> {
        let locked = File::open(&self.0).and_then(|folder| folder.lock().map(|()| folder));
        locked.map_err(|error| unwritable(&self.0, error))
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.0.join(file);
        fs::read_to_string(&path).map_err(|error| {
            let message = match error.kind() {
                io::ErrorKind::NotFound => "is missing: put it back, or make an authority with rollcall tls init",
                _ => "cannot be read",
            };
            Error::invalid(format!("{} {message}", path.display())).with_code("invalid_tls").with_source(error)
        })
    }

    fn write_new(&self, file: &str, content: &str, is_secret: bool) -> Result<()> {
        let path = self.0.join(file);
        let mode = if is_secret { 0o600 } else { 0o644 };
        let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        made.and_then(|mut made| made.write_all(content.as_bytes()).and_then(|()| made.sync_all()))
            .map_err(|error| unwritable(&path, error))
    }

    /// Puts a file in the place of another: whole, with the other's mode.
    fn replace(&self, file: &str, content: &str) -> Result<()> {
        let fresh = format!("{file}.new");
        // What a renewal that was cut short has left.
        drop(fs::remove_file(self.0.join(&fresh)));
        self.write_new(&fresh, content, file == KEY_FILE)?;
        let path = self.0.join(file);
        fs::rename(self.0.join(&fresh), &path).map_err(|error| unwritable(&path, error))
    }

    /// A file's path as a text of TOML.
    fn quoted(&self, file: &str) -> toml::Value {
        toml::Value::String(self.0.join(file).to_string_lossy().into_owned())
    }
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::storage(format!("{} cannot be written", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::*;
    use crate::{config::Settings, http::Certificate};

    fn made(data: &Path) -> (Folder, Server) {
        let settings = Settings::load(None, &[("server.data", data.to_str().unwrap().to_owned())]).unwrap();
        let folder = Folder::of(data);
        init(&settings.server, &folder, &["rollcall.school.example".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        (folder, settings.server)
    }

    #[test]
    fn what_is_made_can_be_served_and_its_keys_are_their_owners_alone() {
        let data = tempfile::tempdir().unwrap();
        let (folder, server) = made(data.path());
        let path = |file: &str| folder.0.join(file);
        Certificate::read(&path(CERTIFICATE_FILE), &path(KEY_FILE)).unwrap();
        for key in [KEY_FILE, AUTHORITY_KEY_FILE] {
            assert_eq!(fs::metadata(path(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
        }
        let before = fs::read(path(AUTHORITY_KEY_FILE)).unwrap();
        for file in [AUTHORITY_FILE, KEY_FILE, CERTIFICATE_FILE] {
            assert_eq!(init(&server, &folder, &[]).unwrap_err().code(), "tls_exists");
            fs::remove_file(path(file)).unwrap();
        }
        // One that is left is enough.
        assert_eq!(init(&server, &folder, &[]).unwrap_err().code(), "tls_exists");
        assert_eq!(fs::read(path(AUTHORITY_KEY_FILE)).unwrap(), before);
    }

    #[test]
    fn the_next_certificate_is_by_the_same_authority() {
        let data = tempfile::tempdir().unwrap();
        let (folder, _) = made(data.path());
        let path = |file: &str| folder.0.join(file);
        let (authority, first) = (fs::read(path(AUTHORITY_FILE)).unwrap(), fs::read(path(CERTIFICATE_FILE)).unwrap());
        renew(&folder, &[]).unwrap();
        assert_eq!(fs::read(path(AUTHORITY_FILE)).unwrap(), authority);
        assert_ne!(fs::read(path(CERTIFICATE_FILE)).unwrap(), first);
        Certificate::read(&path(CERTIFICATE_FILE), &path(KEY_FILE)).unwrap();
        assert_eq!(fs::metadata(path(KEY_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        // The one is trusted, and the other found by it, under every name that was asked for.
        let der = |file: &str| CertificateDer::from_pem_file(path(file)).unwrap();
        authority::tests::require_trusted(&der(AUTHORITY_FILE), &der(CERTIFICATE_FILE), "localhost");
        fs::remove_file(path(AUTHORITY_KEY_FILE)).unwrap();
        assert!(renew(&folder, &[]).unwrap_err().message().contains("ca.key is missing"));
    }

    #[test]
    fn renewals_at_one_time_wait_for_each_other() {
        let data = tempfile::tempdir().unwrap();
        let (folder, _) = made(data.path());
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| renew(&folder, &[]))).collect();
            for one in all {
                one.join().unwrap().unwrap();
            }
        });
        assert!(Certificate::read(&folder.0.join(CERTIFICATE_FILE), &folder.0.join(KEY_FILE)).is_ok());
    }

    #[test]
    fn a_certificate_is_for_each_name_once_and_those_asked_for_come_first() {
        let addresses = ["192.168.1.5".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let names = names(&["school.example".to_owned(), "localhost".to_owned()], &addresses).unwrap();
        assert_eq!(names[..2], ["school.example", "localhost"]);
        for name in ["127.0.0.1", "::1", "192.168.1.5"] {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        for wrong in ["schüle", "a b", "https://school.example", ""] {
            assert_eq!(super::names(&[wrong.to_owned()], &[]).unwrap_err().code(), "invalid_name", "{wrong}");
        }
    }
}
