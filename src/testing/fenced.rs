//! Memory that ends where pages begin that nobody may touch: who goes one byte too far ends the test.
//!
//! Under valgrind it is the heap's, of which valgrind knows each byte, at both ends; of mapped pages it knows too little.
#![expect(unsafe_code, reason = "pages are mapped, shut and given back")]

use std::{
    alloc::{self, GlobalAlloc, Layout, System},
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
    sync::LazyLock,
};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Bytes of a fence: the largest page of any system, so that it is whole pages on all.
const FENCE: usize = 64 << 10;
/// Memory that kernels keep for themselves begins on one.
const CACHE_LINE: usize = 64;

/// Whether valgrind runs this process: it has a library of its own loaded into it.
fn is_under_valgrind() -> bool {
    static IS: LazyLock<bool> =
        LazyLock::new(|| std::env::var("LD_PRELOAD").is_ok_and(|libraries| libraries.contains("vgpreload")));
    *IS
}

/// The bytes that are mapped in front of a fence, and how many of them come before the first that was asked for. The last
/// that was asked for is right before the fence, or before what is left of its alignment.
fn room(layout: Layout) -> (usize, usize) {
    let room = layout.size().next_multiple_of(FENCE);
    let before = room - layout.size();
    (room, before - before % layout.align())
}

/// Null where there is no memory.
///
/// # Safety
/// The size is not 0 and the alignment at most a page.
unsafe fn allocate(layout: Layout) -> *mut u8 {
    if is_under_valgrind() {
        // SAFETY: the size is not 0.
        return unsafe { System.alloc(layout) };
    }
    let (room, before) = room(layout);
    // SAFETY: new pages, of which the last are shut before anybody has seen them.
    unsafe {
        let open = ProtFlags::READ | ProtFlags::WRITE;
        let Ok(mapped) = mmap_anonymous(ptr::null_mut(), room + FENCE, open, MapFlags::PRIVATE) else {
            return ptr::null_mut();
        };
        if mprotect(mapped.byte_add(room), FENCE, MprotectFlags::empty()).is_err() {
            return ptr::null_mut();
        }
        mapped.cast::<u8>().add(before)
    }
}

/// # Safety
/// `start` is of [`allocate`] with this `layout`, and nobody's any more.
unsafe fn free(start: *mut u8, layout: Layout) {
    if is_under_valgrind() {
        // SAFETY: the caller's promise; all of a process is of the heap, or nothing.
        return unsafe { System.dealloc(start, layout) };
    }
    let (room, before) = room(layout);
    // SAFETY: the caller's promise; this is what was mapped.
    let given_back = unsafe { munmap(start.sub(before).cast(), room + FENCE) };
    // An allocator must not panic; what stays is gone with the tests.
    let _ = given_back;
}

/// Values of which the last ends at a fence.
pub struct Fenced<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T: Copy> Fenced<T> {
    /// `len` times `value`.
    pub fn filled(value: T, len: usize) -> Self {
        std::iter::repeat_n(value, len).collect()
    }
}

impl<T: Copy> FromIterator<T> for Fenced<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let values: Vec<T> = values.into_iter().collect();
        let layout = Layout::for_value::<[T]>(&values);
        if layout.size() == 0 {
            return Self { start: NonNull::dangling(), len: values.len() };
        }
        // SAFETY: the size is not 0, and nothing that a test holds is aligned to more than a page.
        let start = unsafe { allocate(layout) };
        let start = NonNull::new(start.cast()).unwrap_or_else(|| alloc::handle_alloc_error(layout));
        // SAFETY: as many values fit there.
        unsafe { start.copy_from_nonoverlapping(NonNull::from(&*values).cast(), values.len()) };
        Self { start, len: values.len() }
    }
}

impl<T> Deref for Fenced<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: allocated and written in `from_iter`; they go with this.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Fenced<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed by one alone.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        let layout = Layout::for_value::<[T]>(self);
        if layout.size() > 0 {
            // SAFETY: allocated in `from_iter` with the same layout; values are `Copy` and need no drop.
            unsafe { free(self.start.as_ptr().cast(), layout) }
        }
    }
}

/// The system's allocator, but what is asked for by the cache line ends at a fence: weights, maps and columns, which
/// tests do not make themselves.
pub struct FencedLines;

// SAFETY: either the system's allocator or pages of their own, always the same for a layout.
unsafe impl GlobalAlloc for FencedLines {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; a cache line is less than a page.
        unsafe { if layout.align() == CACHE_LINE { allocate(layout) } else { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, and that of the same allocator, as it is of the same layout.
        unsafe { if layout.align() == CACHE_LINE { free(start, layout) } else { System.dealloc(start, layout) } }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        os::unix::process::ExitStatusExt,
        process::{Command, Stdio},
    };

    use super::*;

    #[global_allocator]
    static ALLOCATOR: FencedLines = FencedLines;

    /// The smallest page of any system.
    const PAGE: usize = 4096;

    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Line([u8; CACHE_LINE]);

    #[test]
    fn the_last_value_is_right_before_the_fence() {
        for len in [0, 1, 7, FENCE, FENCE + 1] {
            let mut bytes: Fenced<u8> = (0..len).map(|at| at as u8).collect();
            assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == at as u8));
            bytes.fill(1);
            let end = bytes.as_ptr_range().end as usize;
            assert!(len == 0 || is_under_valgrind() || end.is_multiple_of(PAGE), "{len}");
        }
    }

    #[test]
    fn so_is_the_last_line() {
        let lines = Vec::from([Line([1; CACHE_LINE]); 3]);
        assert!(lines.iter().all(|line| line.0 == [1; CACHE_LINE]));
        assert!(is_under_valgrind() || (lines.as_ptr_range().end as usize).is_multiple_of(PAGE));
    }

    #[test]
    #[ignore = "ends its process: the next one runs it"]
    fn goes_one_too_far() {
        let bytes = Fenced::filled(1_u8, 100);
        // SAFETY: none, and that is what fences are for.
        let behind = unsafe { bytes.as_ptr().add(bytes.len()).read_volatile() };
        assert_eq!(behind, 1);
    }

    #[test]
    fn who_goes_one_too_far_ends() {
        let ended = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "fenced::tests::goes_one_too_far"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(ended.signal().is_some(), "{ended}");
    }
}
