//! The place of an array: a file, a member of a file, or standard input.

use std::path::Path;

use super::Kind;
use super::raw::Description;

/// Standard input, given as a file.
const STANDARD_INPUT: &str = "-";
/// Extensions of other files that are not `.npy` files, whatever is written to them.
const NOT_WRITTEN: [&str; 2] = ["pt", "pth"];
/// Extensions that numbers without a header usually have; but others use them, too.
const RAW: [&str; 3] = ["bin", "raw", "dat"];

/// A file, and the name of an array in it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    pub(super) member: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Splits `file.npz:name`, unless a file has this whole name.
    pub(super) fn of(path: &'a Path) -> Self {
        let whole = Self { file: path, member: None };
        let Some(text) = path.to_str().filter(|_| !path.exists()) else { return whole };
        if let Some(member) = text.strip_prefix("-:") {
            return Self { file: Path::new(STANDARD_INPUT), member: Some(member) };
        }
        let places = || {
            text.match_indices(':').map(|(colon, _)| {
                let (file, member) = (&text[..colon], &text[colon + 1..]);
                Self { file: Path::new(file), member: Some(member) }
            })
        };
        // Folders and names may contain colons, too: an existing file is what was meant.
        let is_there = |place: &Self| place.file.metadata().is_ok_and(|file| !file.is_dir());
        let has_members = |place: &Self| match Kind::by_extension(place.file) {
            Some(kind) => kind != Kind::Npy,
            None => place.member.is_some_and(|member| Description::parse(member).is_some()),
        };
        places().rev().find(is_there).or(places().find(has_members)).unwrap_or(whole)
    }

    pub(super) fn is_standard_input(self) -> bool {
        self.file == Path::new(STANDARD_INPUT)
    }
}

/// The file that holds the array.
pub(crate) fn file_of(path: &Path) -> &Path {
    Place::of(path).file
}

/// Whether the name of the file leaves open that it has no header.
pub(super) fn is_for_raw(file: &Path) -> bool {
    file.extension().is_none_or(|name| RAW.iter().any(|other| name == *other))
}

/// Whether the array is read from standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    Place::of(path).is_standard_input()
}

/// Why a `.npy` file that is written there could not be read again.
pub(crate) fn is_not_for_output(path: &Path) -> Option<&'static str> {
    let place = Place::of(path);
    let extension = place.file.extension().and_then(|name| name.to_str());
    let is_other = Kind::by_extension(place.file).is_some_and(|kind| kind != Kind::Npy)
        || extension.is_some_and(|name| NOT_WRITTEN.contains(&name) || RAW.contains(&name));
    if place.is_standard_input() {
        Some("expected a file: - is only an input")
    } else if place.member.is_some() || is_other {
        Some("the output is a .npy file: choose another name")
    } else {
        None
    }
}
