//! liveness: the passive check and the head pose, when they are wanted. After it the pixels are given back.

use super::{
    messages::{Assessed, Assessment, Embedded, Frame},
    networks::tensor,
    station::Station,
    tools::{PipelineOptions, Tools},
};
use crate::{
    domain::{Detection, HeadPose, LivenessVerdict, recognition::liveness::LivenessPolicy},
    error::Result,
    nn::Networks,
    runtime::{Stage, StageContext, StageSender},
    vision::{
        Photo,
        crops::{
            HEAD_POSE_INPUT, HEAD_POSE_SIDE, LIVENESS_INPUT, LIVENESS_SIDE, head_pose_crop_into, liveness_crop_into,
        },
    },
};

const HERE: Station = Station::Liveness;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Liveness {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Assessed>,
}

impl Stage for Liveness {
    type Message = Embedded;

    fn handle(&self, message: Embedded, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.assess(message, &context).await }
    }
}

impl Liveness {
    async fn assess(&self, message: Embedded, context: &StageContext) {
        let Embedded { mut ticket, photo, faces, appearances } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let (liveness, pose) = (ticket.wanted().liveness != LivenessPolicy::Off, ticket.wanted().pose);
        let assessed = if liveness || pose {
            let (networks, options, photo) = (self.tools.networks.get(), self.tools.options.clone(), photo.clone());
            let assess = move |faces: Vec<Detection>| {
                let check = |face: &Detection| {
                    Ok(Assessment {
                        liveness: liveness.then(|| judge(&photo.photo, face, &networks, &options)).transpose()?,
                        pose: pose.then(|| head_pose(&photo.photo, face, &networks)).transpose()?,
                    })
                };
                faces.iter().map(check).collect::<Result<_>>()
            };
            self.tools.scatter(&mut ticket, HERE, faces.clone(), assess).await
        } else {
            Ok(vec![Assessment::default(); faces.len()])
        };
        match assessed {
            Ok(assessments) => {
                let (width, height) = (photo.photo.width(), photo.photo.height());
                let is_copied = ticket.wanted().annotate || ticket.wanted().copy.is_some();
                let frame = Frame { width, height, photo: is_copied.then_some(photo) };
                let assessed = Assessed { ticket, frame, faces, appearances, assessments };
                self.tools.pass_on(&self.next, assessed).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

/// The verdict on one face, and the probability behind it if the face is large enough to tell.
fn judge(
    photo: &Photo,
    face: &Detection,
    networks: &Networks,
    options: &PipelineOptions,
) -> Result<(LivenessVerdict, Option<f32>)> {
    if face.width_px() < options.min_live_width_px {
        return Ok((LivenessVerdict::NotAssessable, None));
    }
    let live = live_probability(photo, face, networks)?;
    let verdict = if live >= options.min_live { LivenessVerdict::Live } else { LivenessVerdict::Spoof };
    Ok((verdict, Some(live)))
}

/// The network's probability that a live face stands before the camera, whatever the face's size.
pub fn live_probability(photo: &Photo, face: &Detection, networks: &Networks) -> Result<f32> {
    let mut input = vec![0.0; LIVENESS_INPUT];
    liveness_crop_into(photo, &face.bbox, face.turned, &mut input)?;
    let input = tensor(input, (1, LIVENESS_SIDE, LIVENESS_SIDE, Photo::CHANNELS))?;
    Ok(networks.liveness.forward(&input)?[0][0])
}

/// Where the head is turned.
pub fn head_pose(photo: &Photo, face: &Detection, networks: &Networks) -> Result<HeadPose> {
    let mut input = vec![0.0; HEAD_POSE_INPUT];
    head_pose_crop_into(photo, &face.bbox, face.turned, &mut input)?;
    let input = tensor(input, (1, HEAD_POSE_SIDE, HEAD_POSE_SIDE, Photo::CHANNELS))?;
    Ok(networks.head_pose.forward(&input)?[0])
}
