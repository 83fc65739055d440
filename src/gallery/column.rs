//! Values that are only ever appended, so that searches read them without a lock while more come in.
//!
//! A column is a list of chunks that never move; chunks double in size up to a largest, so a small gallery costs
//! little and a large one few allocations. A [`ColumnView`] is the column as it was at one moment: it shares the
//! chunks and ends where the column ended then. The writer only touches what lies behind every view's end.
#![expect(unsafe_code, reason = "memory that is read while it grows")]

use std::{
    alloc::{self, Layout},
    ops::Deref,
    ptr::NonNull,
    sync::Arc,
};

/// Where a chunk begins: on a cache line, which is also the widest vector.
const ALIGNMENT: usize = 64;
/// Larger chunks begin on a page of this size, where the system has such.
const HUGE_PAGE: usize = 2 << 20;

/// Memory for a fixed number of values, none of them there yet.
struct Room<T> {
    start: NonNull<T>,
    capacity: usize,
}

// SAFETY: a room is plain memory; who may read and write which part of it is settled by `Column` and `ColumnView`.
unsafe impl<T: Send + Sync> Send for Room<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Room<T> {}

impl<T> Room<T> {
    /// # Panics
    /// Where the capacity is 0 or more than memory can have.
    fn new(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        assert!(layout.size() > 0, "a chunk has room for something");
        // SAFETY: the size is not 0.
        let start = unsafe { alloc::alloc(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| alloc::handle_alloc_error(layout));
        ask_for_huge_pages(start, layout);
        Self { start: start.cast(), capacity }
    }

    #[expect(clippy::expect_used, reason = "a chunk's size is a constant times a vector's dimension")]
    fn layout(capacity: usize) -> Layout {
        let layout = Layout::array::<T>(capacity).expect("a chunk fits into memory");
        let alignment = if layout.size() < HUGE_PAGE { ALIGNMENT } else { HUGE_PAGE };
        layout.align_to(alignment).expect("a chunk fits into memory")
    }
}

/// Rows are read here and there: with small pages, finding out where a page lies takes as long as reading from it.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(start: NonNull<u8>, layout: Layout) {
    if layout.align() == HUGE_PAGE {
        // SAFETY: advice on memory that was just allocated and that nobody uses yet; it does not change its content.
        let advised = unsafe {
            let advice = rustix::mm::Advice::LinuxHugepage;
            rustix::mm::madvise(start.as_ptr().cast(), layout.size(), advice)
        };
        // A system without huge pages says no, and gives small ones.
        let _ = advised;
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_start: NonNull<u8>, _layout: Layout) {}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout; values are `Copy` and need no drop.
        unsafe { alloc::dealloc(self.start.as_ptr().cast(), Self::layout(self.capacity)) }
    }
}

/// A chunk's memory and how many values it has.
struct Chunk<T> {
    room: Arc<Room<T>>,
    len: usize,
}

impl<T> Clone for Chunk<T> {
    fn clone(&self) -> Self {
        Self { room: Arc::clone(&self.room), len: self.len }
    }
}

impl<T> Chunk<T> {
    fn values(&self) -> &[T] {
        // SAFETY: the first `len` values were written before this chunk's `len` became so, and nobody writes them
        // again; the room lives as long as the chunk.
        unsafe { std::slice::from_raw_parts(self.room.start.as_ptr(), self.len) }
    }
}

/// A column as it was when the view was taken.
pub(super) struct ColumnView<T> {
    chunks: Vec<Chunk<T>>,
    /// Values in the first chunk.
    first: usize,
    /// The largest chunk has `first << doublings` values.
    doublings: u32,
}

impl<T> Clone for ColumnView<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), ..*self }
    }
}

impl<T: Copy> ColumnView<T> {
    /// The number of the chunk that holds value `at`, and the value's place in it. Chunks of the sizes 1, 1, 2, 4, …
    /// up to the largest double the column each; from there on all are of the largest size.
    fn locate(&self, at: usize) -> (usize, usize) {
        let largest = self.first << self.doublings;
        if at >= largest {
            return (self.doublings as usize + at / largest, at % largest);
        }
        let doubled = usize::BITS - (at / self.first).leading_zeros();
        let start = if doubled == 0 { 0 } else { self.first << (doubled - 1) };
        (doubled as usize, at - start)
    }

    fn capacity_of_chunk(&self, chunk: usize) -> usize {
        self.first << chunk.saturating_sub(1).min(self.doublings as usize)
    }

    /// The `len` values from `at` on, which must lie in one chunk: those of one record do.
    #[inline]
    pub(super) fn slice(&self, at: usize, len: usize) -> &[T] {
        let (chunk, offset) = self.locate(at);
        &self.chunks[chunk].values()[offset..offset + len]
    }

    /// The value `at`.
    #[inline]
    pub(super) fn get(&self, at: usize) -> T {
        self.slice(at, 1)[0]
    }

    /// The values of each chunk, in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[T]> {
        self.chunks.iter().map(Chunk::values)
    }

    /// Bytes of memory, counted as if each chunk were full: what was not written yet the system need not have given.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.room.capacity * size_of::<T>()).sum()
    }
}

/// The end at which a column grows. There is one of it, so there is one writer.
pub(super) struct Column<T> {
    all: ColumnView<T>,
}

impl<T> Deref for Column<T> {
    type Target = ColumnView<T>;

    fn deref(&self) -> &ColumnView<T> {
        &self.all
    }
}

impl<T: Copy + Default> Column<T> {
    /// An empty column whose chunks have `first` values, then ever more, up to `first << doublings`.
    pub(super) fn new(first: usize, doublings: u32) -> Self {
        Self { all: ColumnView { chunks: Vec::new(), first, doublings } }
    }

    /// The column as it is now.
    pub(super) fn view(&self) -> ColumnView<T> {
        self.all.clone()
    }

    /// Appends a record and returns where it begins. A record that does not fit into the rest of a chunk begins the
    /// next one.
    ///
    /// # Panics
    /// Where the record is longer than the first chunk.
    pub(super) fn push(&mut self, record: &[T]) -> usize {
        assert!(record.len() <= self.first, "a record fits into every chunk");
        let last_is_full = self.all.chunks.last().is_none_or(|last| last.room.capacity - last.len < record.len());
        if last_is_full {
            self.add_chunk();
        }
        let number = self.all.chunks.len() - 1;
        let offset = self.all.chunks[number].len;
        self.write(record);
        self.start_of_chunk(number) + offset
    }

    fn start_of_chunk(&self, chunk: usize) -> usize {
        (0..chunk.min(self.doublings as usize + 1)).map(|before| self.capacity_of_chunk(before)).sum::<usize>()
            + chunk.saturating_sub(self.doublings as usize + 1) * (self.first << self.doublings)
    }

    fn add_chunk(&mut self) {
        if let Some(last) = self.all.chunks.last() {
            self.write(&vec![T::default(); last.room.capacity - last.len]);
        }
        let capacity = self.capacity_of_chunk(self.all.chunks.len());
        self.all.chunks.push(Chunk { room: Arc::new(Room::new(capacity)), len: 0 });
    }

    /// Appends to the last chunk, which has the room.
    fn write(&mut self, record: &[T]) {
        let Some(last) = self.all.chunks.last_mut() else { return };
        assert!(record.len() <= last.room.capacity - last.len, "the chunk has room for the record");
        // SAFETY: the place lies inside the room, as just checked. Views end at or before `len`, and there is no
        // other writer, for a column cannot be cloned: nobody else looks at these values.
        unsafe { last.room.start.as_ptr().add(last.len).copy_from_nonoverlapping(record.as_ptr(), record.len()) };
        last.len += record.len();
    }
}

/// Numbers that change in place. They grow by chunks of one size, so that they take what they hold, wherever in the
/// memory there is room, and are never moved.
#[derive(Default)]
pub(super) struct Slots(Vec<Vec<u32>>);

/// Numbers in a chunk of [`Slots`].
const SLOTS: usize = 4096;

impl Slots {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * SLOTS + last.len())
    }

    /// Number `at`.
    #[inline]
    pub(super) fn get(&self, at: usize) -> u32 {
        self.0[at / SLOTS][at % SLOTS]
    }

    /// Changes number `at`.
    pub(super) fn set(&mut self, at: usize, value: u32) {
        self.0[at / SLOTS][at % SLOTS] = value;
    }

    /// Appends a number.
    pub(super) fn push(&mut self, value: u32) {
        let is_full = self.0.last().is_none_or(|last| last.len() == SLOTS);
        if is_full {
            self.0.push(Vec::with_capacity(if self.0.is_empty() { 0 } else { SLOTS }));
        }
        if let Some(last) = self.0.last_mut() {
            last.push(value);
        }
    }

    /// Bytes of memory.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.0.iter().map(|chunk| chunk.capacity() * size_of::<u32>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_record_is_where_push_said_in_every_view_since(
            (first, doublings) in (1_usize..9, 0_u32..5),
            sizes in prop::collection::vec(1_usize..9, 0..200),
        ) {
            let mut column = Column::<u32>::new(first, doublings);
            let mut written: Vec<(usize, Vec<u32>)> = Vec::new();
            let mut views = Vec::new();
            for (n, size) in sizes.into_iter().enumerate() {
                let record: Vec<u32> = (0..size.min(first)).map(|k| (n * 10 + k) as u32).collect();
                let at = column.push(&record);
                prop_assert!(written.last().is_none_or(|(before, last)| at >= before + last.len()));
                written.push((at, record));
                if n % 16 == 0 {
                    views.push((column.view(), written.len()));
                }
            }
            views.push((column.view(), written.len()));
            drop(column);
            for (view, known) in views {
                for (at, record) in &written[..known] {
                    prop_assert_eq!(view.slice(*at, record.len()), &record[..]);
                    prop_assert_eq!(view.get(*at), record[0]);
                }
                let last = written[..known].last().map_or(0, |(at, record)| at + record.len());
                prop_assert_eq!(view.chunks().map(<[u32]>::len).sum::<usize>(), last);
            }
        }
    }

    #[test]
    fn slots_are_what_they_were_set_to() {
        let mut slots = Slots::default();
        for n in 0..10_000 {
            assert_eq!(slots.len(), n as usize);
            slots.push(n);
        }
        slots.set(4095, 1);
        slots.set(4096, 2);
        let all: Vec<u32> = (0..slots.len()).map(|at| slots.get(at)).collect();
        let changed = |n| [(4095, 1), (4096, 2)].into_iter().find(|(at, _)| *at == n).map_or(n, |(_, value)| value);
        assert_eq!(all, (0..10_000).map(changed).collect::<Vec<u32>>());
        assert!(slots.capacity_bytes() <= 12_288 * size_of::<u32>(), "two chunks and a part of one");
    }

    #[test]
    fn views_are_read_while_the_column_grows() {
        let mut column = Column::<u64>::new(64, 3);
        std::thread::scope(|threads| {
            for n in 0..20_000_u64 {
                column.push(&[n]);
                if n % 2_000 == 0 {
                    let view = column.view();
                    threads.spawn(move || {
                        let values: Vec<u64> = view.chunks().flatten().copied().collect();
                        assert!(values.iter().copied().eq(0..=n));
                    });
                }
            }
        });
    }
}
