//! Checks by name what is compiled into a program with `xent-core`, so that no dependency is added
//! unnoticed.
// Without processes, cargo cannot be asked.
#![cfg(not(target_family = "wasm"))]

use std::collections::BTreeSet;
use std::process::Command;

/// The dependencies of `xent-core`, and theirs.
const ALWAYS: [&str; 2] = ["wide", "bytemuck"];
/// The same, on x86 alone.
const X86: [&str; 2] = ["cpufeatures", "safe_arch"];
/// The same, with the feature `half` alone.
const HALF: [&str; 3] = ["half", "cfg-if", "zerocopy"];
/// Crates that run when zerocopy is built; no program contains them.
const BUILDS_ZEROCOPY: [&str; 5] =
    ["zerocopy-derive", "proc-macro2", "quote", "syn", "unicode-ident"];

const TARGETS: [(&str, bool); 6] = [
    ("x86_64-unknown-linux-gnu", true),
    ("x86_64-pc-windows-msvc", true),
    ("i686-unknown-linux-gnu", true),
    ("aarch64-apple-darwin", false),
    ("thumbv7em-none-eabihf", false),
    ("wasm32-unknown-unknown", false),
];

/// The names that cargo lists, up to that depth.
fn found(target: &str, options: &[&str]) -> BTreeSet<String> {
    // If all of them are there, as after a build, this needs no network.
    let tree =
        "tree --locked --package xent-core --edges normal --prefix none --format {p} --target";
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(tree.split(' '))
        .arg(target)
        .args(options)
        // Flags of this test, such as a sanitizer's, may not exist for the targets.
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| *name != "xent-core").map(str::to_owned).collect()
}

fn expected<'a>(parts: &[&'a [&'a str]]) -> BTreeSet<String> {
    parts.concat().into_iter().map(str::to_owned).collect()
}

#[test]
fn all_that_is_depended_on_is_listed_here() {
    for (target, is_x86) in TARGETS {
        let x86 = if is_x86 { &X86[..] } else { &[] };
        assert_eq!(found(target, &[]), expected(&[&ALWAYS, x86]), "{target}");
        let with_half = expected(&[&ALWAYS, x86, &HALF, &BUILDS_ZEROCOPY]);
        assert_eq!(found(target, &["--all-features"]), with_half, "{target}, all features");
    }
}

#[test]
fn what_it_names_itself_is_the_first_of_each() {
    for (target, is_x86) in TARGETS {
        let x86 = if is_x86 { &X86[..1] } else { &[] };
        let direct = expected(&[&ALWAYS[..1], x86, &HALF[..1]]);
        assert_eq!(found(target, &["--all-features", "--depth", "1"]), direct, "{target}");
    }
}
