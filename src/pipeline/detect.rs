//! detect: pixels to boxes, landmarks and scores, and the choice among them.

mod faces;
mod turns;

use std::cmp::Ordering;

pub use self::faces::detect_faces;
use super::{
    messages::{Decoded, Detected, HeldPhoto},
    request::{FaceChoice, Ticket},
    station::Station,
    tools::Tools,
};
use crate::{
    domain::{Detection, Turned},
    error::{Error, ErrorKind, Result},
    runtime::{Stage, StageContext, StageSender},
};

const HERE: Station = Station::Detect;

/// A face is clearly the largest if every other one has at most this share of its area.
const CLEARLY_LARGEST: f32 = 0.5;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Detect {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Detected>,
}

impl Stage for Detect {
    type Message = Decoded;

    fn handle(&self, message: Decoded, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.detect(message, &context).await }
    }
}

impl Detect {
    async fn detect(&self, message: Decoded, context: &StageContext) {
        let Decoded { mut ticket, photo } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let found = self.faces(&mut ticket, &photo).await.and_then(|mut faces| {
            faces.truncate(self.tools.options.max_faces);
            choose(faces, ticket.wanted().faces)
        });
        match found {
            Ok(faces) => {
                self.tools.pass_on(&self.next, Detected { ticket, photo, faces }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }

    /// The faces of the photo as it came, or as it stands upright. Each look at full size is a task of its own.
    async fn faces(&self, ticket: &mut Ticket, photo: &HeldPhoto) -> Result<Vec<Detection>> {
        let mut faces = self.look(ticket, photo, Turned::No).await?;
        if !ticket.wanted().turned || turns::stands(&faces) {
            return Ok(faces);
        }
        for turned in self.promising(ticket, photo).await? {
            let others = self.look(ticket, photo, turned).await?;
            if turns::stands_better(&others, &faces, self.tools.options.min_score) {
                faces = others;
            }
        }
        Ok(faces)
    }

    async fn look(&self, ticket: &mut Ticket, photo: &HeldPhoto, turned: Turned) -> Result<Vec<Detection>> {
        let (photo, networks, options) = (photo.clone(), self.tools.networks.get(), self.tools.options.clone());
        self.tools.work(ticket, HERE, move || detect_faces(&photo.photo, turned, &networks, &options)).await
    }

    async fn promising(&self, ticket: &mut Ticket, photo: &HeldPhoto) -> Result<Vec<Turned>> {
        let (photo, networks, options) = (photo.clone(), self.tools.networks.get(), self.tools.options.clone());
        self.tools.work(ticket, HERE, move || turns::promising(&photo.photo, &networks, &options)).await
    }
}

/// The faces that are meant by `choice`.
///
/// # Errors
/// `Unprocessable` with the code `no_face` or `several_faces` when exactly one is wanted and it cannot be told.
pub fn choose(faces: Vec<Detection>, choice: FaceChoice) -> Result<Vec<Detection>> {
    if choice == FaceChoice::All {
        return Ok(faces);
    }
    let by_area = |a: &&Detection, b: &&Detection| a.bbox.area().partial_cmp(&b.bbox.area()).unwrap_or(Ordering::Equal);
    let Some(&largest) = faces.iter().max_by(by_area) else {
        return Err(Error::new(ErrorKind::Unprocessable, "no face was found in this image").with_code("no_face"));
    };
    let rivals = faces.iter().filter(|face| face.bbox.area() > largest.bbox.area() * CLEARLY_LARGEST).count() - 1;
    match choice {
        FaceChoice::One if faces.len() > 1 => Err(several(faces.len())),
        FaceChoice::Clear if rivals > 0 => Err(several(faces.len())),
        _ => Ok(vec![largest]),
    }
}

fn several(faces: usize) -> Error {
    Error::new(ErrorKind::Unprocessable, format!("{faces} faces were found, and it is not clear which one is meant"))
        .with_code("several_faces")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FaceBox;

    fn face(width: f32) -> Detection {
        let bbox = FaceBox { x1: 0.0, y1: 0.0, x2: width, y2: width };
        Detection { score: 0.9, bbox, landmarks: [[0.0; 2]; 5], turned: Turned::No }
    }

    #[test]
    fn the_choice_of_faces() {
        use FaceChoice::{All, Clear, Largest, One};
        let code = |faces: &[f32], choice| {
            choose(faces.iter().copied().map(face).collect(), choice).map(|kept| kept.len()).map_err(|e| e.code())
        };
        assert_eq!(code(&[], All), Ok(0));
        for choice in [Clear, One, Largest] {
            assert_eq!(code(&[], choice), Err("no_face"));
            assert_eq!(code(&[100.0], choice), Ok(1));
        }
        assert_eq!(code(&[100.0, 40.0], Clear), Ok(1));
        assert_eq!(code(&[100.0, 90.0], Clear), Err("several_faces"));
        assert_eq!(code(&[100.0, 40.0], One), Err("several_faces"));
        assert_eq!(code(&[100.0, 90.0], Largest), Ok(1));
        assert_eq!(code(&[100.0, 90.0], All), Ok(2));
    }
}
