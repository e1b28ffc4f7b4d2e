//! What of an OpenAPI document the whitelist needs, with the places where it was written; all else is skipped.
//!
//! OpenAPI 3.0.4 §4.7 and 3.1.1 §4.8. JSON is read by the same reader, because JSON is YAML.

use std::collections::HashMap;

use serde::Deserialize;
use settings::{Entries, Fault, Findings, Invalid, Place, Source, Text, yaml};

use crate::allow::{block::tame, percent};

/// Longest document, in bytes: several times the longest public ones known.
pub(super) const DOCUMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Most nodes of a document; see [`DOCUMENT_BYTES`].
const DOCUMENT_NODES: usize = 8_000_000;

/// Most path items that stand for each other in a row: nobody needs more than one.
const HOPS: usize = 16;

/// The methods that a path item can have, in the order in which rules name them.
pub(super) const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// A document of a version that can be read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    openapi: Option<Text>,
    swagger: Option<Text>,
    pub(super) info: Info,
    pub(super) servers: Vec<Server>,
    pub(super) paths: Option<Entries<Option<PathItem>>>,
    components: Option<Components>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) title: Option<Text>,
    pub(super) version: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    pub(super) url: Option<Text>,
    pub(super) variables: Option<Entries<Variable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Variable {
    pub(super) default: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Components {
    #[serde(rename = "pathItems")]
    path_items: Option<Entries<Option<PathItem>>>,
}

/// The operations on one path.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PathItem {
    #[serde(rename = "$ref")]
    reference: Option<Text>,
    pub(super) servers: Vec<Server>,
    get: Option<Operation>,
    put: Option<Operation>,
    post: Option<Operation>,
    delete: Option<Operation>,
    options: Option<Operation>,
    head: Option<Operation>,
    patch: Option<Operation>,
    trace: Option<Operation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Operation {
    #[serde(rename = "operationId")]
    pub(super) id: Option<Text>,
    pub(super) tags: Vec<Text>,
    pub(super) servers: Vec<Server>,
}

impl PathItem {
    /// The operations, in the order of [`METHODS`].
    pub(super) fn operations(&self) -> impl Iterator<Item = (&'static str, &Operation)> {
        let Self { get, head, post, put, patch, delete, options, trace, .. } = self;
        let all = [get, head, post, put, patch, delete, options, trace];
        METHODS.into_iter().zip(all).filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
    }
}

/// Reads a document and sees to it that its version is one of those that can be read.
pub(super) fn read(source: &Source) -> Result<Document, Invalid> {
    let document: Document = yaml::read_within(source, DOCUMENT_NODES)?;
    let found = Findings::new(source);
    let convert = "convert it to OpenAPI 3 first: most editors of OpenAPI and swagger2openapi can";
    match (&document.openapi, &document.swagger) {
        (Some(version), _) if ["3.0", "3.1"].iter().any(|known| is_version(&version.value, known)) => Ok(document),
        (Some(version), _) => {
            let what = format!("OpenAPI {} cannot be read", tame(&version.value));
            Err(found.fail(version.place, Fault::new(what, "write the document in OpenAPI 3.0 or 3.1")))
        }
        (None, Some(version)) => {
            let what = format!("this is Swagger {}, not OpenAPI 3.0 or 3.1", tame(&version.value));
            Err(found.fail(version.place, Fault::new(what, convert)))
        }
        (None, None) => Err(found.fail(
            None,
            Fault::new("this is no OpenAPI document: it has no `openapi`", "give one that begins with openapi: 3.1.0"),
        )),
    }
}

fn is_version(version: &str, known: &str) -> bool {
    version.strip_prefix(known).is_some_and(|patch| patch.is_empty() || patch.starts_with('.'))
}

/// The path items of a document by name, to follow references to them.
#[derive(Debug)]
pub(super) struct Items<'a> {
    paths: HashMap<&'a str, &'a PathItem>,
    components: HashMap<&'a str, &'a PathItem>,
}

impl<'a> Items<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        let components = document.components.as_ref().and_then(|components| components.path_items.as_ref());
        Self { paths: by_name(document.paths.as_ref()), components: by_name(components) }
    }

    /// A path item and those it refers to, itself first; or which reference leads nowhere.
    pub(super) fn resolve(&self, item: &'a PathItem) -> Result<Vec<&'a PathItem>, (Place, Fault)> {
        let mut items = vec![item];
        let mut last = item;
        while let Some(reference) = &last.reference {
            if items.len() > HOPS {
                let what = "this `$ref` leads through too many others, or back to itself";
                return Err((reference.place, Fault::new(what, "let it name the path item itself")));
            }
            last = self.target(&reference.value).map_err(|fault| (reference.place, fault))?;
            items.push(last);
        }
        Ok(items)
    }

    fn target(&self, reference: &str) -> Result<&'a PathItem, Fault> {
        let Some(pointer) = reference.strip_prefix('#') else {
            let what = format!("`{}` is another file, and only this one is read", tame(reference));
            return Err(Fault::new(what, "bundle the document into one file first; `redocly bundle` does that"));
        };
        let pointer = unescaped(pointer);
        let names: Vec<&str> = pointer.iter().map(String::as_str).collect();
        let found = match *names {
            ["", "components", "pathItems", name] => self.components.get(name),
            ["", "paths", path] => self.paths.get(path),
            _ => None,
        };
        found.copied().ok_or_else(|| {
            let remedy = "write #/components/pathItems/NAME or #/paths/~1PATH for one that is there";
            Fault::new(format!("`{}` is no path item of this document", tame(reference)), remedy)
        })
    }
}

fn by_name(entries: Option<&Entries<Option<PathItem>>>) -> HashMap<&str, &PathItem> {
    let entries = entries.into_iter().flat_map(|entries| &entries.0);
    entries.filter_map(|(name, item)| Some((name.value.as_str(), item.as_ref()?))).collect()
}

/// The names in a JSON pointer that stands in a fragment (RFC 6901 §6).
fn unescaped(pointer: &str) -> Vec<String> {
    let name = |name: &str| name.replace("~1", "/").replace("~0", "~");
    // What is no UTF-8 names nothing, and is not found.
    String::from_utf8_lossy(&percent::decoded(pointer)).split('/').map(name).collect()
}
