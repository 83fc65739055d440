//! Containing a panic without printing what it says: a payload may quote a user's data, a source location cannot.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe},
    pin::pin,
    sync::Once,
    task::Poll,
};

/// Where a contained panic began, as `file:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanicSite(String);

impl fmt::Display for PanicSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}", self.0)
    }
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    static SITE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Puts a hook in front of the present one that keeps quiet inside [`contain`] and passes every other panic on.
fn install_hook() {
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CONTAINED.get() {
                return previous(info);
            }
            let site = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            SITE.set(site);
        }));
    });
}

/// Restores the flag on every way out, so that containment nests.
struct Containment {
    outer: bool,
}

impl Containment {
    fn enter() -> Self {
        Self { outer: CONTAINED.replace(true) }
    }
}

impl Drop for Containment {
    fn drop(&mut self) {
        CONTAINED.set(self.outer);
    }
}

/// Runs `work`; a panic inside becomes its site, and nothing is printed.
///
/// `work` must leave what it shares with others usable when it unwinds: that is the caller's contract, which is
/// why unwind safety is asserted and not asked of the type.
///
/// # Errors
/// The panic's site.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, PanicSite> {
    install_hook();
    let _containment = Containment::enter();
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(site_of)
}

/// Drives `work` to its end with [`contain`] around every poll.
pub(super) async fn contain_future<F: Future>(work: F) -> Result<F::Output, PanicSite> {
    let mut work = pin!(work);
    poll_fn(|cx| match contain(|| work.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(site) => Poll::Ready(Err(site)),
    })
    .await
}

/// The site that the hook noted. The payload is dropped here, where its own destructor is still contained.
fn site_of(payload: Box<dyn Any + Send>) -> PanicSite {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // A payload whose destructor panics is not worth a second try.
        std::mem::forget(second);
    }
    PanicSite(SITE.take().unwrap_or_else(|| "an unknown place".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_site_without_its_payload() {
        let site = contain(|| panic!("a secret name")).unwrap_err().to_string();
        assert!(site.contains("panics.rs:"), "{site}");
        assert!(!site.contains("secret"), "{site}");
    }

    #[test]
    fn containment_ends_with_its_scope() {
        let inner = contain(|| {
            assert!(contain(|| panic!("inner")).is_err());
            CONTAINED.get()
        });
        assert_eq!(inner, Ok(true));
        assert!(!CONTAINED.get());
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert!(contain(|| panic::panic_any(Bomb)).is_err());
    }
}
