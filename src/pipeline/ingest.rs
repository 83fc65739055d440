//! ingest: reads the header before anything is decoded, and takes memory for the pixels from the byte budget.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use super::{
    messages::{Admitted, PixelMemory, Upload},
    request::Ticket,
    station::Station,
    tools::Tools,
};
use crate::{
    error::{Error, ErrorKind, Result},
    runtime::{Exhausted, Permit, Reservation, Stage, StageContext, StageSender, Turnstile},
    vision::decode::{PhotoHeader, read_header},
};

const HERE: Station = Station::Ingest;
/// Photos of a tenant that wait for a slow place: half of this stage's, so that others get through.
const MAX_WAITING: usize = 32;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Ingest {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Admitted>,
    /// For photos that take long to decode.
    pub(super) slow_places: Arc<Turnstile>,
}

/// How many photos that take long to decode may be decoded at once: half the threads are left to the others.
pub(super) fn num_slow_places(threads: NonZeroUsize) -> usize {
    threads.get().div_ceil(2)
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
            // First: whoever waits for a place holds no memory.
            let slow_place = self.slow_place(&mut ticket, &header).await?;
            let pixels_held = PixelMemory::new(self.reserve(&mut ticket, &header).await?, ticket.request());
            Ok((header, pixels_held, slow_place))
        };
        match admitted.await {
            Ok((header, pixels_held, slow_place)) => {
                self.tools.pass_on(&self.next, Admitted { ticket, image, header, pixels_held, slow_place }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

impl Ingest {
    /// Its place where a photo takes long to decode, so that such photos never hold all threads.
    async fn slow_place(&self, ticket: &mut Ticket, header: &PhotoHeader) -> Result<Option<Permit>> {
        if !header.format.is_slow() {
            return Ok(None);
        }
        let request = Arc::clone(ticket.request());
        tokio::select! {
            biased;
            place = self.slow_places.enter(request.turn(), MAX_WAITING) => place.map(Some).map_err(|_| {
                let message = "too many photos of your tenant that take long to read wait here: try again shortly, or send JPEG";
                Error::new(ErrorKind::Overloaded, message)
            }),
            () = ticket.unwanted() => Err(Error::new(ErrorKind::Cancelled, "the caller has gone")),
        }
    }

    /// Memory for the pixels. Waits as long as photos of the same request hold some, so that a request never rejects
    /// itself, and a while for others to give theirs back; then the door is full.
    async fn reserve(&self, ticket: &mut Ticket, header: &PhotoHeader) -> Result<Reservation> {
        let request = Arc::clone(ticket.request());
        let bytes = header.decoded_bytes() as u64;
        let waiting = self.tools.budget.reserve_within(request.turn(), bytes, Duration::MAX);
        tokio::select! {
            biased;
            reserved = waiting => reserved.map_err(|exhausted| match exhausted {
                Exhausted::TooLarge => too_large(header, bytes),
                exhausted => full(exhausted),
            }),
            () = ticket.unwanted() => Err(Error::new(ErrorKind::Cancelled, "the caller has gone")),
            () = request.starved(self.tools.options.admission_wait) => {
                Err(full(self.tools.budget.refusal(request.turn(), bytes)))
            }
        }
    }
}

/// The error for a photo that never fits.
fn too_large(header: &PhotoHeader, bytes: u64) -> Error {
    let PhotoHeader { width, height, .. } = header;
    let message = format!(
        "reading this photo of {width}×{height} pixels takes {} MB, more than your share of the server's memory: send it \
         as a baseline JPEG, or smaller",
        bytes.div_ceil(1_000_000)
    );
    Error::new(ErrorKind::TooLarge, message)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_that_take_long_leave_half_the_threads_to_the_others() {
        for (threads, places) in [(1, 1), (2, 1), (3, 2), (8, 4)] {
            assert_eq!(num_slow_places(NonZeroUsize::new(threads).unwrap()), places, "{threads} threads");
        }
    }
}
