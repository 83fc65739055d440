//! ingest: reads the header before anything is decoded, and takes memory for the pixels from the byte budget.

use std::{sync::Arc, time::Duration};

use super::{
    messages::{Admitted, PixelMemory, Upload},
    request::Ticket,
    station::Station,
    tools::Tools,
};
use crate::{
    error::{Error, ErrorKind, Result},
    runtime::{Exhausted, Reservation, Stage, StageContext, StageSender},
    vision::decode::{PhotoHeader, read_header},
};

const HERE: Station = Station::Ingest;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Ingest {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Admitted>,
}

impl Stage for Ingest {
    type Message = Upload;

    fn handle(&self, message: Upload, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.admit(message, &context).await }
    }
}

impl Ingest {
    async fn admit(&self, message: Upload, context: &StageContext) {
        let Upload { mut ticket, image } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let bytes = image.bytes.clone();
        let admitted = async {
            let limits = self.tools.options.decode_limits;
            let header = self.tools.work(&mut ticket, HERE, move || read_header(&bytes, &limits)).await?;
            let pixels_held = PixelMemory::new(self.reserve(&mut ticket, &header).await?, ticket.request());
            Ok((header, pixels_held))
        };
        match admitted.await {
            Ok((header, pixels_held)) => {
                self.tools.pass_on(&self.next, Admitted { ticket, image, header, pixels_held }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

impl Ingest {
    /// Memory for the pixels. Waits as long as photos of the same request hold some, so that a request never rejects
    /// itself, and a while for others to give theirs back; then the door is full.
    async fn reserve(&self, ticket: &mut Ticket, header: &PhotoHeader) -> Result<Reservation> {
        let request = Arc::clone(ticket.request());
        let bytes = header.decoded_bytes() as u64;
        let waiting = self.tools.budget.reserve_within(request.turn(), bytes, Duration::MAX);
        tokio::select! {
            biased;
            reserved = waiting => reserved.map_err(full),
            () = ticket.unwanted() => Err(Error::new(ErrorKind::Cancelled, "the caller has gone")),
            () = request.starved(self.tools.options.admission_wait) => {
                Err(full(self.tools.budget.refusal(request.turn(), bytes)))
            }
        }
    }
}

/// The error for a budget that has no room.
pub(crate) fn full(exhausted: Exhausted) -> Error {
    let message = match exhausted {
        Exhausted::Total => "the server's memory is in use; try again shortly",
        Exhausted::Share => "your tenant's share of the server's memory is in use; try again shortly",
        Exhausted::OwnShare => {
            "your share of the server's memory is in use: wait for your other requests, or try again shortly"
        }
        Exhausted::TooLarge => {
            return Error::new(ErrorKind::TooLarge, "this is larger than your share of the server's memory");
        }
    };
    Error::new(ErrorKind::Overloaded, message)
}
