//! The programs that this machine needs.

use std::path::PathBuf;
use std::process::Command;

use super::TRIPLE;
use crate::foreign::{Foreign, Library};
use crate::packages::Missing;

/// The names of Chromium and of browsers based on it.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// The oldest version of Node.js that the test supports.
const NODE: u32 = 20;

/// The browser to test with.
pub(super) fn browser() -> Result<PathBuf, String> {
    let found = BROWSERS.into_iter().find_map(crate::program);
    found.ok_or_else(|| {
        let names = BROWSERS.join(", ");
        format!("no browser to test with (looked for {names}): apt-get install chromium")
    })
}

/// What is missing to build the page, or to test it.
pub(super) fn missing(test: bool) -> Vec<Missing> {
    let module = Foreign::missing(TRIPLE, Library::Core);
    let programs =
        test.then(|| programs(browser().err(), &node(), crate::program("npm").is_some()));
    module.into_iter().chain(programs.into_iter().flatten()).collect()
}

/// The version of Node.js from its output; none if there is none.
fn node() -> String {
    let output = Command::new("node").arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.unwrap_or_default()
}

/// Which of the programs that test the page are missing: a browser, Node.js of that version and npm.
fn programs(no_browser: Option<String>, node: &str, has_npm: bool) -> Vec<Missing> {
    let major = node.strip_prefix('v').and_then(|version| version.split('.').next()?.parse().ok());
    let no_node = match major {
        None::<u32> => Some("no node: apt-get install nodejs".into()),
        Some(major) if major < NODE => Some(format!(
            "node is {node}, but the test needs {NODE} or later (in Debian from version 13 on)"
        )),
        Some(_) => None,
    };
    let no_npm = (!has_npm).then(|| "no npm: apt-get install npm".into());
    [(no_browser, "chromium"), (no_node, "nodejs"), (no_npm, "npm")]
        .into_iter()
        .filter_map(|(what, package)| {
            Some(Missing { what: what?, packages: vec![package], target: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(missing: &[Missing]) -> Vec<&str> {
        missing.iter().flat_map(|one| one.packages.iter().copied()).collect()
    }

    #[test]
    fn what_is_missing_is_named() {
        let all = programs(Some("no browser: apt-get install chromium".into()), "", false);
        assert_eq!(packages(&all), ["chromium", "nodejs", "npm"]);
        assert!(all.iter().all(|one| one.what.ends_with(one.packages[0])));
        assert!(programs(None, "v20.0.0", true).is_empty());
        assert_eq!(packages(&programs(None, "v104.1.0", false)), ["npm"]);
    }

    #[test]
    fn an_old_node_is_none() {
        let old = programs(None, "v18.20.4", true);
        assert_eq!(packages(&old), ["nodejs"]);
        assert!(old[0].what.contains("v18.20.4"));
    }
}
