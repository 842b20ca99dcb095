//! The functions in a program by the module of their kernel, from its symbols, and which of them are a kernel's
//! entry at a level.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use serde::{Deserialize, Serialize};

/// The functions of the core that belong to no kernel and no loss.
const CORE: &str = "xent-core, other";
/// Those of `xent`, and of the crate that runs batches on threads.
const FACE: &str = "xent";
/// All other code: the standard library, rayon, and code without a symbol.
const OTHERS: &str = "other crates";

/// A function, according to its symbol.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    family: String,
    /// The level, if this is a kernel's entry.
    level: Option<String>,
}

/// Parses a symbol. All knowledge about the dispatch is here.
///
/// An entry is a function `avx2_entry`, `portable_entry` and so on of the core, generic over the kernel. (One
/// called `entry` comes from a dispatch with all entries in one place; only mangling v0 tells its two apart, by
/// their order.)
fn classify(mangled: &str) -> Function {
    let name = format!("{:#}", rustc_demangle::demangle(mangled));
    let krate = name.trim_start_matches(['<', '&', '*', '(']).split("::").next();
    let family = match kernel_module(&name) {
        Some(module) => module,
        None => match krate.unwrap_or_default() {
            "xent_core" => CORE.into(),
            "xent" | "xent_rayon" => FACE.into(),
            _ => OTHERS.into(),
        },
    };
    let function = without_generics(&name).filter(|_| krate == Some("xent_core"));
    let level = function.and_then(|function| match function.rsplit("::").next()? {
        "entry" if !mangled.starts_with("_R") => Some("avx2 or avx512".into()),
        "entry" if mangled.contains("s_5entry") => Some("avx512".into()),
        "entry" => Some("avx2".into()),
        last => last.strip_suffix("_entry").map(|level| level.replace('_', "-")),
    });
    Function { family, level }
}

/// The first module of a kernel or a loss in a name.
fn kernel_module(name: &str) -> Option<String> {
    let modules = ["kernel", "losses"].into_iter().filter_map(|folder| {
        let path = format!("xent_core::{folder}::");
        let at = name.find(&path)?;
        let rest = &name[at + path.len()..];
        let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        Some((at, format!("{folder}::{}", &rest[..end])))
    });
    modules.min().map(|(_, module)| module)
}

/// A path without the generic arguments at its end, if nothing follows them.
fn without_generics(name: &str) -> Option<&str> {
    if !name.ends_with('>') {
        return Some(name);
    }
    let bytes = name.as_bytes();
    let mut depth = 0;
    for at in (0..bytes.len()).rev() {
        match bytes[at] {
            // From the type of a function.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' => depth += 1,
            b'<' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return name[..at].strip_suffix("::");
        }
    }
    None
}

/// The code of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Family {
    /// Bytes of code in the program.
    pub(super) text: u64,
    /// Compiled entries by level, including those in the libraries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) instances: BTreeMap<String, u64>,
}

/// The contents of a program.
#[derive(Debug, Default)]
pub(super) struct Anatomy {
    /// Bytes of all code.
    pub(super) text: u64,
    /// Bytes of code, constants and initial values of variables.
    pub(super) flash: u64,
    pub(super) families: BTreeMap<String, Family>,
    /// Entries that were compiled outside the core.
    pub(super) elsewhere: u64,
}

impl Anatomy {
    /// Reads a program with symbols, and the libraries that it was linked with.
    pub(super) fn read(program: &Path, libraries: &[PathBuf]) -> Result<Self, String> {
        let mut anatomy = Self::default();
        let bytes = read(program)?;
        let unreadable = |why: object::Error| format!("{}: {why}", program.display());
        let file = object::File::parse(&bytes[..])
            .map_err(|why| format!("{} (only ELF is read)", unreadable(why)))?;
        for section in file.sections() {
            let text = section.kind() == SectionKind::Text;
            let constant = matches!(
                section.kind(),
                SectionKind::ReadOnlyData
                    | SectionKind::ReadOnlyDataWithRel
                    | SectionKind::ReadOnlyString
                    | SectionKind::Data
            );
            anatomy.text += if text { section.size() } else { 0 };
            anatomy.flash += if text || constant { section.size() } else { 0 };
        }
        // Two names of one function count once.
        let mut functions = BTreeMap::<u64, (&str, u64)>::new();
        for symbol in file.symbols().filter(is_function) {
            let known = functions.entry(symbol.address()).or_default();
            if symbol.size() > known.1 {
                *known = (symbol.name().unwrap_or_default(), symbol.size());
            }
        }
        let mut rest = anatomy.text;
        for (name, size) in functions.into_values() {
            anatomy.families.entry(classify(name).family).or_default().text += size;
            rest = rest.saturating_sub(size);
        }
        anatomy.families.entry(OTHERS.into()).or_default().text += rest;

        let (mut of_core, mut elsewhere) = (BTreeSet::new(), entries(&file));
        for library in libraries {
            let found = entries_of_library(library)?;
            let is_core = library
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("libxent_core"));
            if is_core { of_core.extend(found) } else { elsewhere.extend(found) }
        }
        if !libraries.is_empty() {
            anatomy.elsewhere = elsewhere.difference(&of_core).count() as u64;
        }
        for name in of_core.union(&elsewhere) {
            let Function { family, level } = classify(name);
            let family = anatomy.families.entry(family).or_default();
            *family.instances.entry(level.unwrap_or_default()).or_default() += 1;
        }
        Ok(anatomy)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn is_function<'a>(symbol: &impl ObjectSymbol<'a>) -> bool {
    symbol.kind() == SymbolKind::Text && symbol.is_definition() && symbol.size() > 0
}

/// The names of the entries in a file.
fn entries(file: &object::File<'_>) -> BTreeSet<String> {
    let names = file.symbols().filter(is_function);
    let names = names.filter_map(|symbol| symbol.name().ok().map(name_of_source));
    names.filter(|name| classify(name).level.is_some()).map(str::to_owned).collect()
}

/// A symbol without the suffix that LLVM adds when it shares a function between its units.
fn name_of_source(symbol: &str) -> &str {
    symbol.split(".llvm.").next().unwrap_or(symbol)
}

fn entries_of_library(library: &Path) -> Result<BTreeSet<String>, String> {
    let unreadable = |why: object::Error| format!("{}: {why}", library.display());
    let bytes = read(library)?;
    let archive = ArchiveFile::parse(&bytes[..]).map_err(unreadable)?;
    let mut found = BTreeSet::new();
    for member in archive.members() {
        let member = member.map_err(unreadable)?;
        // Archives also contain the compiler's metadata about the crate.
        if member.name().ends_with(b".o") {
            let data = member.data(&bytes[..]).map_err(unreadable)?;
            found.extend(entries(&object::File::parse(data).map_err(unreadable)?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mangled: &str) -> (String, Option<String>) {
        let Function { family, level } = classify(mangled);
        (family, level)
    }

    fn entry(family: &str, level: &str) -> (String, Option<String>) {
        (family.into(), Some(level.into()))
    }

    fn other(family: &str) -> (String, Option<String>) {
        (family.into(), None)
    }

    #[test]
    fn an_entry_has_a_level_and_the_family_of_its_kernel() {
        // A name that is not mangled stays unchanged.
        for (name, want) in [
            (
                "xent_core::kernel::softmax::avx512_entry::<xent_core::kernel::softmax::Rows<f32>>",
                entry("kernel::softmax", "avx512"),
            ),
            (
                "<xent_core::losses::sigmoid::Tile<f64> as xent_core::dispatch::Kernel>::portable_entry",
                entry("losses::sigmoid", "portable"),
            ),
            ("xent_core::dispatch::avx2_entry::<xent_core::math::A<f32>>", entry(CORE, "avx2")),
            (
                "xent_core::kernel::grid::relaxed_simd_entry::<fn(f32) -> f32>",
                entry("kernel::grid", "relaxed-simd"),
            ),
        ] {
            assert_eq!(of(name), want, "{name}");
        }
    }

    #[test]
    fn entries_of_one_place_are_told_apart_by_their_order() {
        let mangled = |entry: &str| {
            format!(
                "_RINvNvMNtCs4GlwZzuLP7g_9xent_core8dispatchNtNtB7_5level5Level3run{entry}INtNtNtB7_6kernel\
                 6passes11PutGradientfEEB7_"
            )
        };
        assert_eq!(of(&mangled("5entry")), entry("kernel::passes", "avx2"));
        assert_eq!(of(&mangled("s_5entry")), entry("kernel::passes", "avx512"));
        let legacy = "_ZN9xent_core8dispatch41_$LT$impl$u20$xent_core..level..Level$GT$3run5entry\
                      17h0123456789abcdefE";
        assert_eq!(of(legacy), entry(CORE, "avx2 or avx512"));
    }

    #[test]
    fn what_is_no_entry_has_no_level() {
        for (name, want) in [
            ("xent_core::kernel::softmax::avx2_entry::<K>::{closure#0}", other("kernel::softmax")),
            (
                "core::ops::function::FnOnce::call_once::<xent_core::kernel::a::avx2_entry<f32>>",
                other("kernel::a"),
            ),
            ("<xent_core::level::Level>::detect", other(CORE)),
            ("<xent::pass::Pass>::run::<f32>", other(FACE)),
            ("xent_rayon::join", other(FACE)),
            ("std::rt::lang_start_internal", other(OTHERS)),
            ("std::sys::avx2_entry", other(OTHERS)),
            ("memcpy", other(OTHERS)),
        ] {
            assert_eq!(of(name), want, "{name}");
        }
    }

    #[test]
    fn the_first_kernel_that_is_mentioned_counts() {
        let name = "<xent_core::losses::softmax::Job<f32>>::run::<xent_core::kernel::cells::Cells>";
        assert_eq!(of(name), other("losses::softmax"));
    }

    #[test]
    fn names_without_their_ends() {
        assert_eq!(without_generics("a::b::<fn(A<B>) -> C>"), Some("a::b"));
        assert_eq!(without_generics("a::b"), Some("a::b"));
        assert_eq!(without_generics("<a as b>"), None);
        assert_eq!(name_of_source("_RNvC1a1b.llvm.123"), "_RNvC1a1b");
    }
}
