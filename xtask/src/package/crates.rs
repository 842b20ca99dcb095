//! The published crates, and their order.

use std::process::Command;

use serde::Deserialize;

use crate::tools;

/// A package of the workspace, as `cargo metadata` describes it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Crate {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    rust_version: Option<String>,
    /// The registries that it may be published to; none if the list is empty.
    #[serde(default)]
    publish: Option<Vec<String>>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Clone, Debug, Deserialize)]
struct Dependency {
    name: String,
    /// None for normal dependencies.
    kind: Option<String>,
    /// For a crate of the workspace.
    path: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    docs: Option<Docs>,
}

#[derive(Clone, Debug, Deserialize)]
struct Docs {
    rs: Option<DocsRs>,
}

/// The metadata for docs.rs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DocsRs {
    #[serde(default)]
    pub(super) all_features: bool,
    #[serde(default)]
    pub(super) targets: Vec<String>,
}

#[derive(Deserialize)]
struct Workspace {
    packages: Vec<Crate>,
}

impl Crate {
    /// The name of its folder in a package.
    pub(super) fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Whether Rust programs use it: it is a library, and neither for C nor a part of a program.
    pub(super) fn is_library(&self) -> bool {
        let has = |wanted: &str| {
            self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == wanted))
        };
        has("lib") && !has("bin")
    }

    /// The metadata for docs.rs, or what is missing there.
    pub(super) fn docs_rs(&self) -> Result<DocsRs, String> {
        let docs = self.metadata.as_ref().and_then(|metadata| metadata.docs.as_ref());
        let told = docs.and_then(|docs| docs.rs.clone()).filter(|told| !told.targets.is_empty());
        let name = &self.name;
        told.ok_or_else(|| format!("{name}: no `targets` in [package.metadata.docs.rs]"))
    }

    /// The names of all workspace crates that it depends on, directly or not, in the order of `crates`.
    pub(super) fn built_from<'a>(&self, crates: &'a [Self]) -> Vec<&'a str> {
        // In reverse, because each crate comes after its dependencies.
        let mut names: Vec<&str> = self.siblings().collect();
        let mut found = Vec::new();
        for other in crates.iter().rev().filter(|other| other.name != self.name) {
            if names.contains(&other.name.as_str()) {
                names.extend(other.siblings());
                found.insert(0, other.name.as_str());
            }
        }
        found
    }

    /// The workspace crates among its direct dependencies.
    fn siblings(&self) -> impl Iterator<Item = &str> {
        let is_built_from =
            |of: &&Dependency| of.path.is_some() && of.kind.as_deref() != Some("dev");
        self.dependencies.iter().filter(is_built_from).map(|of| of.name.as_str())
    }
}

/// The published crates, each after its dependencies.
pub(super) fn published() -> Result<Vec<Crate>, String> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(crate::root()).args(["metadata", "--no-deps", "--format-version=1"]);
    parse(&tools::output(&mut cargo)?)
}

fn parse(metadata: &str) -> Result<Vec<Crate>, String> {
    let workspace: Workspace =
        serde_json::from_str(metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let is_public = |of: &Crate| of.publish.as_ref().is_none_or(|to| !to.is_empty());
    in_order(workspace.packages.into_iter().filter(is_public).collect())
}

fn in_order(mut waiting: Vec<Crate>) -> Result<Vec<Crate>, String> {
    let mut ordered: Vec<Crate> = Vec::new();
    while !waiting.is_empty() {
        let is_there = |name: &str| ordered.iter().any(|there| there.name == name);
        let next = waiting.iter().position(|of| of.siblings().all(is_there));
        let Some(next) = next else {
            let reasons = waiting.iter().map(|of| {
                let lacking: Vec<_> = of.siblings().filter(|name| !is_there(name)).collect();
                format!("{} is built from {}", of.name, lacking.join(", "))
            });
            return Err(format!(
                "no order to publish these in: a crate is not published, or depends on itself\n{}",
                reasons.collect::<Vec<_>>().join("\n")
            ));
        };
        ordered.push(waiting.remove(next));
    }
    Ok(ordered)
}

/// The `rust-version` that all of them state.
pub(super) fn rust_version(crates: &[Crate]) -> Result<&str, String> {
    let stated = |of: &'_ Crate| of.rust_version.clone().unwrap_or_else(|| "none".into());
    let first = crates.first().and_then(|of| of.rust_version.as_deref());
    let other = crates.iter().find(|of| of.rust_version.as_deref() != first);
    match (first, other) {
        (Some(version), None) => Ok(version),
        (_, other) => {
            let named = other.or(crates.first());
            let named = named.map(|of| format!("{} states {}", of.name, stated(of)));
            Err(format!(
                "the crates do not state one rust-version: {}",
                named.unwrap_or_else(|| "there are none".into())
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace as cargo describes it, from names and the text between their braces.
    fn workspace(packages: &[&str]) -> String {
        format!("{{\"packages\": [{}]}}", packages.join(","))
    }

    fn names(crates: &[Crate]) -> Vec<&str> {
        crates.iter().map(|of| of.name.as_str()).collect()
    }

    const FACE: &str = r#"{"name": "face", "version": "1.2.0", "rust_version": "1.89", "publish": null,
        "dependencies": [
            {"name": "core", "kind": null, "path": "/w/core"},
            {"name": "threads", "kind": "build", "path": "/w/threads"},
            {"name": "oracle", "kind": "dev", "path": "/w/oracle"},
            {"name": "serde", "kind": null, "path": null}],
        "targets": [{"kind": ["lib"]}, {"kind": ["test"]}],
        "metadata": {"docs": {"rs": {"all-features": true, "targets": ["here"]}}}}"#;
    const THREADS: &str = r#"{"name": "threads", "rust_version": "1.89",
        "dependencies": [{"name": "core", "kind": null, "path": "/w/core"}]}"#;
    const CORE: &str = r#"{"name": "core", "rust_version": "1.89",
        "targets": [{"kind": ["lib"]}, {"kind": ["bin"]}]}"#;
    const TASKS: &str = r#"{"name": "tasks", "publish": [],
        "dependencies": [{"name": "face", "kind": null, "path": "/w/face"}]}"#;

    #[test]
    fn a_crate_comes_after_those_that_it_is_built_from() {
        let crates = parse(&workspace(&[FACE, TASKS, THREADS, CORE])).expect("an order");
        assert_eq!(names(&crates), ["core", "threads", "face"]);
        assert_eq!(crates[2].folder(), "face-1.2.0");
        assert_eq!(crates[2].built_from(&crates), ["core", "threads"]);
        assert_eq!(crates[1].built_from(&crates), ["core"]);
        assert_eq!(crates[0].built_from(&crates), [""; 0]);
        assert_eq!(crates.iter().map(Crate::is_library).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(rust_version(&crates), Ok("1.89"));
    }

    #[test]
    fn a_crate_that_is_not_published_cannot_be_depended_on() {
        let error = parse(&workspace(&[FACE, THREADS])).expect_err("core is not there");
        assert!(error.contains("face is built from core, threads"), "{error}");
        assert!(error.contains("threads is built from core"), "{error}");
    }

    #[test]
    fn a_circle_has_no_order() {
        let of = |name: &str, other: &str| {
            format!(
                r#"{{"name": "{name}", "dependencies": [{{"name": "{other}", "kind": null, "path": "/w"}}]}}"#
            )
        };
        assert!(parse(&workspace(&[&of("a", "b"), &of("b", "a")])).is_err());
    }

    #[test]
    fn one_compiler_is_supported_by_all() {
        let crates = parse(&workspace(&[CORE, r#"{"name": "odd", "rust_version": "1.90"}"#]));
        let error = rust_version(&crates.expect("an order")).map(str::to_owned).expect_err("two");
        assert!(error.ends_with("odd states 1.90"), "{error}");
        assert!(rust_version(&[Crate { name: "silent".into(), ..Crate::default() }]).is_err());
        assert!(rust_version(&[]).is_err());
    }

    #[test]
    fn docs_rs_is_told_its_targets() {
        let crates = parse(&workspace(&[FACE, THREADS, CORE])).expect("an order");
        let told = crates[2].docs_rs().expect("what docs.rs is told");
        assert!(told.all_features && told.targets == ["here"]);
        assert!(crates[0].docs_rs().is_err());
    }

    #[test]
    fn those_of_this_workspace_can_be_published() {
        let crates = published().expect("an order");
        let place =
            |name: &str| crates.iter().position(|of| of.name == name).expect("a public crate");
        assert!(place("xent-core") < place("xent-rayon") && place("xent-rayon") < place("xent"));
        assert!(place("xent") < place("xent-cli") && place("xent-core") < place("xent-capi"));
        assert!(rust_version(&crates).is_ok());
        assert!(crates.iter().all(|of| of.docs_rs().is_ok()));
    }
}
