//! matching: searches the tenant's gallery and names the faces of the photo.

use std::sync::Arc;

use super::{
    messages::{Assessed, AssessedFace, Matched, MatchedFace},
    request::{Search, Ticket},
    station::Station,
    tools::{Tools, job, while_wanted},
};
use crate::{
    domain::{
        Candidate, NamingRules, TenantScope,
        matching::{Sighting, candidates_wanted, name_faces},
    },
    error::Result,
    gallery::{Effort, SearchResult, SharedRequest, TenantGallery},
    runtime::{Stage, StageContext, StageSender},
};

const HERE: Station = Station::Matching;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Matching {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Matched>,
}

impl Stage for Matching {
    type Message = Assessed;

    fn handle(&self, message: Assessed, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.search(message, &context).await }
    }
}

impl Matching {
    async fn search(&self, message: Assessed, context: &StageContext) {
        let Assessed { mut ticket, frame, faces } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let request = Arc::clone(ticket.request());
        let wanted = request.wanted();
        let matched = match &wanted.search {
            Some(search) => match self.gallery(&wanted.scope).await {
                Ok(gallery) => self.named(&mut ticket, &gallery, search, faces).await,
                Err(error) => Err(error),
            },
            None => Ok((faces.into_iter().map(|face| MatchedFace { face, decision: None }).collect(), None)),
        };
        match matched {
            Ok((faces, searched)) => {
                self.tools.pass_on(&self.next, Matched { ticket, frame, faces, searched }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

impl Matching {
    async fn gallery(&self, scope: &TenantScope) -> Result<Arc<TenantGallery>> {
        self.tools.galleries.tenant(scope).await
    }

    /// One search for all faces of the photo, then the rules.
    async fn named(
        &self,
        ticket: &mut Ticket,
        gallery: &Arc<TenantGallery>,
        search: &Search,
        faces: Vec<AssessedFace>,
    ) -> Result<(Vec<MatchedFace>, Option<Effort>)> {
        let vectors: Vec<&[f32]> = faces
            .iter()
            .filter_map(|face| face.face.appearance.as_ref().map(|appearance| appearance.embedding.vector.as_slice()))
            .collect();
        let queries: Arc<[f32]> = vectors.concat().into();
        let request = SharedRequest {
            queries: Arc::clone(&queries),
            // Enough for the rules, and one for each person whom a face may be known not to be.
            top: candidates_wanted(faces.len()) + gallery.may_be_disowned(),
            roster: search.roster.clone(),
        };
        let run = gallery.search_on(&self.tools.pool, job(ticket, HERE), request);
        let SearchResult { mut per_query, effort } = while_wanted(ticket, HERE.name(), run).await??;
        let (rules, gallery) = (search.rules, Arc::clone(gallery));
        let name = move || {
            for (face, candidates) in queries.chunks(gallery.dimension()).zip(&mut per_query) {
                gallery.disown(face, candidates);
            }
            Ok(name(&rules, &gallery, per_query, faces))
        };
        Ok((self.tools.work(ticket, HERE, name).await?, search.explain.then_some(effort)))
    }
}

fn name(
    rules: &NamingRules,
    gallery: &TenantGallery,
    found: Vec<Vec<Candidate>>,
    faces: Vec<AssessedFace>,
) -> Vec<MatchedFace> {
    let sightings: Vec<Sighting> = faces
        .iter()
        .zip(found)
        .map(|(face, candidates)| Sighting {
            width_px: face.face.detection.width_px(),
            score: face.face.detection.score,
            candidates,
        })
        .collect();
    let decisions = name_faces(&sightings, rules, |one, other| gallery.likeness(one, other));
    faces.into_iter().zip(decisions).map(|(face, decision)| MatchedFace { face, decision: Some(decision) }).collect()
}
