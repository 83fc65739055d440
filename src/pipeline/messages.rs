//! What travels: one struct an arrow, in flow order. A photo is one message with its faces in it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    evidence::Evidence,
    request::{Request, Ticket, Timings},
};
use crate::{
    domain::{Decision, Detection, HeadPose, LivenessVerdict, Mark, PersonId, PhotoId, Turned},
    error::{Error, Result},
    gallery::Effort,
    nn::Embedding,
    runtime::{Permit, Reservation},
    vision::{Photo, decode::PhotoHeader, quality::CropQuality},
};

/// An image as it came in or goes out, with the memory that it holds.
#[derive(Debug)]
pub struct EncodedImage {
    /// The file's bytes.
    pub bytes: Bytes,
    /// The share of the byte budget that they hold.
    pub held: Reservation,
}

/// What comes back for one photo.
pub type PhotoReply = Result<PhotoOutcome, PhotoFailure>;

/// A photo that could not be used, and where that showed.
#[derive(Debug)]
pub struct PhotoFailure {
    /// The stage that gave up.
    pub stage: &'static str,
    /// Why.
    pub error: Error,
}

/// → ingest.
#[derive(Debug)]
pub struct Upload {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo as it came.
    pub image: EncodedImage,
}

/// ingest → decode: the header was read, and the memory for the pixels is held.
#[derive(Debug)]
pub struct Admitted {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo as it came.
    pub image: EncodedImage,
    /// What its first bytes say.
    pub header: PhotoHeader,
    /// Memory for the pixels.
    pub pixels_held: PixelMemory,
    /// The place of one that takes long to decode, for as long as it does.
    pub slow_place: Option<Permit>,
}

/// Memory for the pixels of one photo; its request knows of it.
#[derive(Debug)]
pub struct PixelMemory {
    _held: Reservation,
    request: Arc<Request>,
}

impl PixelMemory {
    /// Ties the memory to the request whose photo it is for.
    pub fn new(held: Reservation, request: &Arc<Request>) -> Self {
        request.holding_pixels.send_modify(|photos| *photos += 1);
        Self { _held: held, request: Arc::clone(request) }
    }
}

impl Drop for PixelMemory {
    fn drop(&mut self) {
        self.request.holding_pixels.send_modify(|photos| *photos -= 1);
    }
}

/// Upright pixels and the memory that they hold.
#[derive(Debug, Clone)]
pub struct HeldPhoto {
    /// The pixels.
    pub photo: Arc<Photo>,
    /// Their share of the byte budget; given back with the last copy.
    _held: Arc<PixelMemory>,
}

impl HeldPhoto {
    /// Ties the pixels to the memory reserved for them.
    pub fn new(photo: Photo, held: PixelMemory) -> Self {
        Self { photo: Arc::new(photo), _held: Arc::new(held) }
    }
}

/// decode → detect.
#[derive(Debug)]
pub struct Decoded {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The upright photo.
    pub photo: HeldPhoto,
}

/// detect → embed.
#[derive(Debug)]
pub struct Detected {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The upright photo.
    pub photo: HeldPhoto,
    /// The chosen faces, best score first.
    pub faces: Vec<Detection>,
}

/// What a face looks like, in numbers.
#[derive(Debug, Clone)]
pub struct Appearance {
    /// The unit vector and the norm it had.
    pub embedding: Embedding,
    /// How good the aligned crop is, where that was wanted.
    pub quality: Option<CropQuality>,
}

/// embed → liveness.
#[derive(Debug)]
pub struct Embedded {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The upright photo.
    pub photo: HeldPhoto,
    /// The chosen faces, best score first.
    pub faces: Vec<Detection>,
    /// What each of them looks like, where that was wanted.
    pub appearances: Vec<Option<Appearance>>,
}

/// What liveness tells of a face.
#[derive(Debug, Clone, Copy, Default)]
pub struct Assessment {
    /// Where it was wanted: the verdict, and the probability behind it if the face was large enough.
    pub liveness: Option<(LivenessVerdict, Option<f32>)>,
    /// Where it was wanted.
    pub pose: Option<HeadPose>,
}

/// What is known of the photo itself once its pixels may have gone.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Width of the upright photo in pixels.
    pub width: u32,
    /// Height of the upright photo in pixels.
    pub height: u32,
    /// The pixels, if they are to be copied.
    pub photo: Option<HeldPhoto>,
}

/// liveness → matching.
#[derive(Debug)]
pub struct Assessed {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo's measures.
    pub frame: Frame,
    /// The chosen faces, best score first.
    pub faces: Vec<Detection>,
    /// What each of them looks like, where that was wanted.
    pub appearances: Vec<Option<Appearance>>,
    /// What else was found of each of them.
    pub assessments: Vec<Assessment>,
}

/// All that is known of a face: what the stages before matching found, side by side until then, and what became of it.
#[derive(Debug, Clone)]
pub struct Face {
    /// Where it is.
    pub detection: Detection,
    /// Its vector and measures, where they were wanted.
    pub appearance: Option<Appearance>,
    /// Where it was wanted: the verdict, and the probability behind it if the face was large enough.
    pub liveness: Option<(LivenessVerdict, Option<f32>)>,
    /// Where it was wanted.
    pub pose: Option<HeadPose>,
    /// Who it is, or why nobody was named, where that was asked.
    pub decision: Option<Decision>,
    /// Whether the liveness policy alone keeps an attributed face from being marked.
    pub refused_as_not_live: bool,
    /// What became of it.
    pub mark: Mark,
}

impl Face {
    /// The faces that matching begins with.
    ///
    /// # Errors
    /// `Internal` where the lists are not of one length: one that slipped would name somebody else.
    pub fn side_by_side(
        faces: Vec<Detection>,
        appearances: Vec<Option<Appearance>>,
        assessments: Vec<Assessment>,
    ) -> Result<Vec<Self>> {
        if appearances.len() != faces.len() || assessments.len() != faces.len() {
            return Err(Error::internal("a photo's faces came back as another number"));
        }
        let found = faces.into_iter().zip(appearances).zip(assessments);
        let face = |((detection, appearance), Assessment { liveness, pose })| Self {
            detection,
            appearance,
            liveness,
            pose,
            decision: None,
            refused_as_not_live: false,
            mark: Mark::NotMarked,
        };
        Ok(found.map(face).collect())
    }

    /// The person who was named.
    pub fn person(&self) -> Option<&PersonId> {
        self.decision.as_ref()?.verdict.as_ref().ok()
    }

    /// Everybody of whom its decision speaks.
    pub fn people(&self) -> impl Iterator<Item = &PersonId> {
        self.decision.iter().flat_map(Decision::people)
    }

    /// Forgets those of whom `is_gone` holds.
    fn forget(&mut self, is_gone: impl Fn(&PersonId) -> bool) {
        let attributed = self.decision.as_ref().and_then(Decision::attribution);
        if attributed.is_some_and(|attribution| is_gone(attribution.person)) {
            (self.mark, self.refused_as_not_live) = (Mark::NotMarked, false);
        }
        self.decision = self.decision.take().map(|decision| decision.without(is_gone));
    }
}

/// matching → attendance.
#[derive(Debug)]
pub struct Matched {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo's measures.
    pub frame: Frame,
    /// The faces in the order of detection.
    pub faces: Vec<Face>,
    /// What is to be marked, where marks are asked.
    pub evidence: Evidence,
    /// What the search for their people took, where that was asked.
    pub searched: Option<Effort>,
}

/// What the face at a `place` of its photo is called, in the answer as in the annotated copy.
pub const fn number(place: usize) -> usize {
    place + 1
}

/// attendance → the caller: all that is known of a photo.
#[derive(Debug)]
pub struct PhotoOutcome {
    /// Which photo it is, where its people were to be marked.
    pub photo: Option<PhotoId>,
    /// Width of the upright photo in pixels.
    pub width: u32,
    /// Height of the upright photo in pixels.
    pub height: u32,
    /// The annotated copy, a JPEG, if it was wanted. It holds what it takes as base64.
    pub annotated: Option<EncodedImage>,
    /// The copy to be kept, a JPEG, if it was wanted.
    pub copy: Option<Vec<u8>>,
    /// The faces in the order of detection.
    pub faces: Vec<Face>,
    /// What the search for their people took, where that was asked.
    pub searched: Option<Effort>,
    /// Where its time went.
    pub timings: Timings,
}

impl PhotoOutcome {
    /// How the photo has to be turned for its faces to stand upright.
    pub fn turned(&self) -> Turned {
        self.faces.first().map(|face| face.detection.turned).unwrap_or_default()
    }

    /// Forgets those of whom `is_gone` holds, who were there when the photo was looked at: neither the faces speak of them,
    /// nor is there an annotated copy any more that names one.
    pub fn forget(&mut self, is_gone: impl Fn(&PersonId) -> bool) {
        if self.faces.iter().filter_map(Face::person).any(&is_gone) {
            self.annotated = None;
        }
        self.faces.iter_mut().for_each(|face| face.forget(&is_gone));
    }
}

/// A photo between two stages.
pub trait InTransit: Send + 'static {
    /// Its ticket.
    fn ticket(&self) -> &Ticket;

    /// What is left of it when it cannot go on.
    fn into_ticket(self) -> Ticket;
}

macro_rules! in_transit {
    ($($message:ty),*) => {
        $(impl InTransit for $message {
            fn ticket(&self) -> &Ticket {
                &self.ticket
            }

            fn into_ticket(self) -> Ticket {
                self.ticket
            }
        })*
    };
}

in_transit!(Admitted, Decoded, Detected, Embedded, Assessed, Matched);

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    /// The text of all sources under `folder`, without blanks: a chain may be broken over lines.
    fn sources(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let text = |path: PathBuf| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => fs::read_to_string(&path).unwrap().split_whitespace().collect(),
            _ => String::new(),
        };
        entries.map(text).collect()
    }

    #[test]
    fn nobody_reaches_through_a_face_for_another() {
        let chain = ".face".repeat(2);
        let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        assert!(sources.contains("structFace") && !sources.contains(&chain));
    }
}
