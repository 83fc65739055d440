//! Bytes that come in pieces and are kept in one, in memory that is taken as they come.
//!
//! How many come is known too late or announced by who need not send them, and room for all of them would be memory at
//! once: the allocator hands out pages that others have written to. So what is not short gets pages of its own from the
//! system, of which those are memory that are written to. Room that grows would be copied, and there twice meanwhile.

use std::pin::pin;

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use memmap2::MmapMut;

use super::{ended_early, meter::Meter};
use crate::{
    error::{Error, ErrorKind, Result},
    runtime::Reservation,
};

/// What has come so far, and its memory.
pub(super) struct Gathering {
    meter: Meter,
    held: Reservation,
    room: Room,
}

enum Room {
    /// No more than [`SHORT_BYTES`].
    Short(Vec<u8>),
    Long(Pages),
}

impl Room {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(pages) => pages.as_ref(),
        }
    }
}

/// As many as are held ahead of what comes.
const SHORT_BYTES: usize = 64 << 10;

/// Pages of which the first bytes are written to.
struct Pages {
    map: MmapMut,
    len: usize,
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

impl Pages {
    /// Errors: `Overloaded` where the system has no room for so many bytes.
    fn new(most_bytes: usize) -> Result<Self> {
        let full = |error| Error::new(ErrorKind::Overloaded, "no memory is free at the moment").with_source(error);
        Ok(Self { map: MmapMut::map_anon(most_bytes).map_err(full)?, len: 0 })
    }

    fn extend_from_slice(&mut self, chunk: &[u8]) {
        self.map[self.len..self.len + chunk.len()].copy_from_slice(chunk);
        self.len += chunk.len();
    }
}

impl Gathering {
    pub(super) fn new(meter: Meter) -> Self {
        let held = meter.claim(0);
        Self { meter, held, room: Room::Short(Vec::new()) }
    }

    /// How many bytes have come.
    pub(super) fn len(&self) -> usize {
        self.room.bytes().len()
    }

    /// Adds bytes that the meter has counted, with their memory.
    pub(super) fn add(&mut self, chunk: &[u8]) -> Result<()> {
        self.held.absorb(self.meter.claim(chunk.len()));
        match &mut self.room {
            Room::Short(bytes) if bytes.len() + chunk.len() <= SHORT_BYTES => bytes.extend_from_slice(chunk),
            Room::Long(pages) if pages.len + chunk.len() <= pages.map.len() => pages.extend_from_slice(chunk),
            full => {
                // The chunk is counted: it is none of those to come.
                let to_come = usize::try_from(self.meter.to_come()).unwrap_or(usize::MAX);
                let mut pages = Pages::new((full.bytes().len() + chunk.len()).saturating_add(to_come))?;
                pages.extend_from_slice(full.bytes());
                pages.extend_from_slice(chunk);
                *full = Room::Long(pages);
            }
        }
        Ok(())
    }

    /// All that came, and its memory.
    pub(super) fn end(self) -> (Bytes, Reservation) {
        let bytes = match self.room {
            Room::Short(mut bytes) => {
                bytes.shrink_to_fit();
                bytes.into()
            }
            Room::Long(pages) => Bytes::from_owner(pages),
        };
        (bytes, self.held)
    }
}

/// A whole body whose bytes `meter` counts, and its memory.
pub(super) async fn whole(
    chunks: impl Stream<Item = Result<Bytes, PayloadError>>,
    meter: &Meter,
) -> Result<(Bytes, Reservation)> {
    let (mut chunks, mut whole) = (pin!(chunks), Gathering::new(meter.clone()));
    while let Some(chunk) = chunks.try_next().await.map_err(|error| meter.refusal().unwrap_or_else(|| broken(error)))? {
        whole.add(&chunk)?;
    }
    Ok(whole.end())
}

fn broken(error: PayloadError) -> Error {
    match error {
        PayloadError::Incomplete(_) => ended_early(),
        error => Error::invalid("the JSON body cannot be read").with_code("invalid_json").with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{
        dev::Payload,
        http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue},
    };
    use futures_util::{FutureExt, StreamExt, stream};
    use proptest::prelude::*;

    use super::*;
    use crate::runtime::{BudgetLimits, ByteBudget, ServiceClass, Turn};

    proptest! {
        #[test]
        fn all_that_comes_is_kept_and_held_and_nothing_else(
            pieces in prop::collection::vec(1_usize..200_000, 1..20),
            is_announced: bool,
        ) {
            const LIMIT: usize = 8 << 20;
            let somebody = Turn::new(ServiceClass::Interactive, "tenant");
            let most = 2 * LIMIT as u64;
            let budget = ByteBudget::new(BudgetLimits { total: most, per_key: most, per_holder: most });
            let mut headers = HeaderMap::new();
            if is_announced {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_str(&LIMIT.to_string()).unwrap());
            }
            let meter = Meter::admit(&headers, &budget, &somebody, LIMIT as u64).unwrap();
            let sent: Vec<_> = pieces.iter().map(|&bytes| Ok(Bytes::from(vec![7; bytes]))).collect();
            let payload = Payload::from(stream::iter(sent).boxed_local());
            let mut counted = Box::pin(meter.stream(payload));
            let (mut gathering, mut all) = (Gathering::new(meter.clone()), 0);
            while let Some(Some(chunk)) = counted.next().now_or_never() {
                let chunk = chunk.unwrap();
                all += chunk.len();
                gathering.add(&chunk).unwrap();
                prop_assert_eq!((gathering.len(), gathering.held.bytes()), (all, all as u64));
            }
            drop((meter, counted));
            let (bytes, held) = gathering.end();
            prop_assert_eq!((bytes.len(), bytes.iter().all(|&byte| byte == 7)), (pieces.iter().sum(), true));
            prop_assert_eq!((held.bytes(), budget.used()), (all as u64, all as u64));
        }
    }
}
