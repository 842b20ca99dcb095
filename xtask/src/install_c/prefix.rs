//! A folder for installed files: each is complete before any has its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder in which the files can be placed; that was checked.
#[derive(Debug)]
pub(crate) struct Prefix {
    folder: PathBuf,
}

/// Something to install.
#[derive(Debug)]
pub(crate) enum Content {
    File(Vec<u8>),
    /// An executable file; on some systems, shared libraries are executable.
    Program(Vec<u8>),
    /// A link to a name in the same folder.
    Link(PathBuf),
}

impl Prefix {
    /// A folder for files at these places, or why that is impossible.
    pub(crate) fn new(folder: &Path, places: &[PathBuf]) -> Result<Self, String> {
        let folder = std::path::absolute(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        for place in places {
            let place = folder.join(place);
            if place.is_dir() && !place.is_symlink() {
                return Err(format!("{} is a folder", place.display()));
            }
            // Missing parent folders can be created in the last one that exists.
            let above = place.ancestors().skip(1).find(|above| above.symlink_metadata().is_ok());
            let above = above.unwrap_or(Path::new("/"));
            if !above.is_dir() {
                return Err(format!("{} is not a folder", above.display()));
            }
            let probe = temporary(&above.join("xent"));
            fs::File::create_new(&probe)
                .and_then(|_| fs::remove_file(&probe))
                .map_err(|error| format!("{} cannot be written to: {error}", above.display()))?;
        }
        Ok(Self { folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Installs everything, and returns the paths.
    pub(crate) fn install(
        &self,
        contents: Vec<(PathBuf, Content)>,
    ) -> Result<Vec<PathBuf>, String> {
        let mut staged = Vec::new();
        for (place, content) in contents {
            let place = self.folder.join(place);
            let failed = |error| format!("{}: {error}", place.display());
            let folder = place.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder).map_err(failed)?;
            let new = Staged { temporary: temporary(&place), place: place.clone() };
            content.write(&new.temporary).map_err(failed)?;
            staged.push(new);
        }
        for new in &staged {
            fs::rename(&new.temporary, &new.place)
                .map_err(|error| format!("{}: {error}", new.place.display()))?;
        }
        Ok(staged.iter().map(|new| new.place.clone()).collect())
    }
}

/// A name in the same folder that no other run of this program uses.
fn temporary(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().display().to_string();
    place.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

/// A file that does not have its name yet; it is removed if it never gets it.
struct Staged {
    temporary: PathBuf,
    place: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Once it has its name, there is nothing to remove.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Content {
    fn write(&self, place: &Path) -> io::Result<()> {
        match self {
            Self::File(bytes) => fs::write(place, bytes),
            Self::Program(bytes) => {
                fs::write(place, bytes)?;
                make_executable(place)
            }
            Self::Link(to) => link(to, place),
        }
    }
}

/// Readable for everyone that the umask allows.
#[cfg(unix)]
fn make_executable(place: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut permissions = fs::metadata(place)?.permissions();
    let mode = permissions.mode();
    permissions.set_mode(mode | (mode & 0o444) >> 2);
    fs::set_permissions(place, permissions)
}

#[cfg(unix)]
fn link(to: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, place)
}

// On other systems the command stopped earlier.
#[cfg(not(unix))]
fn make_executable(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// An empty folder for a test.
    fn folder(name: &str) -> PathBuf {
        let folder = crate::target_folder("install-c-tests").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().display().to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_and_links_replace_what_was_there() {
        let folder = folder("replaced");
        for text in ["first", "second"] {
            let places = ["lib/file", "lib/link"].map(PathBuf::from);
            let prefix = Prefix::new(&folder.join("new"), &places).expect("a prefix");
            let contents = vec![
                ("lib/file".into(), Content::Program(text.into())),
                ("lib/link".into(), Content::Link("file".into())),
            ];
            assert_eq!(prefix.install(contents).expect("files").len(), 2);
            let lib = folder.join("new/lib");
            assert_eq!(names(&lib), ["file", "link"]);
            assert_eq!(fs::read_to_string(lib.join("link")).expect("a file"), text);
        }
    }

    #[test]
    fn what_cannot_be_written_is_said_before() {
        let folder = folder("refused");
        fs::write(folder.join("lib"), "a file").expect("a file");
        fs::create_dir_all(folder.join("include/xent.h")).expect("a folder");
        for (place, why) in [("lib/libxent.a", "not a folder"), ("include/xent.h", "is a folder")] {
            let error = Prefix::new(&folder, &[place.into()]).expect_err("an error");
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(names(&folder), ["include", "lib"]);
    }

    #[test]
    fn half_an_installation_leaves_nothing() {
        let folder = folder("half");
        let prefix = Prefix::new(&folder, &["first".into()]).expect("a prefix");
        fs::write(folder.join("no-folder"), "").expect("a file");
        let contents = vec![
            ("first".into(), Content::File(Vec::new())),
            ("no-folder/second".into(), Content::File(Vec::new())),
        ];
        assert!(prefix.install(contents).is_err());
        assert_eq!(names(&folder), ["no-folder"]);
    }
}
