//! Whether a photo lies on its side or upside down.
//!
//! The detector finds no faces on their side, or few, and upside down it takes the mouth for the eyes; so where the eyes
//! are says little, and the score says much: see the constants.

use super::faces::small_look;
use crate::{
    domain::{Detection, Turned},
    error::Result,
    nn::Networks,
    pipeline::PipelineOptions,
    vision::Photo,
};

/// An upright face that scores this stands upright. The best of a photo's faces do, but in blurred crowds; of 170
/// portraits and crowds turned each way, sharp, shrunk, dark and blurred, none reached more than 0.914.
const CLEARLY_UPRIGHT: f32 = 0.92;

/// What the best face must score for a photo to count as turned: fewer invented faces than in a photo as it came.
const SOUND: f32 = 0.8;

/// Whether a photo with these faces need not be looked at from its other sides.
pub(super) fn stands(faces: &[Detection]) -> bool {
    best(faces) >= CLEARLY_UPRIGHT
}

/// The turns after which a photo deserves a look at full size: those that show more at a small one than the photo does as
/// it came, or all where no small one shows anything.
pub(super) fn promising(photo: &Photo, networks: &Networks, options: &PipelineOptions) -> Result<Vec<Turned>> {
    let shown =
        |turned| -> Result<f32> { Ok(evidence(&small_look(photo, turned, networks, options)?, options.min_score)) };
    let as_it_came = shown(Turned::No)?;
    let mut promising = Vec::new();
    for turned in Turned::TURNS {
        if shown(turned)? > as_it_came {
            promising.push(turned);
        }
    }
    if promising.is_empty() && as_it_came <= 0.0 {
        promising.extend(Turned::TURNS);
    }
    Ok(promising)
}

/// Whether a turned photo's faces show that it stands upright so, and not as it stood when `others` were found.
pub(super) fn stands_better(faces: &[Detection], others: &[Detection], min_score: f32) -> bool {
    best(faces) >= SOUND && evidence(faces, min_score) > evidence(others, min_score)
}

fn upright(faces: &[Detection]) -> impl Iterator<Item = f32> {
    faces.iter().filter(|face| face.is_upright()).map(|face| face.score)
}

/// The best score of an upright face; 0 if there is none.
fn best(faces: &[Detection]) -> f32 {
    upright(faces).fold(0.0, f32::max)
}

/// How many upright faces there are, each as far as it scores more than the least.
fn evidence(faces: &[Detection], min_score: f32) -> f32 {
    upright(faces).map(|score| score - min_score).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FaceBox;

    /// A face that stands upright, or whose eyes are below its mouth.
    fn face(score: f32, is_upright: bool) -> Detection {
        let (eyes, mouth) = if is_upright { (1.0, 3.0) } else { (3.0, 1.0) };
        let landmarks = [[1.0, eyes], [3.0, eyes], [2.0, 2.0], [1.0, mouth], [3.0, mouth]];
        let bbox = FaceBox { x1: 0.0, y1: 0.0, x2: 4.0, y2: 4.0 };
        Detection { score, bbox, landmarks, turned: Turned::No }
    }

    #[test]
    fn one_clear_upright_face_is_enough() {
        assert!(stands(&[face(0.7, true), face(0.93, true)]));
        assert!(!stands(&[face(0.91, true), face(0.95, false)]));
        assert!(!stands(&[]));
    }

    #[test]
    fn number_and_score_of_upright_faces_decide() {
        let better = |faces: &[Detection], others: &[Detection]| stands_better(faces, others, 0.6);
        assert!(better(&[face(0.9, true)], &[]));
        assert!(!better(&[face(0.78, true)], &[]), "no sound face");
        assert!(better(&[face(0.9, true)], &[face(0.85, true), face(0.95, false)]));
        assert!(!better(&[face(0.9, true)], &[face(0.8, true), face(0.8, true)]));
        assert!(better(&[face(0.85, true); 20], &[face(0.9, true)]), "one false face among a class on its side");
    }
}
