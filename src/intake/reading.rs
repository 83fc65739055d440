//! Reading the files of jobs for whoever hands them in or asks about them: the directory of a ZIP file and the ids of a
//! roster are in memory meanwhile, so few are read at a time, one of each tenant in turn.

use std::{fmt, sync::Arc};

use crate::{
    domain::TenantId,
    error::{Error, ErrorKind, Result},
    runtime::{ServiceClass, Turn, Turnstile},
};

/// The second place is for another tenant than the first.
const AT_A_TIME: usize = 2;
/// Those beyond wait; more than so many of one tenant are told to come back.
const MAX_WAITING: usize = 16;

/// See the module. Clones share the places.
#[derive(Clone)]
pub struct Readers(Arc<Turnstile>);

impl Default for Readers {
    fn default() -> Self {
        Self(Turnstile::new(AT_A_TIME))
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readers")
    }
}

impl Readers {
    /// What `read` finds in files of the tenant's jobs; it may block. Errors: its own; `Overloaded` where too many of the
    /// tenant's wait.
    pub async fn read<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        read: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = Turn::new(ServiceClass::Interactive, tenant.as_str());
        let found = self.0.work(&turn, MAX_WAITING, read).await.map_err(|_| {
            Error::new(ErrorKind::Overloaded, "too many files of your tenant's jobs are being read: try again")
        })?;
        found.unwrap_or_else(|lost| Err(Error::internal("files of a job were not read").with_source(lost)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn those_of_a_tenant_wait_for_each_other_and_another_for_none() {
        let readers = Readers::default();
        let [flood, other]: [TenantId; 2] = ["flood", "other"].map(|id| id.parse().unwrap());
        let (gate, blocked) = mpsc::channel::<()>();
        let first = {
            let (readers, flood) = (readers.clone(), flood.clone());
            tokio::spawn(async move { readers.read(&flood, move || Ok(blocked.recv().is_err())).await })
        };
        while readers.0.enter(&Turn::new(ServiceClass::Interactive, "flood"), 0).await.is_ok() {
            tokio::task::yield_now().await;
        }
        let mut rest: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let (readers, flood) = (readers.clone(), flood.clone());
                tokio::spawn(async move { readers.read(&flood, || Ok(())).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(readers.read(&flood, || Ok(())).await.unwrap_err().kind(), ErrorKind::Overloaded);
        assert!(rest.iter_mut().all(|waits| !waits.is_finished()));
        readers.read(&other, || Ok(())).await.unwrap();
        drop(gate);
        assert!(first.await.unwrap().unwrap());
        assert!(join_all(rest).await.into_iter().all(|read| read.unwrap().is_ok()));
    }
}
