//! Keys: who may come in, and what that opens.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Service;
use crate::{
    domain::{Standing, Tenant, TenantId, TenantScope, ids::checked_name},
    error::{Error, ErrorKind, Result},
    store::{ApiKey, Grant, Store},
};

/// The tenant that the first start makes.
pub const DEFAULT_TENANT: &str = "default";
/// No tenant may have this id: its key's file would be the operator's.
const OPERATOR: &str = "operator";

/// The right to make tenants. Got by [`Service::authenticate_operator`] only.
#[derive(Debug)]
pub struct OperatorScope(());

/// A key in clear; shown once, then only its hash is kept.
pub struct SecretKey(String);

impl SecretKey {
    /// 256 random bits.
    fn generate() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::internal("the system gives no random numbers").with_source(error))?;
        Ok(Self(format!("rk_{}", hex::encode(bytes))))
    }

    /// The key's text, for the one who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn hashed(&self, grant: Grant, created_at: Timestamp) -> ApiKey {
        ApiKey { hash: hash(&self.0), grant, created_at }
    }
}

/// A key is 256 random bits, so a plain hash of it cannot be guessed back; passwords would need a slow one.
fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

impl Service {
    /// The tenant that a key opens.
    ///
    /// # Errors
    /// `Unauthenticated` for an unknown key, `Forbidden` for the operator's, which opens no tenant, and
    /// `tenant_suspended`; `Overloaded` `too_many_requests`.
    pub async fn authenticate(&self, key: &str) -> Result<TenantScope> {
        match self.store.find_api_key(hash(key)).await? {
            Some(Grant::Tenant(tenant)) => self.enter(tenant).await,
            Some(Grant::Operator) => {
                Err(Error::new(ErrorKind::Forbidden, "the operator's key makes tenants; use a tenant's key here"))
            }
            None => Err(unauthenticated()),
        }
    }

    /// Lets a request whose key was checked into its tenant, and counts it.
    async fn enter(&self, tenant: TenantId) -> Result<TenantScope> {
        let scope = TenantScope::granted(tenant);
        match self.store.open_tenant(&scope).await {
            Ok(settings) => self.quotas.admit(&scope, &settings).map(|()| scope),
            // It is being deleted: its keys open as little as they will when they are gone.
            Err(error) if error.kind() == ErrorKind::NotFound => Err(unauthenticated()),
            Err(error) => Err(error),
        }
    }

    /// The operator's right.
    ///
    /// # Errors
    /// `Unauthenticated` for an unknown key, `Forbidden` for a tenant's.
    pub async fn authenticate_operator(&self, key: &str) -> Result<OperatorScope> {
        match self.store.find_api_key(hash(key)).await? {
            Some(Grant::Operator) => Ok(OperatorScope(())),
            Some(Grant::Tenant(_)) => Err(Error::new(ErrorKind::Forbidden, "this takes the operator's key")),
            None => Err(unauthenticated()),
        }
    }

    /// Makes a tenant and its key.
    ///
    /// # Errors
    /// `Conflict` if the id is taken, `Invalid` `invalid_id` for `operator`.
    pub async fn create_tenant(
        &self,
        _operator: &OperatorScope,
        id: Option<TenantId>,
        name: &str,
    ) -> Result<(Tenant, SecretKey)> {
        if id.as_ref().is_some_and(|id| id.as_str() == OPERATOR) {
            return Err(Error::invalid("a tenant cannot have the id operator").with_code("invalid_id"));
        }
        let tenant = Tenant {
            id: id.unwrap_or_else(TenantId::generate),
            name: checked_name(name)?,
            created_at: self.clock.now(),
            standing: Standing::Active,
        };
        let key = SecretKey::generate()?;
        let stored = key.hashed(Grant::Tenant(tenant.id.clone()), tenant.created_at);
        self.store.create_tenant(tenant.clone(), stored).await?;
        Ok((tenant, key))
    }
}

/// The same words for no key and for a wrong one.
pub fn unauthenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "send a valid key as Authorization: Bearer KEY or X-API-Key: KEY")
}

/// Where the first start leaves the operator's key.
pub fn operator_key_path(data: &Path) -> PathBuf {
    data.join(format!("{OPERATOR}.key"))
}

/// Where a tenant's key is looked for by the command line; the first start leaves that of `default` there.
pub fn tenant_key_path(data: &Path, tenant: &TenantId) -> PathBuf {
    // An id may hold a slash; a file name may not.
    data.join(format!("{}.key", tenant.as_str().replace('/', "%2F")))
}

/// Makes the tenant `default` and, last of all, the operator's key if this store has no operator yet: a `default` that
/// the operator has deleted does not come back. Each key is written to its file,
/// readable by the owner alone, before its hash is stored: a crash between the two leaves a file that the next start
/// replaces, never a stored key that nobody has.
///
/// # Errors
/// `Storage` if a file or the store cannot be written, or the store cannot be read: a damaged tenant is not a missing one,
/// and its key is left alone.
pub async fn first_start(store: &Store, data: &Path, now: Timestamp) -> Result<()> {
    let tenant: TenantId = DEFAULT_TENANT.parse()?;
    let has_operator = store.has_operator_key().await?;
    if !exists(store, &tenant).await? && !has_operator {
        let path = tenant_key_path(data, &tenant);
        let key = SecretKey::generate()?;
        write_secret(&path, &key)?;
        let stored = key.hashed(Grant::Tenant(tenant.clone()), now);
        let standing = Standing::Active;
        store.create_tenant(Tenant { id: tenant, name: "Default".into(), created_at: now, standing }, stored).await?;
        tracing::info!(path = %path.display(), "made the tenant default; its key is in this file");
    }
    if !has_operator {
        let path = operator_key_path(data);
        let key = SecretKey::generate()?;
        write_secret(&path, &key)?;
        store.put_api_key(key.hashed(Grant::Operator, now)).await?;
        tracing::info!(path = %path.display(), "made the operator's key; it is in this file");
    }
    Ok(())
}

/// Makes a further key for the operator and for the tenant `default`, each where the data folder lacks its file: a
/// store that came from a backup knows its keys by their hashes alone.
///
/// # Errors
/// `Storage` if a file or the store cannot be written.
pub async fn complete_key_files(store: &Store, data: &Path, now: Timestamp) -> Result<()> {
    let tenant: TenantId = DEFAULT_TENANT.parse()?;
    let mut wanted = vec![(operator_key_path(data), Grant::Operator)];
    if exists(store, &tenant).await? {
        wanted.push((tenant_key_path(data, &tenant), Grant::Tenant(tenant)));
    }
    for (path, grant) in wanted {
        if !path.exists() {
            let key = SecretKey::generate()?;
            write_secret(&path, &key)?;
            store.put_api_key(key.hashed(grant, now)).await?;
        }
    }
    Ok(())
}

async fn exists(store: &Store, tenant: &TenantId) -> Result<bool> {
    match store.tenant(&TenantScope::granted(tenant.clone())).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the file of a tenant's key, if there is one.
pub(super) fn remove_tenant_key(data: &Path, tenant: &TenantId) -> Result<()> {
    let path = tenant_key_path(data, tenant);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::storage(format!("cannot remove the key file {}", path.display())).with_source(error))
        }
        _ => Ok(()),
    }
}

/// Writes a key durably, its name in the folder too, to a file that only its owner can read.
fn write_secret(path: &Path, key: &SecretKey) -> Result<()> {
    use std::{
        fs::{self, File, OpenOptions},
        io::Write,
        os::unix::fs::OpenOptionsExt,
    };
    let failed = |error: std::io::Error| {
        Error::storage(format!("cannot write the key file {}", path.display())).with_source(error)
    };
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    writeln!(file, "{}", key.reveal()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    match path.parent() {
        Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed),
        None => Ok(()),
    }
}
