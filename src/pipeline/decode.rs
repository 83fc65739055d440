//! decode: bytes to upright RGB8.

use super::{
    messages::{Admitted, Decoded, HeldPhoto},
    station::Station,
    tools::Tools,
};
use crate::{
    domain::PhotoId,
    runtime::{Stage, StageContext, StageSender},
    vision::decode::decode,
};

const HERE: Station = Station::Decode;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Decode {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Decoded>,
}

impl Stage for Decode {
    type Message = Admitted;

    fn handle(&self, message: Admitted, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.decode(message, &context).await }
    }
}

impl Decode {
    async fn decode(&self, message: Admitted, context: &StageContext) {
        let Admitted { mut ticket, image, header, pixels_held, slow_place } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let limits = self.tools.options.decode_limits;
        let session = ticket.wanted().mark.as_ref().map(|marking| marking.session.id);
        // The encoded bytes, and the memory they hold, go with the task: nobody needs them afterwards.
        let decoded = self.tools.work(&mut ticket, HERE, move || {
            let _slow_place = slow_place;
            let photo = decode(&image.bytes, &header, &limits)?;
            let id = session.map(|session| PhotoId::of(session, &image.bytes));
            Ok((HeldPhoto::new(photo, pixels_held), id))
        });
        match decoded.await {
            Ok((photo, id)) => {
                ticket.photo = id;
                self.tools.pass_on(&self.next, Decoded { ticket, photo }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}
