//! Slices that end, or begin, where memory ends.

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
    /// Each begins where a page ends that may not be touched.
    AfterGuard,
    /// Each ends where a page begins that may not be touched.
    BeforeGuard,
}

impl Place {
    pub(crate) const GUARDED: [Self; 2] = [Self::AfterGuard, Self::BeforeGuard];

    /// A slice there that holds these values.
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

/// A slice in a mapping of its own, between two pages that may not be touched.
pub(crate) struct Guarded<T> {
    start: *mut T,
    len: usize,
    /// What it lies in, until it is dropped.
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
        // SAFETY: `before + bytes` is at most `room`, so all of the places lie on the pages that may be
        // read and written, and `start` is aligned, as was just asked. The mapping is new, or comes from
        // `FREE`, where no slice refers to it: nothing else reads it, and `values` is not in it.
        unsafe { start.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Self { start, len: values.len(), pages: Some(pages) }
    }
}

impl<T> Guarded<T> {
    fn as_slice(&self) -> &[T] {
        // SAFETY: `new` has written `len` values of a `Copy` type from `start` on, which is aligned and
        // in a mapping that this slice owns until it is dropped. It hands out the values by `&self` and
        // `&mut self` alone.
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

/// Pages that may be read and written, between two that may not.
struct Pages(Allocation);

thread_local! {
    /// Pages that no slice lies in, by their room: to map memory takes longer than most calls.
    static FREE: RefCell<BTreeMap<usize, Vec<Pages>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Pages {
    /// With room for so many bytes; at least a page.
    fn of(bytes: usize) -> Self {
        let room = bytes.next_multiple_of(page::size()).max(page::size());
        let free = FREE.with_borrow_mut(|free| free.get_mut(&room).and_then(Vec::pop));
        free.unwrap_or_else(|| Self::map(room))
    }

    fn map(room: usize) -> Self {
        let all = region::alloc(room + 2 * page::size(), Protection::NONE).expect("address space");
        let pages = Self(all);
        // SAFETY: the pages are those of a mapping that was just made, without the first and the last:
        // nobody has a reference to them, and no one relies on their being closed.
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
