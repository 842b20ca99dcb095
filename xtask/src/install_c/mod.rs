//! `cargo xtask install-c`: installs the C interface where C programs look for libraries.

mod check;
mod prefix;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::capi::{self, Libraries, System, VERSION};
use crate::packages;
use prefix::{Content, Prefix};

/// Where to install the C interface.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The folder whose `include` and `lib` receive the files; created if needed.
    #[arg(long, value_name = "DIR")]
    prefix: PathBuf,
    /// Builds for size instead of speed: a static example of less than 1.5 MB, whose losses take twice as long, and
    /// without AVX2 ten times as long.
    #[arg(long)]
    small: bool,
    /// Then compiles the example with pkg-config, with the shared and the static library, and runs it.
    #[arg(long)]
    check: bool,
    /// Installs what the check needs and is missing, with Debian's apt-get.
    #[arg(long, requires = "check")]
    install: bool,
}

const HEADER: &str = "include/xent.h";
const ARCHIVE: &str = "lib/libxent.a";
const DESCRIPTION: &str = "lib/pkgconfig/xent.pc";

/// Installs the C interface, and checks it if asked to.
pub(crate) fn run(options: &Options) -> ExitCode {
    match install(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn install(options: &Options) -> Result<(), String> {
    let names = System::here()?.names(VERSION);
    let places = [HEADER, ARCHIVE, DESCRIPTION].map(PathBuf::from);
    let libraries = names.iter().map(|name| Path::new("lib").join(name));
    let places: Vec<_> = places.into_iter().chain(libraries).collect();
    // Quick checks come before the steps that take minutes.
    let prefix = Prefix::new(&options.prefix, &places)?;
    if options.check {
        packages::provide(check::missing, options.install)?;
    }
    let built = capi::build(options.small)?;
    let installed = prefix.install(contents(&built, &names)?)?;
    for place in &installed {
        println!("{}", place.display());
    }
    println!("\n{}", check::how_to_compile(prefix.folder()));
    if options.check { check::check(prefix.folder(), options.small) } else { Ok(()) }
}

/// The destination of each file.
fn contents(
    built: &Libraries,
    [file, soname, linked]: &[String; 3],
) -> Result<Vec<(PathBuf, Content)>, String> {
    let header = crate::root().join("crates/xent-capi").join(HEADER);
    let read = |file: &Path| fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
    let lib = Path::new("lib");
    Ok(vec![
        (HEADER.into(), Content::File(read(&header)?)),
        (ARCHIVE.into(), Content::File(read(&built.archive)?)),
        (lib.join(file), Content::Program(read(&built.shared)?)),
        (lib.join(soname), Content::Link(file.into())),
        (lib.join(linked), Content::Link(soname.into())),
        (DESCRIPTION.into(), Content::File(description(&built.needs).into_bytes())),
    ])
}

/// The file for pkg-config. Paths are relative to it, so the folder may be moved.
fn description(needs: &[String]) -> String {
    let private: String = needs.iter().map(|need| format!(" {need}")).collect();
    format!(
        "prefix=${{pcfiledir}}/../..\n\
         libdir=${{prefix}}/lib\n\
         includedir=${{prefix}}/include\n\
         \n\
         Name: xent\n\
         Description: Cross-entropy losses with their gradients\n\
         Version: {VERSION}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -lxent\n\
         Libs.private:{private}\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkg_config_is_told_where_all_is() {
        let text = description(&["-Wl,--gc-sections".to_owned()]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "prefix=${pcfiledir}/../..");
        let version = format!("Version: {VERSION}");
        for line in [
            version.as_str(),
            "Cflags: -I${includedir}",
            "Libs: -L${libdir} -lxent",
            "Libs.private: -Wl,--gc-sections",
        ] {
            assert!(lines.contains(&line), "{line}: {text}");
        }
    }
}
