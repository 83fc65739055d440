//! decode: bytes to upright RGB8.

use super::{
    messages::{Admitted, Decoded, HeldPhoto},
    station::Station,
    tools::Tools,
};
use crate::{
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
        let Admitted { mut ticket, image, header, pixels_held } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let limits = self.tools.options.decode_limits;
        // The encoded bytes, and the memory they hold, go with the task: nobody needs them afterwards.
        let decoded = self.tools.work(&mut ticket, HERE, move || {
            let photo = decode(&image.bytes, &header, &limits)?;
            Ok(HeldPhoto::new(photo, pixels_held))
        });
        match decoded.await {
            Ok(photo) => {
                self.tools.pass_on(&self.next, Decoded { ticket, photo }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}
