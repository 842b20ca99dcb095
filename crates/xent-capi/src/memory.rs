//! The caller's memory: checks before it is read or written.

use core::{ptr, slice};

use crate::status::{Failure, Status};

/// A number of values in the caller's memory, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region<T> {
    first: *mut T,
    count: usize,
}

impl<T> Region<T> {
    /// A region that is required.
    pub(crate) fn needed(first: *const T, count: usize) -> Result<Self, Failure> {
        if first.is_null() && count != 0 {
            return Err(Status::Null.into());
        }
        Self::optional(first, count)
    }

    /// A region that may be absent: then its pointer is null.
    pub(crate) fn optional(first: *const T, count: usize) -> Result<Self, Failure> {
        if first.is_null() || count == 0 {
            return Ok(Self { first: ptr::dangling_mut(), count: 0 });
        }
        if !first.is_aligned() {
            return Err(Status::Alignment.into());
        }
        let bytes =
            count.checked_mul(size_of::<T>()).filter(|bytes| isize::try_from(*bytes).is_ok());
        if bytes.and_then(|bytes| first.addr().checked_add(bytes)).is_none() {
            return Err(Status::TooLarge.into());
        }
        Ok(Self { first: first.cast_mut(), count })
    }

    /// The addresses of its first byte and of the first byte after it.
    pub(crate) fn span(&self) -> Span {
        // Neither overflows; `optional` checked that.
        Span { start: self.first.addr(), end: self.first.addr() + self.count * size_of::<T>() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// # Safety
    /// The memory it was made from is readable, initialised, and not written while the slice lives.
    pub(crate) unsafe fn read<'a>(self) -> &'a [T] {
        // SAFETY: the pointer is not null and aligned, and the bytes are at most `isize::MAX`: `optional` has
        // checked that, and made an empty region dangling. The caller promises the rest.
        unsafe { slice::from_raw_parts(self.first, self.count) }
    }

    /// # Safety
    /// The memory it was made from is writable, initialised, and not accessed otherwise while the slice lives.
    pub(crate) unsafe fn write<'a>(self) -> &'a mut [T] {
        // SAFETY: as in `read`.
        unsafe { slice::from_raw_parts_mut(self.first, self.count) }
    }
}

/// The addresses of a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    const NOTHING: Self = Self { start: 0, end: 0 };

    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// The regions of a call.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The regions that are written; unused places are empty regions.
    written: [Span; 8],
    read: [Span; 16],
    counts: [usize; 2],
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { written: [Span::NOTHING; 8], read: [Span::NOTHING; 16], counts: [0; 2] }
    }

    /// A region that is read.
    pub(crate) fn read<T>(&mut self, region: Region<T>) -> Region<T> {
        self.read[self.counts[0]] = region.span();
        self.counts[0] += 1;
        region
    }

    /// A region that is written.
    pub(crate) fn written<T>(&mut self, region: Region<T>) -> Region<T> {
        self.written[self.counts[1]] = region.span();
        self.counts[1] += 1;
        region
    }

    /// Checks that no written region overlaps a region that is read or another that is written.
    pub(crate) fn check_apart(&self) -> Result<(), Failure> {
        check_apart(&self.written, &self.read)
    }
}

/// Checks that no written region overlaps a region that is read or another that is written.
pub(crate) fn check_apart(written: &[Span], read: &[Span]) -> Result<(), Failure> {
    for (index, &output) in written.iter().enumerate() {
        let others = read.iter().chain(&written[index + 1..]);
        if others.into_iter().any(|&other| output.overlaps(other)) {
            return Err(Status::Overlap.into());
        }
    }
    Ok(())
}

/// No structure of a later version is larger than this: a larger size was never initialised.
const LARGEST: usize = 4096;

/// Writes a structure's defaults, and zeros to the rest of the caller's version of it.
///
/// # Safety
/// `into` is null, or this number of bytes may be written there.
pub(crate) unsafe fn initialise<T: Copy>(into: *mut T, size: usize, defaults: T) -> Status {
    if into.is_null() {
        return Status::Null;
    }
    if !into.is_aligned() {
        return Status::Alignment;
    }
    if !(size_of::<T>()..=LARGEST).contains(&size) {
        return Status::Size;
    }
    // SAFETY: it is not null and aligned, and `size` bytes may be written, at least as many as a `T` has.
    unsafe {
        into.cast::<u8>().write_bytes(0, size);
        into.write(defaults);
    }
    Status::Ok
}

/// Reads a structure whose first field is its size. It may be larger than in this version; then the rest must be
/// zero, since this version cannot know the options there.
///
/// # Safety
/// `from` is null, or the structure was initialised by [`initialise`].
pub(crate) unsafe fn structure<T: Copy>(from: *const T) -> Result<T, Failure> {
    if from.is_null() {
        return Err(Status::Null.into());
    }
    if !from.is_aligned() {
        return Err(Status::Alignment.into());
    }
    // SAFETY: it is not null and aligned for a `T`, whose first field is a `usize`.
    let size = unsafe { from.cast::<usize>().read() };
    if !(size_of::<T>()..=LARGEST).contains(&size) {
        return Err(Status::Size.into());
    }
    // SAFETY: the structure has `size` bytes, all initialised, and a `T` has no more than that.
    let (known, rest) = unsafe {
        let bytes = from.cast::<u8>();
        let rest = slice::from_raw_parts(bytes.add(size_of::<T>()), size - size_of::<T>());
        (from.read(), rest)
    };
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Status::Size.into());
    }
    Ok(known)
}

/// Writes a result, if it is wanted.
///
/// # Safety
/// `into` is null or valid for a write.
pub(crate) unsafe fn put<T>(into: *mut T, value: T) {
    if !into.is_null() {
        // SAFETY: it is not null, so the caller promises that it is valid; its alignment does not matter.
        unsafe { into.write_unaligned(value) };
    }
}
