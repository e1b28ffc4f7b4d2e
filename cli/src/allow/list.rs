//! `reachback allow list`: the rules that are in force, as a table for people or as JSON.

use std::fmt::Write as _;

use agent::{
    config::Service,
    whitelist::{Mode, Rule},
};
use http::Method;
use serde_json::{Value, json};
use settings::report::did_you_mean;

use crate::{
    allow::{args::ListArgs, print, services_of},
    exit::Exit,
};

pub(super) fn run(args: &ListArgs) -> Result<(), Exit> {
    let services = services_of(&args.config)?;
    let chosen: Vec<&Service> = match &args.service {
        Some(name) => vec![one(&services, name)?],
        None => services.iter().collect(),
    };
    if args.json {
        let all: Vec<Value> = chosen.into_iter().map(as_json).collect();
        return print(&format!("{}\n", Value::from(all)));
    }
    let tables: Vec<String> = chosen.into_iter().map(table).collect();
    print(&tables.join("\n"))
}

fn one<'a>(services: &'a [Service], name: &str) -> Result<&'a Service, Exit> {
    services.iter().find(|service| service.name.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        let guess = did_you_mean(name, &names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        Exit::usage(format_args!("there is no service {name:?}\n = {guess}the services here are {}", names.join(", ")))
    })
}

/// What a rule says, one text for each column.
fn cells(index: usize, rule: &Rule) -> [String; 4] {
    let methods: Vec<&str> = rule.methods().iter().map(Method::as_str).collect();
    [index.to_string(), methods.join(","), rule.path().to_owned(), rule.conditions().join("; ")]
}

const HEADINGS: [&str; 4] = ["rule", "methods", "path", "conditions"];

fn table(service: &Service) -> String {
    let Service { name, upstream, allow, mode, .. } = service;
    let mut text = format!("{name} at {upstream}, mode {}\n", mode.as_str());
    if *mode == Mode::Audit {
        text.push_str("  what no rule allows is SENT, and logged\n");
    }
    if allow.is_empty() {
        text.push_str("  no rules: nothing is allowed\n");
        return text;
    }
    let headings = HEADINGS.map(str::to_owned);
    let rows = allow.iter().enumerate().map(|(index, rule)| cells(index, rule));
    let rows: Vec<_> = [headings].into_iter().chain(rows).collect();
    // A column with nothing below its heading is left out.
    let columns: Vec<_> =
        (0..HEADINGS.len()).filter(|&column| rows[1..].iter().any(|row| !row[column].is_empty())).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in &rows {
        let line: String = columns.iter().map(|&column| format!("  {:1$}", row[column], width(column))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn as_json(service: &Service) -> Value {
    let rules = service.allow.iter().enumerate().map(|(index, rule)| {
        let methods: Vec<&str> = rule.methods().iter().map(Method::as_str).collect();
        json!({
            "index": index, "text": rule.to_string(), "methods": methods, "path": rule.path(),
            "conditions": rule.conditions(),
        })
    });
    json!({
        "service": service.name.as_str(),
        "upstream": service.upstream.to_string(),
        "mode": service.mode.as_str(),
        "rules": rules.collect::<Vec<_>>(),
    })
}
