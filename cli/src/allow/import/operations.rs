//! From a document to rules: each operation becomes one method on one path pattern, or is named with the reason.

use std::collections::HashMap;

use agent::whitelist::Rule;
use settings::{Fault, Findings, Invalid, Place, Source, Text, report::did_you_mean};

use super::{
    document::{Document, Items, METHODS, Operation, PathItem, Server},
    server::Base,
};
use crate::allow::{block::tame, percent::without_stars};

/// Most mistakes of a document that are reported at once.
const FAULTS: usize = 20;

/// The rules of a document, in its order.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// What stands before every path of the document.
    pub(super) base: Base,
    /// One for each path, whatever its parameters are called.
    pub(super) rules: Vec<PathRule>,
    /// What no rule can say, each with its method and path, and the reason; fit for a comment.
    pub(super) left_out: Vec<String>,
    /// Which rule is about a pattern, without regard to what its parameters are called.
    by_meaning: HashMap<String, usize>,
}

/// Methods on a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathRule {
    pub(super) methods: Vec<&'static str>,
    pub(super) pattern: String,
    /// What the document calls the operations; not fit for a comment yet.
    pub(super) ids: Vec<String>,
}

impl Operations {
    /// How many operations there are rules for.
    pub(super) fn count(&self) -> usize {
        self.rules.iter().map(|rule| rule.methods.len()).sum()
    }

    /// Collects the operations that have one of `tags`, or all if there are none.
    pub(super) fn of(
        document: &Document,
        source: &Source,
        tags: &[String],
        base: Option<Base>,
    ) -> Result<Self, Invalid> {
        let mut found = Findings::new(source);
        let base = match base {
            Some(base) => Some(base),
            None => base_of(&document.servers, &mut found),
        };
        let mut operations = Self { base: base.clone().unwrap_or_default(), ..Self::default() };
        let known = Items::of(document);
        for (path, item) in document.paths.iter().flat_map(|paths| &paths.0) {
            let Some(item) = item.as_ref().filter(|_| !path.value.starts_with("x-")) else { continue };
            if found.count() == FAULTS {
                break;
            }
            match known.resolve(item) {
                Ok(items) => operations.add_items(path, &items, tags, &mut found),
                Err((place, fault)) => found.fault(place, fault),
            }
        }
        if operations.count() == 0 && operations.left_out.is_empty() && found.count() == 0 {
            let (place, fault) = nothing(document, tags);
            found.fault(place, fault);
        }
        found.finish(base.map(|_| operations)).map(|(operations, _)| operations)
    }

    /// The first of the items that has an operation decides what it is.
    fn add_items(&mut self, path: &Text, items: &[&PathItem], tags: &[String], found: &mut Findings<'_>) {
        let mut seen = Vec::new();
        for item in items {
            for (method, operation) in item.operations() {
                let tagged = tags.is_empty() || operation.tags.iter().any(|tag| tags.contains(&tag.value));
                if seen.contains(&method) {
                    continue;
                }
                seen.push(method);
                if tagged {
                    let servers = [&operation.servers, &item.servers].into_iter().find(|servers| !servers.is_empty());
                    self.add(path, method, operation, servers.map_or(&[][..], Vec::as_slice), found);
                }
            }
        }
    }

    fn add(
        &mut self,
        path: &Text,
        method: &'static str,
        operation: &Operation,
        servers: &[Server],
        found: &mut Findings<'_>,
    ) {
        let base = if servers.is_empty() { Some(self.base.clone()) } else { base_of(servers, found) };
        let Some(base) = base else { return };
        let refused = if base.origin != self.base.origin && !servers.is_empty() {
            Err(format!("it is at another server, {}", base.origin))
        } else if !path.value.starts_with('/') {
            // Behind a base path it would be part of that one's last segment.
            Err("a path begins with '/'".to_owned())
        } else {
            let pattern = pattern(&format!("{}{}", base.path, path.value));
            let rule: Result<Rule, _> = format!("{method} {pattern}").parse();
            rule.map(|_| pattern).map_err(|error| error.message)
        };
        match refused {
            Ok(pattern) => self.allow(method, pattern, operation),
            Err(reason) => self.left_out.push(tame_pair(method, &path.value, &reason)),
        }
    }

    fn allow(&mut self, method: &'static str, pattern: String, operation: &Operation) {
        let id = operation.id.as_ref().map(|id| id.value.clone());
        let new = self.rules.len();
        let at = *self.by_meaning.entry(without_names(&pattern)).or_insert(new);
        if at == new {
            self.rules.push(PathRule { methods: Vec::new(), pattern, ids: Vec::new() });
        }
        let rule = &mut self.rules[at];
        if !rule.methods.contains(&method) {
            rule.methods.push(method);
            rule.methods.sort_by_key(|method| METHODS.iter().position(|known| known == method));
            rule.ids.extend(id);
        }
    }
}

fn tame_pair(method: &str, path: &str, reason: &str) -> String {
    format!("{method} {}: {}", tame(path), tame(reason))
}

/// The first server counts: the others are usually the same server's other names.
fn base_of(servers: &[Server], found: &mut Findings<'_>) -> Option<Base> {
    let Some(server) = servers.first() else { return Some(Base::default()) };
    match Base::of(server) {
        Ok(base) => Some(base),
        Err(fault) => {
            found.fault(server.url.as_ref().map(|url| url.place), fault);
            None
        }
    }
}

fn nothing(document: &Document, tags: &[String]) -> (Option<Place>, Fault) {
    let items = document.paths.iter().flat_map(|paths| &paths.0).filter_map(|(_, item)| item.as_ref());
    let mut known: Vec<&str> = items
        .flat_map(PathItem::operations)
        .flat_map(|(_, operation)| &operation.tags)
        .map(|tag| tag.value.as_str())
        .collect();
    known.sort_unstable();
    known.dedup();
    let fault = match tags.first() {
        Some(tag) => {
            let guess = did_you_mean(tag, &known).map(|tag| format!("did you mean `{tag}`? ")).unwrap_or_default();
            let remedy = format!("{guess}its tags are {}", tame(&known.join(", ")));
            Fault::new(format!("no operation of the document has the tag `{}`", tags.join("`, `")), remedy)
        }
        None => Fault::new("the document has no operations", "give the one that has `paths` with methods in them"),
    };
    (None, fault)
}

/// A path template (OpenAPI 3.1.1 §4.8.8) as the pattern that means the same. A star in a document is only a star.
fn pattern(template: &str) -> String {
    let mut pattern = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((literal, behind)) = rest.split_once('{') {
        pattern += &without_stars(literal);
        let Some((name, behind)) = behind.split_once('}') else {
            pattern.push('{');
            rest = behind;
            continue;
        };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
        pattern.push('{');
        pattern.extend(name.chars().map(|c| if known(c) { c } else { '_' }));
        pattern.push('}');
        rest = behind;
    }
    pattern += &without_stars(rest);
    pattern
}

fn without_names(pattern: &str) -> String {
    let mut pieces = pattern.split('{');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + "*" + piece.split_once('}').map_or(piece, |(_, behind)| behind))
}
