//! Slices that end, or start, at the edge of accessible memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::size_of_val;
use std::ops::{Deref, DerefMut};

use region::{Allocation, Protection, page};

/// Where the slices of a call are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Each is a `Vec`.
    Heap,
    /// Each starts where a guard page ends.
    AfterGuard,
    /// Each ends where a guard page starts.
    BeforeGuard,
}

impl Place {
    pub(crate) const GUARDED: [Self; 2] = [Self::AfterGuard, Self::BeforeGuard];

    /// A slice in that place with these values.
    pub(crate) fn of<T: Copy + 'static>(self, values: &[T]) -> Slice<T> {
        if self == Self::Heap {
            return Slice::Heap(values.to_vec());
        }
        Slice::Guarded(Guarded::new(values, self))
    }
}

/// A slice in some place.
pub(crate) enum Slice<T> {
    Heap(Vec<T>),
    Guarded(Guarded<T>),
}

impl<T> Deref for Slice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Heap(values) => values,
            Self::Guarded(values) => values.as_slice(),
        }
    }
}

impl<T> DerefMut for Slice<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Heap(values) => values,
            Self::Guarded(values) => values.as_mut_slice(),
        }
    }
}

/// A slice in its own mapping, between two guard pages.
pub(crate) struct Guarded<T> {
    start: *mut T,
    len: usize,
    /// Its mapping, until it is dropped.
    pages: Option<Pages>,
}

impl<T: Copy + 'static> Guarded<T> {
    fn new(values: &[T], place: Place) -> Self {
        let bytes = size_of_val(values);
        let pages = Pages::of(bytes);
        let room = pages.room();
        let before = if place == Place::BeforeGuard { room - bytes } else { 0 };
        let start = pages.first_byte().wrapping_add(before).cast::<T>();
        assert!(start.is_aligned(), "a page holds whole numbers");
        // SAFETY: `before + bytes` is at most `room`, so all places are on the pages that may be read and written,
        // and `start` is aligned, as was just checked. The mapping is new, or comes from `FREE`, where no slice
        // refers to it: nothing else reads it, and `values` is not in it.
        unsafe { start.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Self { start, len: values.len(), pages: Some(pages) }
    }
}

impl<T> Guarded<T> {
    fn as_slice(&self) -> &[T] {
        // SAFETY: `new` has written `len` values of a `Copy` type from `start` on, which is aligned and in a
        // mapping that this slice owns until it is dropped. It gives access to the values only by `&self` and `&mut
        // self`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`, and `&mut self` is the only reference to the values.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Some(pages) = self.pages.take() {
            FREE.with_borrow_mut(|free| free.entry(pages.room()).or_default().push(pages));
        }
    }
}

/// Pages that may be read and written, between two guard pages.
struct Pages(Allocation);

thread_local! {
    /// Unused pages, by their size: mapping memory takes longer than most calls.
    static FREE: RefCell<BTreeMap<usize, Vec<Pages>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Pages {
    /// With space for this many bytes; at least a page.
    fn of(bytes: usize) -> Self {
        let room = bytes.next_multiple_of(page::size()).max(page::size());
        let free = FREE.with_borrow_mut(|free| free.get_mut(&room).and_then(Vec::pop));
        free.unwrap_or_else(|| Self::map(room))
    }

    fn map(room: usize) -> Self {
        let all = region::alloc(room + 2 * page::size(), Protection::NONE).expect("address space");
        let pages = Self(all);
        // SAFETY: the pages belong to a mapping that was just made, without the first and the last: no one has a
        // reference to them, or relies on their having no permissions.
        unsafe { region::protect(pages.first_byte(), room, Protection::READ_WRITE) }
            .expect("pages that can be opened");
        pages
    }

    fn room(&self) -> usize {
        self.0.len() - 2 * page::size()
    }

    fn first_byte(&self) -> *mut u8 {
        self.0.as_ptr::<u8>().wrapping_add(page::size()).cast_mut()
    }
}
