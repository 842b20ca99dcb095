//! Checks that the tables of unsafe code in ARCHITECTURE.md are true, and that there is no other in the workspace.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The folders of the crates with unsafe code, each with a table.
const WITH_UNSAFE_CODE: [&str; 4] =
    ["crates/xent-core", "crates/xent-capi", "crates/xent-linear", "python"];

/// The counts in a crate's table.
fn counts_of_table(text: &str, of: &str) -> BTreeMap<String, usize> {
    let head = format!("| file of `{of}` |");
    let table = text.split(&head).nth(1).expect("a table of unsafe code");
    let table = table.split("\n\n").next().unwrap_or_default();
    let cells = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.parse().ok()?))
    });
    cells.collect()
}

/// The number of `unsafe`, including those in macros but not those of types; and how many of them are neither blocks nor attributes nor
/// foreign declarations (which count as a block).
fn count(tokens: TokenStream) -> [usize; 2] {
    let (mut all, mut others) = (0, 0);
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "unsafe" => {
                // The type of a function of C does nothing: what follows `fn` is no name.
                let after = [tokens.clone().nth(2), tokens.clone().nth(3)];
                if let [Some(TokenTree::Ident(word)), Some(TokenTree::Group(_))] = after
                    && word == "fn"
                {
                    continue;
                }
                let block = match tokens.peek() {
                    Some(TokenTree::Group(group)) => match group.delimiter() {
                        Delimiter::Brace => true,
                        // An attribute. The one that sets a symbol's name does nothing that a SAFETY comment could
                        // argue about.
                        Delimiter::Parenthesis => group.stream().to_string() != "no_mangle",
                        _ => false,
                    },
                    // Foreign declarations, not a function for C.
                    Some(TokenTree::Ident(word)) if word == "extern" => {
                        let braces = |token: &TokenTree| matches!(token, TokenTree::Group(_));
                        tokens.clone().nth(2).as_ref().is_some_and(braces)
                    }
                    _ => false,
                };
                all += 1;
                others += usize::from(!block);
            }
            TokenTree::Group(group) => {
                let inner = count(group.stream());
                all += inner[0];
                others += inner[1];
            }
            _ => {}
        }
    }
    [all, others]
}

fn count_in(file: &Path) -> [usize; 2] {
    let text = read_to_string(file).expect("a file that can be read");
    count(text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// The sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn tokens_are_counted_and_words_are_not() {
    let text = r##"
        // unsafe { }
        /* unsafe /* unsafe */ */
        /// An unsafe fn.
        #[allow(unused_unsafe)]
        fn f<'a>(text: &'a str) { let c = ['"', '\'']; let s = "unsafe {"; r#"unsafe { " "#; }
        macro_rules! m { () => { unsafe { g(unsafe { h() }) } } }
        unsafe fn g() {}
        unsafe impl Send for S {}
        unsafe extern "C" { safe fn f(); }
        #[unsafe(naked)] fn n() {}
        type F = unsafe extern "C" fn(i32) -> i32;
    "##;
    assert_eq!(count(text.parse().expect("tokens")), [6, 2]);
}

#[test]
fn the_tables_of_unsafe_code_are_true() {
    let text = read_to_string(workspace().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for of in WITH_UNSAFE_CODE {
        let root = workspace().join(of);
        let mut table = counts_of_table(&text, of);
        assert!(!table.is_empty(), "the table of {of} in ARCHITECTURE.md was not found");
        for file in sources(&root) {
            let [found, others] = count_in(&file);
            let name = file.strip_prefix(&root).expect("a file of the crate").display().to_string();
            // Functions for C cannot be safe, nor can the attributes with their names.
            assert!(
                others == 0 || of == "crates/xent-capi",
                "{name}: only blocks are unsafe, no functions, traits or impls"
            );
            let found = found - others;
            let said = table.remove(&name).unwrap_or(0);
            assert_eq!(
                found, said,
                "{name} has {found} unsafe blocks, in ARCHITECTURE.md it has {said}"
            );
        }
        assert!(table.is_empty(), "ARCHITECTURE.md counts unsafe code of no file: {table:?}");
    }
}

#[test]
fn every_other_crate_forbids_unsafe_code() {
    let root = workspace();
    let crates = read_dir(root.join("crates")).expect("the crates");
    let crates = crates.map(|entry| entry.expect("an entry").path());
    let folders: Vec<PathBuf> = crates
        .filter(|path| !WITH_UNSAFE_CODE.iter().any(|name| path.ends_with(name)))
        .chain(["benches", "xtask"].map(|name| root.join(name)))
        .collect();
    assert!(folders.len() > 3, "the crates of the workspace were not found");
    for folder in folders {
        let roots = ["src/lib.rs", "src/main.rs", "lib.rs"].map(|name| folder.join(name));
        let root = roots.into_iter().find(|path| path.exists());
        let root = root.unwrap_or_else(|| panic!("{}: no root of a crate", folder.display()));
        let text = read_to_string(&root).expect("a file that can be read");
        let forbids = text.lines().any(|line| line == "#![forbid(unsafe_code)]");
        assert!(forbids, "{} does not forbid unsafe code", root.display());
        for file in sources(&folder) {
            // Tests, examples and benchmarks are crates of their own.
            assert_eq!(count_in(&file)[0], 0, "{} has unsafe code", file.display());
        }
    }
}
