//! Many mutants in one source file: each is a branch that is taken when its mutant is active.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr};

use super::list::Mutant;

/// The source with the mutants, and those that cannot be woven: in constants, or in conditions with
/// a `let`.
pub(crate) struct Woven {
    pub(crate) text: String,
    pub(crate) left_out: BTreeSet<usize>,
}

/// Weaves mutants into the source of a file; `on` is the path of the function that tells which one
/// is active.
///
/// An operator is replaced together with its operands, so precedence does not change.
pub(crate) fn weave(source: &str, mutants: &[(usize, &Mutant)], on: &str) -> Result<Woven, String> {
    let file = syn::parse_file(source).map_err(|error| error.to_string())?;
    let mut sites = BTreeMap::<_, Vec<_>>::new();
    for &(id, mutant) in mutants {
        sites.entry((mutant.genre.as_str(), mutant.start)).or_default().push((id, mutant));
    }
    let mut finder = Finder { source, on, sites, edits: Vec::new() };
    finder.visit_file(&file);
    let mut edits = finder.edits;
    edits.sort_by_key(|edit| (edit.range.start, Reverse(edit.range.end)));
    let left_out = finder.sites.into_values().flatten().map(|(id, _)| id).collect();
    Ok(Woven { text: render(source, &edits, 0..source.len(), None), left_out })
}

/// A range of the source, and its replacement.
struct Edit {
    range: Range<usize>,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    /// A range of the source with the edits inside it.
    Source(Range<usize>),
}

/// A range of the source with all edits inside it except the one it is a part of.
fn render(source: &str, edits: &[Edit], range: Range<usize>, but: Option<usize>) -> String {
    let mut text = String::new();
    let mut at = range.start;
    for (index, edit) in edits.iter().enumerate() {
        if Some(index) == but || edit.range.start < at || edit.range.end > range.end {
            continue;
        }
        text.push_str(&source[at..edit.range.start]);
        for part in &edit.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Source(part) => {
                    text.push_str(&render(source, edits, part.clone(), Some(index)));
                }
            }
        }
        at = edit.range.end;
    }
    text.push_str(&source[at..range.end]);
    text
}

type Site<'a> = Vec<(usize, &'a Mutant)>;

/// Finds the places of mutants.
struct Finder<'a> {
    source: &'a str,
    on: &'a str,
    /// Those not found yet, by kind, line and column of the replaced code.
    sites: BTreeMap<(&'a str, (usize, usize)), Site<'a>>,
    edits: Vec<Edit>,
}

impl<'a> Finder<'a> {
    fn take(&mut self, genre: &'static str, of: impl Spanned) -> Option<Site<'a>> {
        let start = of.span().start();
        self.sites.remove(&(genre, (start.line, start.column + 1)))
    }

    fn on(&self, id: usize) -> String {
        format!("{}({id})", self.on)
    }

    /// `if on(1) { … } else if on(2) { … } else { … }`.
    fn branches(&self, site: &Site<'_>, branch: impl Fn(Option<&str>) -> String) -> String {
        let mut text = String::new();
        for (id, mutant) in site {
            let branch = branch(Some(&mutant.replacement));
            text.push_str(&format!("if {} {{ {branch} }} else ", self.on(*id)));
        }
        text + &format!("{{ {} }}", branch(None))
    }

    fn edit(&mut self, range: Range<usize>, parts: impl IntoIterator<Item = Part>) {
        self.edits.push(Edit { range, parts: parts.into_iter().collect() });
    }

    fn body(&mut self, signature: &syn::Signature, block: &syn::Block) -> bool {
        if signature.constness.is_some() {
            return false;
        }
        if let Some(first) = block.stmts.first()
            && let Some(site) = self.take("FnValue", first)
        {
            let mut text = "{ ".to_owned();
            for (id, mutant) in site {
                let on = self.on(id);
                text.push_str(&format!("if {on} {{ return {}; }} ", mutant.replacement));
            }
            self.edit(range(block.brace_token.span.open()), [Part::Text(text)]);
        }
        true
    }

    fn operator(&mut self, site: &Site<'_>, expr: &syn::ExprBinary) {
        let (left, right) = (Part::Source(range(&*expr.left)), Part::Source(range(&*expr.right)));
        let op = &self.source[range(expr.op)];
        let head = |rest: &str| Part::Text(format!("(match/*{}*/ {rest}", marker(site)));
        let parts = if let BinOp::And(_) | BinOp::Or(_) = expr.op {
            // At most one mutant: the other operator of the two, so the other value decides.
            let (id, _) = site[0];
            let decides = if let BinOp::And(_) = expr.op { "!=" } else { "==" };
            let test = format!(") {{ __l => if __l {decides} {} {{ ", self.on(id));
            vec![head("("), left, Part::Text(test), right, Part::Text(" } else { __l } })".into())]
        } else if op.ends_with('=') && !is_comparison(&expr.op) {
            let mut parts = vec![head("("), right, Part::Text(") { __r => ".into())];
            for (id, mutant) in site {
                parts.push(Part::Text(format!("if {} {{ ", self.on(*id))));
                parts.push(Part::Source(range(&*expr.left)));
                parts.push(Part::Text(format!(" {} __r }} else ", mutant.replacement)));
            }
            parts.extend([Part::Text("{ ".into()), left, Part::Text(format!(" {op} __r }} }})"))]);
            parts
        } else {
            let (by, of) = if is_comparison(&expr.op) { ("&", "*") } else { ("", "") };
            let branches =
                self.branches(site, |new| format!("{of}__l {} {of}__r", new.unwrap_or(op)));
            vec![
                head(&format!("({by}(")),
                left,
                Part::Text(format!("), {by}(")),
                right,
                Part::Text(format!(")) {{ (__l, __r) => {branches} }})")),
            ]
        };
        self.edit(range(expr), parts);
    }
}

/// Names the mutants of a place in a comment.
fn marker(site: &Site<'_>) -> String {
    format!("mutant::site({})", site[0].0)
}

fn is_comparison(op: &BinOp) -> bool {
    use BinOp::{Eq, Ge, Gt, Le, Lt, Ne};
    matches!(op, Eq(_) | Ge(_) | Gt(_) | Le(_) | Lt(_) | Ne(_))
}

/// Whether there is a `let` among the operands of `&&`.
fn binds(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(expr) => binds(&expr.left) || binds(&expr.right),
        _ => false,
    }
}

fn range(of: impl Spanned) -> Range<usize> {
    of.span().byte_range()
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if self.body(&function.sig, &function.block) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if self.body(&function.sig, &function.block) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default
            && self.body(&function.sig, block)
        {
            visit::visit_trait_item_fn(self, function);
        }
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        let whole = Expr::Binary(expr.clone());
        if !binds(&whole)
            && let Some(site) = self.take("BinaryOperator", expr.op)
        {
            self.operator(&site, expr);
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast syn::ExprUnary) {
        if let Some(site) = self.take("UnaryOperator", expr.op) {
            let op = &self.source[range(expr.op)];
            let branches =
                self.branches(&site, |new| format!("{}__v", if new.is_some() { "" } else { op }));
            let head = format!("(match/*{}*/ (", marker(&site));
            let tail = format!(") {{ __v => {branches} }})");
            let operand = Part::Source(range(&*expr.expr));
            self.edit(range(expr), [Part::Text(head), operand, Part::Text(tail)]);
        }
        visit::visit_expr_unary(self, expr);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let guard = arm.guard.as_ref();
        let deleted = self.take("MatchArm", arm);
        let replaced = match guard {
            Some((_, guard)) if !binds(guard) => self.take("MatchArmGuard", &**guard),
            _ => None,
        };
        let is_there = deleted.map(|site| format!("!{}", self.on(site[0].0)));
        match (guard, is_there, replaced) {
            (None, Some(there), _) => {
                self.edit(range(arm.fat_arrow_token), [Part::Text(format!("if {there} =>"))]);
            }
            (Some((keyword, guard)), there, replaced) if there.is_some() || replaced.is_some() => {
                let there = there.map_or(String::new(), |there| format!("{there} && "));
                let mut text = format!("if {there}(");
                for (id, mutant) in replaced.into_iter().flatten() {
                    let on = self.on(id);
                    text.push_str(&if mutant.replacement == "true" {
                        format!("{on} || ")
                    } else {
                        format!("!{on} && ")
                    });
                }
                let end = range(&**guard).end;
                let parts = [
                    Part::Text(text + "("),
                    Part::Source(range(&**guard)),
                    Part::Text("))".into()),
                ];
                self.edit(range(keyword).start..end, parts);
            }
            _ => {}
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expr: &'ast syn::ExprStruct) {
        for field in &expr.fields {
            if let Some(base) = &expr.rest
                && let Some(site) = self.take("StructField", field)
            {
                let (id, _) = site[0];
                let name = &self.source[range(&field.member)];
                let head = format!("{name}: if {} {{ let __b = ", self.on(id));
                let middle = Part::Text(format!("; __b.{name} }} else {{ "));
                let value = Part::Source(range(&field.expr));
                let base = Part::Source(range(&**base));
                let parts = [Part::Text(head), base, middle, value, Part::Text(" }".into())];
                self.edit(range(field), parts);
            }
        }
        visit::visit_expr_struct(self, expr);
    }

    fn visit_expr_repeat(&mut self, expr: &'ast syn::ExprRepeat) {
        self.visit_expr(&expr.expr);
    }

    // Constants and patterns have no branches.
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}

    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}

    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woven(source: &str, mutants: &[(&str, usize, &str)]) -> Woven {
        let of = |&(genre, column, replacement): &(&str, usize, &str)| Mutant {
            name: String::new(),
            file: String::new(),
            genre: genre.into(),
            replacement: replacement.into(),
            start: (1, column),
        };
        let mutants: Vec<Mutant> = mutants.iter().map(of).collect();
        let numbered: Vec<(usize, &Mutant)> = mutants.iter().enumerate().collect();
        weave(source, &numbered, "on").expect("valid source")
    }

    #[test]
    fn each_mutant_is_a_branch() {
        let mutants =
            [("FnValue", 18, "true"), ("BinaryOperator", 20, "||"), ("UnaryOperator", 23, "")];
        let woven = woven("fn f() -> bool { a && !b }", &mutants);
        let body = "if on(0) { return true; }  (match/*mutant::site(1)*/ (a) { __l => if __l != on(1) \
                    { (match/*mutant::site(2)*/ (b) { __v => if on(2) { __v } else { !__v } }) } \
                    else { __l } })";
        assert_eq!(woven.text, format!("fn f() -> bool {{ {body} }}"));
        assert!(woven.left_out.is_empty());
    }

    #[test]
    fn operators_keep_their_operands() {
        let text = woven("fn f() { a * b + c }", &[("BinaryOperator", 12, "/")]).text;
        let product = "(match/*mutant::site(0)*/ ((a), (b)) { (__l, __r) => \
                       if on(0) { __l / __r } else { __l * __r } })";
        assert_eq!(text, format!("fn f() {{ {product} + c }}"));
        let text = woven("fn f() { a[i] += b }", &[("BinaryOperator", 15, "-=")]).text;
        let sum = "(match/*mutant::site(0)*/ (b) { __r => \
                   if on(0) { a[i] -= __r } else { a[i] += __r } })";
        assert_eq!(text, format!("fn f() {{ {sum} }}"));
    }

    #[test]
    fn an_arm_may_be_gone_and_a_guard_decided() {
        let mutants = [("MatchArm", 20, ""), ("MatchArmGuard", 25, "true")];
        let text = woven("fn f() { match x { 1 if g => 2, _ => 3 } }", &mutants).text;
        assert_eq!(text, "fn f() { match x { 1 if !on(0) && (on(1) || (g)) => 2, _ => 3 } }");
    }

    #[test]
    fn constants_and_conditions_that_bind_are_left_out() {
        let sum = [("BinaryOperator", 26, "-")];
        assert_eq!(
            woven("const fn f() -> u32 { a + b }", &[("BinaryOperator", 25, "-")]).left_out.len(),
            1
        );
        assert_eq!(woven("fn f() { if let Some(a) = b && c { } }", &sum).left_out.len(), 1);
    }
}
