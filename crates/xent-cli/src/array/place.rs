//! Where an array is: a file, or one of the arrays in it, or standard input.

use std::path::Path;

/// Standard input, as it is given for a file.
const STANDARD_INPUT: &str = "-";
/// Of files that hold arrays by name.
const WITH_MEMBERS: [&str; 2] = [".safetensors", ".npz"];
/// Of files that are none of `.npy`, whatever is written to them.
const NOT_WRITTEN: [&str; 4] = ["safetensors", "npz", "pt", "pth"];

/// A file, and which of its arrays.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    pub(super) member: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Takes `file.npz:name` apart, unless a file has all of it as its name.
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
        // Folders and names may have colons, too: a file that is there is what was meant.
        let is_there = |place: &Self| place.file.metadata().is_ok_and(|file| !file.is_dir());
        let has_members = |place: &Self| {
            WITH_MEMBERS.iter().any(|name| place.file.to_string_lossy().ends_with(name))
        };
        places().rev().find(is_there).or(places().find(has_members)).unwrap_or(whole)
    }

    pub(super) fn is_standard_input(self) -> bool {
        self.file == Path::new(STANDARD_INPUT)
    }
}

/// The file that an array is in.
pub(crate) fn file_of(path: &Path) -> &Path {
    Place::of(path).file
}

/// Whether an array is read from standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    Place::of(path).is_standard_input()
}

/// Why what is written there could not be read as the `.npy` file that it is.
pub(crate) fn is_not_for_output(path: &Path) -> Option<&'static str> {
    let place = Place::of(path);
    let extension = place.file.extension().and_then(|name| name.to_str());
    if place.is_standard_input() {
        Some("outputs are files: - is standard input alone")
    } else if place.member.is_some() || extension.is_some_and(|name| NOT_WRITTEN.contains(&name)) {
        Some("what is written is a .npy file")
    } else {
        None
    }
}
