//! A loaded gallery, and how it follows the store's change feed.

use std::{
    collections::{BTreeMap, HashMap},
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{
    domain::{ConsentPolicy, FaceId, FaceSample, GalleryPlan, PersonId, Pseudonym, TenantScope, TenantSettings},
    error::{Error, Result},
    gallery::TenantGallery,
    runtime::spawn_blocking,
    store::{Alias, ChangedPerson, ChangedState, Store},
};

/// Bytes of a name with its pseudonym, about.
pub(super) const NAME_BYTES: usize = 100;

/// Who is whose pseudonym, of everybody in the gallery and perhaps others.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Pseudonym, PersonId>);

impl Names {
    pub(super) fn learn(&mut self, people: impl IntoIterator<Item = Alias>) {
        self.0.extend(people);
    }
}

/// What a gallery is made by, beside what is enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// How it is searched.
    pub(super) plan: GalleryPlan,
    /// Whom it may have.
    pub(super) consent: ConsentPolicy,
}

impl Terms {
    /// Those of a tenant with these settings, where `plan` is not set for it.
    pub(super) fn of(settings: &TenantSettings, plan: GalleryPlan) -> Self {
        Self { plan: settings.gallery_plan.unwrap_or(plan), consent: settings.enrolment.consent }
    }
}

/// A gallery in memory.
pub(super) struct Follower {
    gallery: Arc<TenantGallery>,
    /// By which it was loaded.
    consent: ConsentPolicy,
    /// The last change that is in it.
    followed_to: Arc<AtomicU64>,
    /// Held by the one who brings it up to date.
    names: Arc<Mutex<Names>>,
}

/// Whether a gallery can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// It has all that was acknowledged before it was asked for.
    UpToDate,
    /// It is to be loaded anew: it may have others than before, or more has changed than is kept.
    Outdated,
}

impl Follower {
    /// For a gallery that was loaded after the change `followed_to`.
    pub(super) fn new(gallery: Arc<TenantGallery>, consent: ConsentPolicy, names: Names, followed_to: u64) -> Self {
        let (followed_to, names) = (Arc::new(followed_to.into()), Arc::new(Mutex::new(names)));
        Self { gallery, consent, followed_to, names }
    }

    pub(super) fn gallery(&self) -> &Arc<TenantGallery> {
        &self.gallery
    }

    /// Bytes of memory, about.
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.gallery.memory_bytes() + self.gallery.people() * NAME_BYTES) as u64
    }

    /// Takes in what has changed until now. Others who ask meanwhile wait for it; where nothing has, it costs next to
    /// nothing. `plan` is for tenants that have set none.
    ///
    /// Errors: `NotFound` `tenant_not_found`, `Forbidden` `tenant_suspended`.
    pub(super) async fn follow(&self, store: &Store, scope: &TenantScope, plan: GalleryPlan) -> Result<Followed> {
        let asked = store.last_change(scope);
        while self.followed_to() < asked {
            let names = Arc::clone(&self.names).lock_owned().await;
            let followed_to = self.followed_to();
            if followed_to >= asked {
                break;
            }
            let changed = store.changed_since(scope, followed_to, self.gallery.needs_consent()).await?;
            let Some((state, upto)) = changed else { return Ok(Followed::Outdated) };
            if state.is_tenant_changed {
                let terms = Terms::of(&store.open_tenant(scope).await?, plan);
                if terms.consent != self.consent {
                    return Ok(Followed::Outdated);
                }
                self.gallery.set_plan(terms.plan);
            }
            self.take_in(names, state, upto).await?;
        }
        Ok(Followed::UpToDate)
    }

    fn followed_to(&self) -> u64 {
        self.followed_to.load(Ordering::Acquire)
    }

    async fn take_in(&self, mut names: OwnedMutexGuard<Names>, state: ChangedState, upto: u64) -> Result<()> {
        if state.is_of_nobody() {
            self.followed_to.store(upto, Ordering::Release);
            return Ok(());
        }
        let (gallery, followed_to) = (Arc::clone(&self.gallery), Arc::clone(&self.followed_to));
        // Goes on to its end even if nobody waits any more.
        let taken_in = spawn_blocking(move || {
            take_in(&gallery, &mut names, state);
            followed_to.store(upto, Ordering::Release);
        });
        taken_in.await.map_err(|lost| Error::internal("a gallery is out of step").with_source(lost))
    }
}

/// What is new of somebody's samples.
#[derive(Default)]
struct Exchange {
    gone: Vec<FaceId>,
    samples: Vec<FaceSample>,
}

/// Makes a gallery what the store is.
fn take_in(gallery: &TenantGallery, names: &mut Names, state: ChangedState) {
    let ChangedState { people, faces, negatives, .. } = state;
    // First who is gone: somebody else may have their id since.
    for (who, _) in people.iter().filter(|(_, person)| person.is_none()) {
        if let Some(person) = names.0.get(who) {
            gallery.remove_person(person);
            names.0.remove(who);
        }
    }
    let mut exchanges: BTreeMap<Pseudonym, Exchange> = BTreeMap::new();
    for ((who, face), sample) in faces {
        let exchange = exchanges.entry(who).or_default();
        match sample {
            Some(sample) => exchange.samples.push(sample),
            None => exchange.gone.push(face),
        }
    }
    for (who, person) in people {
        let Some(ChangedPerson { person, faces }) = person else { continue };
        let was_admitted = gallery.set_consent(&person.id, person.consent.as_ref().map(|consent| consent.expires_at));
        if !was_admitted {
            exchanges.entry(who).or_default().samples = faces;
        }
        names.0.insert(who, person.id);
    }
    for (who, Exchange { gone, samples }) in exchanges {
        if let Some(sample) = samples.first() {
            names.0.insert(who, sample.person.clone());
        }
        let Some(person) = names.0.get(&who) else { continue };
        // A bad sample keeps no other out.
        if gallery.exchange(person, &gone, &samples).is_err() {
            gallery.remove_faces(person, &gone);
            insert(gallery, &samples);
        }
    }
    for ((who, face), negative) in negatives {
        match (negative, names.0.get(&who)) {
            (Some(negative), _) => {
                names.0.insert(who, negative.person.clone());
                gallery.add_negative(negative);
            }
            (None, Some(person)) => gallery.remove_negative(person, face),
            (None, None) => {}
        }
    }
}

/// Adds samples; how many could not be. One by one where it has to be: a bad sample keeps no other out.
pub(super) fn insert(gallery: &TenantGallery, samples: &[FaceSample]) -> usize {
    if gallery.insert(samples).is_ok() {
        return 0;
    }
    samples.iter().filter(|sample| gallery.insert(slice::from_ref(sample)).is_err()).count()
}
