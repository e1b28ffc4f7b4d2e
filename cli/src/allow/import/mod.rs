//! `reachback allow import`: a service with the operations of an OpenAPI document, and nothing else.

mod document;
mod operations;
mod server;
#[cfg(test)]
mod tests;

use std::{fmt::Write as _, path::Path};

use agent::config;
use proto::wire::ServiceName;
use settings::{Source, Text};

use crate::{
    allow::{
        args::ImportArgs,
        block::{self, Line, count, scalar, tame},
        print,
    },
    exit::Exit,
    print::say,
};
use document::{DOCUMENT_BYTES, Document};
use operations::{Operations, PathRule};
use server::Base;

pub(super) fn run(args: &ImportArgs) -> Result<(), Exit> {
    let source = Source::read_within(&args.document, DOCUMENT_BYTES)?;
    let (text, left_out) = import(args, &source)?;
    for left_out in left_out {
        say(&format!("warning: left out: {left_out}\n"));
    }
    print(&text)
}

/// The service as YAML, and what of the document it leaves out.
fn import(args: &ImportArgs, source: &Source) -> Result<(String, Vec<String>), Exit> {
    let base = args.base_path.as_deref().map(Base::given).transpose();
    let base = base.map_err(|_| Exit::usage("--base-path begins with a slash, as in --base-path /v2"))?;
    let document = document::read(source)?;
    let operations = Operations::of(&document, source, &args.tags, base)?;
    let text = block(args, &document, &operations);
    // What is printed can be pasted, or is not printed.
    config::services_of(&Source::file("the service to be printed", &text, Path::new("")))?;
    Ok((text, operations.left_out))
}

fn block(args: &ImportArgs, document: &Document, operations: &Operations) -> String {
    let title = shown(document.info.title.as_ref(), "untitled");
    let version = shown(document.info.version.as_ref(), "of no version");
    let name = args.service.clone().unwrap_or_else(|| service_name(&title));
    let number = count(operations.count() as u64, "operation");
    let mut text = format!("# {number} of {}, {}\n", tame(&title), tame(&version));
    let (name, upstream) = (scalar(&name), scalar(&args.upstream));
    let none = if operations.rules.is_empty() { " []" } else { "" };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "services:\n  {name}:\n    upstream: {upstream}\n    allow:{none}");
    let Base { origin, path } = &operations.base;
    if !path.is_empty() {
        let server = if origin.is_empty() { "the server".to_owned() } else { tame(origin) };
        let _ = writeln!(text, "      # every path begins with {}, the base path of {server}", tame(path));
    }
    text += &block::list(&operations.rules.iter().map(line).collect::<Vec<_>>());
    for left_out in &operations.left_out {
        let _ = writeln!(text, "      # left out: {left_out}");
    }
    text
}

fn line(rule: &PathRule) -> Line {
    let PathRule { methods, pattern, ids, .. } = rule;
    Line { rule: format!("{} {pattern}", methods.join(",")), comment: tame(&ids.join(", ")) }
}

fn shown(text: Option<&Text>, otherwise: &str) -> String {
    text.map_or(otherwise, |text| &text.value).to_owned()
}

/// A service name made of a title: its letters and digits, with dashes between them.
fn service_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if ServiceName::new(&name).is_ok() { name } else { "api".to_owned() }
}
