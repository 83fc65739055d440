//! The keys that the first start makes, and the files that secrets lie in.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::keys::SecretKey;
use crate::{
    domain::{Grant, Right, Standing, Tenant, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    store::Store,
};

/// The tenant that the first start makes.
pub const DEFAULT_TENANT: &str = "default";
/// No tenant may have this id: its key's file would be the operator's.
pub(in crate::service) const OPERATOR: &str = "operator";
/// What the keys made here are for.
pub(in crate::service) const FIRST_KEY: &str = "first key";

/// Where the first start leaves the operator's key.
pub fn operator_key_path(data: &Path) -> PathBuf {
    data.join(format!("{OPERATOR}.key"))
}

/// Where a tenant's key is looked for by the command line; the first start leaves that of `default` there.
pub fn tenant_key_path(data: &Path, tenant: &TenantId) -> PathBuf {
    data.join(format!("{}.key", tenant.file_name()))
}

/// Makes the tenant `default` and, last of all, the operator's key if this store has no operator yet: a `default` that
/// the operator has deleted does not come back. Each key is written to its file, readable by the owner alone, before its hash is stored: a crash between the two leaves a file that the next start
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
        write_secret(&path, key.reveal())?;
        let stored = key.hashed(FIRST_KEY.into(), Grant::admin(tenant.clone()), now);
        let standing = Standing::Active;
        let tenant = Tenant { id: tenant, name: "Default".into(), created_at: now, standing };
        store.create_tenant(&Right::of_machine(), tenant, stored).await?;
        tracing::info!(path = %path.display(), "made the tenant default; its key is in this file");
    }
    if !has_operator {
        let path = operator_key_path(data);
        let key = SecretKey::generate()?;
        write_secret(&path, key.reveal())?;
        store.put_api_key(&Right::of_machine(), key.hashed(FIRST_KEY.into(), Grant::operator(), now)).await?;
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
    let mut wanted = vec![(operator_key_path(data), Grant::operator())];
    if exists(store, &tenant).await? {
        wanted.push((tenant_key_path(data, &tenant), Grant::admin(tenant)));
    }
    for (path, grant) in wanted {
        if !path.exists() {
            let key = SecretKey::generate()?;
            write_secret(&path, key.reveal())?;
            store.put_api_key(&Right::of_machine(), key.hashed(FIRST_KEY.into(), grant, now)).await?;
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
pub(in crate::service) fn remove_tenant_key(data: &Path, tenant: &TenantId) -> Result<()> {
    let path = tenant_key_path(data, tenant);
    match std::fs::remove_file(&path) {
        // Tenants were once given ids whose file names are too long for any file.
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::InvalidFilename].contains(&error.kind()) => Ok(()),
        Err(error) => Err(Error::storage(format!("cannot remove the key file {}", path.display())).with_source(error)),
        Ok(()) => Ok(()),
    }
}

/// Writes a secret durably, its name in the folder too, to a file that only its owner can read: all of it or nothing.
pub(super) fn write_secret(path: &Path, secret: &str) -> Result<()> {
    let failed =
        |error: io::Error| Error::storage(format!("cannot write the file {}", path.display())).with_source(error);
    let folder = path.parent().unwrap_or(Path::new("."));
    // Made for its owner alone.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    writeln!(file, "{secret}").map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
