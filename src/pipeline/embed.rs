//! embed: aligns each face from the original photo and turns it into a unit vector.

use std::num::NonZeroUsize;

use super::{
    messages::{Appearance, Detected, Embedded},
    networks::tensor,
    station::Station,
    tools::Tools,
};
use crate::{
    domain::Detection,
    error::Result,
    nn::{Embedding, Networks},
    runtime::{Stage, StageContext, StageSender},
    vision::{
        Photo,
        align::{ALIGNED_INPUT, ALIGNED_SIDE, align_into, align_rgb8},
        quality::crop_quality,
    },
};

const HERE: Station = Station::Embed;

/// Faces in one task: about 10 ms of work, so that a crowded photo is spread over all threads and nobody waits long
/// behind it. A batch of 16 is no faster a face than one.
pub(super) const FACES_A_TASK: NonZeroUsize = NonZeroUsize::new(4).unwrap(); // Evaluated by the compiler.

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Embed {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Embedded>,
}

impl Stage for Embed {
    type Message = Detected;

    fn handle(&self, message: Detected, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.embed(message, &context).await }
    }
}

impl Embed {
    async fn embed(&self, message: Detected, context: &StageContext) {
        let Detected { mut ticket, photo, faces } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let embedded = if ticket.wanted().embed {
            let (networks, photo, measure) = (self.tools.networks.get(), photo.clone(), ticket.wanted().measure);
            let embed = move |faces: Vec<Detection>| embed_faces(&photo.photo, &faces, &networks, measure);
            let appearances = self.tools.scatter(&mut ticket, HERE, faces.clone(), embed).await;
            appearances.map(|appearances| appearances.into_iter().map(Some).collect())
        } else {
            Ok(vec![None; faces.len()])
        };
        match embedded {
            Ok(appearances) => {
                self.tools.pass_on(&self.next, Embedded { ticket, photo, faces, appearances }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

/// Vectors of `faces`, in their order, and on wish how good their crops are.
pub fn embed_faces(photo: &Photo, faces: &[Detection], networks: &Networks, measure: bool) -> Result<Vec<Appearance>> {
    let mut input = vec![0.0; faces.len() * ALIGNED_INPUT];
    for (face, slot) in faces.iter().zip(input.chunks_exact_mut(ALIGNED_INPUT)) {
        align_into(photo, &face.landmarks, slot)?;
    }
    let shape = (faces.len(), ALIGNED_SIDE, ALIGNED_SIDE, Photo::CHANNELS);
    let embeddings = networks.embedder.embed(&tensor(input, shape)?)?;
    let appear = |(detection, embedding): (&Detection, Embedding)| {
        let quality = measure
            .then(|| align_rgb8(photo, &detection.landmarks).and_then(|crop| crop_quality(&crop)))
            .transpose()?;
        Ok(Appearance { embedding, quality })
    };
    faces.iter().zip(embeddings).map(appear).collect()
}
