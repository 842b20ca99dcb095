//! Debian packages.

use std::fs::File;
use std::process::Command;

/// Something that is missing, and the packages that contain it.
#[derive(Debug)]
pub(crate) struct Missing {
    /// With instructions to get it.
    pub(crate) what: String,
    pub(crate) packages: Vec<&'static str>,
    /// A Rust target that rustup may install instead.
    pub(crate) target: Option<&'static str>,
}

impl Missing {
    pub(crate) fn new(what: &str, packages: &[&'static str]) -> Self {
        let what = format!("no {what}: apt-get install {}", packages.join(" "));
        Self { what, packages: packages.to_vec(), target: None }
    }

    /// A program, if it is not there.
    pub(crate) fn program(name: &str, packages: &[&'static str]) -> Option<Self> {
        crate::program(name).is_none().then(|| Self::new(name, packages))
    }
}

/// Whether nothing is missing. With leave to install, it first installs Rust targets with rustup, if it is there,
/// and the rest with apt-get. The error has one line for each thing that is still missing.
pub(crate) fn provide(missing: impl Fn() -> Vec<Missing>, install: bool) -> Result<(), String> {
    // Held to the end: apt-get gives up where another one is at work.
    let _alone = if install { Some(alone()?) } else { None };
    let mut still = missing();
    if install && crate::program(RUSTUP).is_some() {
        let targets: Vec<_> = still.iter().filter_map(|one| one.target).collect();
        if !targets.is_empty() {
            run(rustup(&targets));
            still = missing();
        }
    }
    if install && !still.is_empty() {
        // Old package lists name old versions, for example of a compiler. Without a network they may still do.
        run(apt(&["update"]));
        run(apt(&install_words(&still)));
        still = missing();
    }
    if install
        && !still.is_empty()
        && let Some([list, suite]) = backports()
    {
        // Where packages of the system come from the backports, others have to.
        let words = install_words(&still);
        run(apt(&[&["-o", &list], &["update"][..]].concat()));
        run(apt(&[&["-o", &list, "-t", &suite][..], &words].concat()));
        still = missing();
    }
    if still.is_empty() {
        return Ok(());
    }
    let what: Vec<_> = still.into_iter().map(|one| one.what).collect();
    let hint = if install { "" } else { "\n`--install` installs what rustup and Debian provide" };
    Err(format!("{}{hint}", what.join("\n")))
}

/// Waits until no other xtask of this target folder installs anything.
fn alone() -> Result<File, String> {
    let path = crate::target_folder("install.lock");
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    lock.map_err(|error| format!("{}: {error}", path.display()))
}

const RUSTUP: &str = "rustup";

/// The later check shows whether this succeeded.
fn run(mut command: Command) {
    let _ = command.status();
}

fn rustup(targets: &[&str]) -> Command {
    let mut command = Command::new(RUSTUP);
    command.args(["target", "add"]).args(targets);
    command
}

fn apt(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(words).args(["-q", "-y"]);
    command
}

/// An option by which apt-get knows Debian's backports, too, and their name.
fn backports() -> Option<[String; 2]> {
    let system = std::fs::read_to_string("/etc/os-release").ok()?;
    let codename = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    let suite = format!("{codename}-backports");
    let mut targets = Command::new("apt-get");
    let targets = targets.args(["indextargets", "--format", "$(REPO_URI)"]).output().ok()?;
    let repositories = String::from_utf8(targets.stdout).ok()?;
    let repository =
        repositories.lines().find(|uri| uri.trim_end_matches('/').ends_with("/debian"))?;
    let list = crate::target_folder("backports.list");
    std::fs::write(&list, format!("deb {repository} {suite} main\n")).ok()?;
    Some([format!("Dir::Etc::SourceList={}", list.display()), suite])
}

/// Packages that would require removing others are not installed.
fn install_words<'a>(missing: &[Missing]) -> Vec<&'a str> {
    let mut words = vec!["install", "--no-install-recommends", "--no-remove"];
    words.extend(missing.iter().flat_map(|one| &one.packages).copied());
    words
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn words(command: &Command) -> Vec<&str> {
        command.get_args().filter_map(OsStr::to_str).collect()
    }

    #[test]
    fn no_package_of_the_machine_is_removed() {
        let missing = [Missing::new("qemu", &["qemu-system-arm"]), Missing::new("cc", &["gcc"])];
        let command = apt(&install_words(&missing));
        let expected =
            "install --no-install-recommends --no-remove qemu-system-arm gcc -q -y".split(' ');
        assert_eq!(words(&command), expected.collect::<Vec<_>>());
    }

    #[test]
    fn targets_are_those_of_rustup_where_it_is_there() {
        let missing = Missing {
            what: "no target".into(),
            packages: vec!["rustc-web"],
            target: Some("wasm32-unknown-unknown"),
        };
        let targets: Vec<_> = missing.target.into_iter().collect();
        assert_eq!(words(&rustup(&targets)), ["target", "add", "wasm32-unknown-unknown"]);
    }
}
