//! Which file imports which: no circles in any crate, and in the core the order that ARCHITECTURE.md states.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The file that may be imported by those that it imports: a format names the batches that are compiled for it,
/// and every batch is generic over formats.
const KNOWS_ITS_USERS: &str = "losses/format";

/// The crates whose files are read.
const CRATES: [&str; 14] = [
    "crates/xent-core",
    "crates/xent-rayon",
    "crates/xent-linear",
    "crates/xent",
    "crates/xent-capi",
    "crates/xent-cli",
    "crates/xent-reference",
    "xtask",
    "fuzz",
    "examples/web",
    "integrations/burn",
    "integrations/candle",
    "integrations/mpi",
    "python",
];

/// The files of a crate by name (`losses/format`, the root is empty), and those that each imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_file_imports_one_that_imports_it() {
    for name in CRATES {
        let mut imports = imports_of(&root().join(name).join("src"));
        if name == "crates/xent-core" {
            let of_format = imports.insert(KNOWS_ITS_USERS.to_owned(), BTreeSet::new());
            assert!(of_format.is_some(), "there is no file {KNOWS_ITS_USERS}");
        }
        if let Some(circle) = circle(&imports) {
            panic!("files of {name} import each other: {}", circle.join(" -> "));
        }
    }
}

#[test]
fn modules_of_the_core_import_in_the_order_that_is_stated() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let order = stated_order(&text);
    let imports = imports_of(&root().join("crates/xent-core/src"));
    let modules: BTreeSet<&str> = imports.keys().map(|file| module(file)).collect();
    let stated: BTreeSet<&str> = order.iter().map(String::as_str).chain([""]).collect();
    assert_eq!(stated, modules, "ARCHITECTURE.md states an order of other modules");
    let place = |of: &str| order.iter().position(|module| module == of);
    for (file, imported) in &imports {
        // The root gives everything its public name.
        let Some(own) = place(module(file)) else { continue };
        for other in imported {
            let Some(of_other) = place(module(other)) else {
                panic!("{file} imports by a public name of the crate: it hides the module");
            };
            assert!(
                of_other <= own,
                "{file} imports {other}, which comes later in ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn circles_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    put("lib.rs", "mod a; mod b; mod c;");
    put("a.rs", "use crate::{b::One, c};");
    put("b/mod.rs", "mod deep; pub(crate) use deep::{One, Two as Three};");
    put(
        "b/deep.rs",
        "#[cfg(test)] mod tests { use crate::a; } fn f() { mod x { use super::super::other; } }",
    );
    put("b/other.rs", "");
    put("c.rs", "macro_rules! m { () => { $crate::b::Three::new() } }");
    let imports = imports_of(folder.path());
    let of = |file: &str| imports[file].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("a"), ["b/deep", "c"]);
    assert_eq!(of("b/deep"), ["b/other"]);
    assert_eq!(of("c"), ["b/deep"]);
    assert_eq!(circle(&imports), None);

    put("b/other.rs", "use super::super::a::anything;");
    let circle = circle(&imports_of(folder.path())).unwrap();
    assert_eq!(circle, ["a", "b/deep", "b/other", "a"]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The name of the folder or file in the crate's root.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

/// The modules of the list in the section about the order of imports: what is in backquotes first of each item.
fn stated_order(text: &str) -> Vec<String> {
    let (_, section) = text.split_once("\n## Order of imports\n").expect("a section on the order");
    let section = section.split("\n## ").next().unwrap();
    let items = section.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    items.map(|item| item.split('`').nth(1).expect("a module in backquotes").to_owned()).collect()
}

/// A way from a file back to itself.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    fn visit<'a>(
        file: &'a str,
        imports: &'a Imports,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|other| *other == file) {
            return Some(
                way[start..].iter().chain([&file]).map(|file| (*file).to_owned()).collect(),
            );
        }
        if !done.insert(file) {
            return None;
        }
        way.push(file);
        let circle = imports[file].iter().find_map(|other| visit(other, imports, way, done));
        way.pop();
        circle
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|file| visit(file, imports, &mut Vec::new(), &mut done))
}

fn imports_of(folder: &Path) -> Imports {
    let mut texts = BTreeMap::new();
    read(folder, folder, &mut texts);
    let names: BTreeSet<String> = texts.keys().cloned().collect();
    let mut paths = BTreeMap::new();
    let mut given = BTreeMap::new();
    for (name, text) in &texts {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut found = Found::default();
        let mut place = segments(name);
        if name == "lib" || name == "main" {
            place.clear();
        }
        found.walk(tokens, &mut place);
        paths.insert(name.clone(), found.paths);
        for (public, path) in found.given {
            given.insert((name.clone(), public), path);
        }
    }
    let resolve = |path: &[String]| {
        let mut file = file_of(path, &names)?;
        // A name that a module passes on is one of another file.
        let mut rest = path[segments(&file).len()..].to_vec();
        while let Some(next) =
            rest.first().and_then(|name| given.get(&(file.clone(), name.clone())))
        {
            let target = file_of(next, &names)?;
            if target == file {
                break;
            }
            rest = next[segments(&target).len()..].to_vec();
            file = target;
        }
        Some(file)
    };
    let of_file = |(name, paths): (&String, &Vec<Vec<String>>)| {
        let others = paths.iter().filter_map(|path| resolve(path));
        (name.clone(), others.filter(|other| other != name).collect())
    };
    let mut imports: Imports = paths.iter().map(of_file).collect();
    // The roots give names, and import to do so.
    for root in ["", "main"] {
        if let Some(of_root) = imports.get_mut(root) {
            of_root.clear();
        }
    }
    imports
}

fn segments(name: &str) -> Vec<String> {
    name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The file in which a path's module is.
fn file_of(path: &[String], names: &BTreeSet<String>) -> Option<String> {
    (0..=path.len()).rev().map(|length| path[..length].join("/")).find(|name| names.contains(name))
}

fn read(root: &Path, folder: &Path, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().with_extension("");
            let name = name.to_str().unwrap().replace('\\', "/");
            let name = name.strip_suffix("/mod").unwrap_or(&name);
            let name = if name == "lib" { "" } else { name };
            texts.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
}

/// What a file names of its crate.
#[derive(Default)]
struct Found {
    /// Paths from the crate's root.
    paths: Vec<Vec<String>>,
    /// Names that it passes on, and what they are.
    given: Vec<(String, Vec<String>)>,
}

impl Found {
    /// `place` is the module in which the tokens are.
    fn walk(&mut self, tokens: TokenStream, place: &mut Vec<String>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let word = ident(&tokens[at]);
            if let (Some("mod"), Some(name), Some(TokenTree::Group(body))) =
                (word.as_deref(), tokens.get(at + 1).and_then(ident), tokens.get(at + 2))
            {
                if name != "tests" {
                    place.push(name);
                    self.walk(body.stream(), place);
                    place.pop();
                }
                at += 3;
                continue;
            }
            match word.as_deref() {
                Some("use") => {
                    let is_given = at > 0 && is_public(&tokens[..at]);
                    let mut found = Vec::new();
                    at = tree(&tokens, at + 1, &[], &mut found);
                    for path in found {
                        let is_own = is_given && !is_keyword(&path[0]);
                        let absolute = match absolute(&path, place) {
                            Some(absolute) => absolute,
                            None if is_own => [place.clone(), path.clone()].concat(),
                            None => continue,
                        };
                        if is_given {
                            let name = absolute.last().cloned().unwrap_or_default();
                            self.given.push((name, absolute));
                        } else {
                            self.paths.push(absolute);
                        }
                    }
                }
                Some("crate" | "super" | "self") if follows_colons(&tokens, at + 1) => {
                    let mut found = Vec::new();
                    at = tree(&tokens, at, &[], &mut found);
                    self.paths.extend(found.iter().filter_map(|path| absolute(path, place)));
                }
                _ => {
                    if let TokenTree::Group(group) = &tokens[at] {
                        self.walk(group.stream(), place);
                    }
                    at += 1;
                }
            }
        }
    }
}

fn ident(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "crate" | "super" | "self")
}

/// Whether the tokens before a `use` end in `pub` or `pub(...)`.
fn is_public(before: &[TokenTree]) -> bool {
    match before {
        [.., last] if ident(last).as_deref() == Some("pub") => true,
        [.., visible, TokenTree::Group(group)] => {
            ident(visible).as_deref() == Some("pub") && group.delimiter() == Delimiter::Parenthesis
        }
        _ => false,
    }
}

fn follows_colons(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    is_colon(tokens.get(at)) && is_colon(tokens.get(at + 1))
}

/// The paths of a tree (`a::{b, c as d}`) from there on, each as it is written; where it ends. A path that gets
/// another name ends in that: it is what others ask for.
fn tree(
    tokens: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(word)) => {
                path.push(word.to_string());
                at += 1;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut start = 0;
                while start < inner.len() {
                    start = tree(&inner, start, &path, paths);
                    // Up to the comma, and over it.
                    while start < inner.len()
                        && !matches!(&inner[start], TokenTree::Punct(p) if p.as_char() == ',')
                    {
                        start += 1;
                    }
                    start += 1;
                }
                return at + 1;
            }
            _ => at += usize::from(at < tokens.len()),
        }
        if follows_colons(tokens, at) {
            at += 2;
            continue;
        }
        if tokens.get(at).and_then(ident).as_deref() == Some("as") {
            if let Some(name) = tokens.get(at + 1).and_then(ident) {
                path.push(name);
            }
            at += 2;
        }
        if !path.is_empty() {
            paths.push(path);
        }
        return at;
    }
}

/// A path from the crate's root, if it is one of the crate.
fn absolute(path: &[String], place: &[String]) -> Option<Vec<String>> {
    let mut base = match path[0].as_str() {
        "crate" => Vec::new(),
        "self" => place.to_vec(),
        "super" => place[..place.len().saturating_sub(1)].to_vec(),
        _ => return None,
    };
    for part in &path[1..] {
        match part.as_str() {
            "super" => {
                base.pop();
            }
            "self" => {}
            _ => base.push(part.clone()),
        }
    }
    Some(base)
}
