//! What is compiled into a program with `xent-core`, by name: nothing is added unnoticed.
// Where no other program can be started, cargo cannot be asked.
#![cfg(not(target_family = "wasm"))]

use std::collections::BTreeSet;
use std::process::Command;

/// What `xent-core` names, and what that needs.
const ALWAYS: [&str; 2] = ["wide", "bytemuck"];
/// The same, on x86 alone.
const X86: [&str; 2] = ["cpufeatures", "safe_arch"];
/// The same, with the feature `half` alone.
const HALF: [&str; 3] = ["half", "cfg-if", "zerocopy"];
/// What runs when zerocopy is built; nothing of it is in a program.
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

/// The names that cargo finds, down to that depth.
fn found(target: &str, options: &[&str]) -> BTreeSet<String> {
    // Where all of them are there already, as after a build, this needs no network.
    let tree =
        "tree --locked --package xent-core --edges normal --prefix none --format {p} --target";
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(tree.split(' '))
        .arg(target)
        .args(options)
        // What this test is compiled with, a sanitizer say, may not be there for the targets.
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
