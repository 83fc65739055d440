//! matching: searches the tenant's gallery, names the faces of the photo and puts together what it is evidence of.

use std::sync::Arc;

use super::{
    evidence::{Evidence, Taken},
    messages::{Assessed, Face, Frame, Matched},
    request::{Search, Ticket},
    station::Station,
    tools::{Tools, job, while_wanted},
};
use crate::{
    domain::{
        Candidate, NamingRules,
        recognition::{
            liveness::{LivenessPolicy, liveness_allows},
            matching::{Sighting, candidates_wanted, name_faces},
        },
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
        let Assessed { mut ticket, frame, faces, appearances, assessments } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let request = Arc::clone(ticket.request());
        let matched = match (Face::side_by_side(faces, appearances, assessments), &request.wanted().search) {
            (Err(error), _) => Err(error),
            (Ok(faces), Some(search)) => self.named(&mut ticket, search, &frame, faces).await,
            (Ok(faces), None) => Ok(Named { faces, evidence: Evidence::default(), searched: None }),
        };
        match matched {
            Ok(Named { faces, evidence, searched }) => {
                self.tools.pass_on(&self.next, Matched { ticket, frame, faces, evidence, searched }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

/// What a search comes to.
struct Named {
    faces: Vec<Face>,
    evidence: Evidence,
    searched: Option<Effort>,
}

impl Matching {
    /// One search for all faces of the photo, then the rules and the evidence, all in one task.
    async fn named(&self, ticket: &mut Ticket, search: &Search, frame: &Frame, mut faces: Vec<Face>) -> Result<Named> {
        let wanted = ticket.wanted();
        let taken = wanted.mark.as_ref().map(|marking| Taken::new(ticket, marking, frame, &self.tools)).transpose()?;
        let gallery = self.tools.galleries.tenant(&wanted.scope).await?;
        let vectors: Vec<&[f32]> = faces
            .iter()
            .filter_map(|face| face.appearance.as_ref().map(|appearance| appearance.embedding.vector.as_slice()))
            .collect();
        let queries: Arc<[f32]> = vectors.concat().into();
        let request = SharedRequest {
            queries: Arc::clone(&queries),
            // Enough for the rules, and one for each person whom a face may be known not to be.
            top: candidates_wanted(faces.len()) + gallery.may_be_disowned(),
            roster: search.roster.clone(),
        };
        let (rules, explain, policy) = (search.rules, search.explain, wanted.liveness);
        let (known, faults) = (Arc::clone(&gallery), self.tools.faults.clone());
        let conclude = move |SearchResult { mut per_query, effort }| {
            faults.hit(HERE.work_fault());
            for (face, candidates) in queries.chunks(known.dimension()).zip(&mut per_query) {
                known.disown(face, candidates);
            }
            name(&rules, &known, per_query, &mut faces);
            for face in &mut faces {
                face.refused_as_not_live = is_refused(face, policy);
            }
            faults.hit(Station::Attendance.work_fault());
            let evidence = taken.map(|taken| taken.evidence(&faces)).unwrap_or_default();
            Named { faces, evidence, searched: explain.then_some(effort) }
        };
        let run = gallery.search_on(&self.tools.pool, job(ticket, HERE), request, conclude);
        while_wanted(ticket, HERE.name(), run).await?
    }
}

/// The decision on each face by what was found for it.
fn name(rules: &NamingRules, gallery: &TenantGallery, found: Vec<Vec<Candidate>>, faces: &mut [Face]) {
    let sightings: Vec<Sighting> = faces
        .iter()
        .zip(found)
        .map(|(face, candidates)| Sighting {
            width_px: face.detection.width_px(),
            score: face.detection.score,
            candidates,
        })
        .collect();
    let decisions = name_faces(&sightings, rules, |one, other| gallery.likeness(one, other));
    for (face, decision) in faces.iter_mut().zip(decisions) {
        face.decision = Some(decision);
    }
}

/// See [`Face::refused_as_not_live`], which shows even where no marks are asked.
fn is_refused(face: &Face, policy: LivenessPolicy) -> bool {
    let is_attributed = face.decision.as_ref().is_some_and(|decision| decision.attribution().is_some());
    is_attributed && !liveness_allows(policy, face.liveness.map(|(verdict, _)| verdict))
}
