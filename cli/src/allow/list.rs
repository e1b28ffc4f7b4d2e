//! `reachback allow list`: the rules that are in force, as a table for people or as JSON.

use std::fmt::Write as _;

use agent::{
    config::{self, Service},
    whitelist::Mode,
};
use serde_json::{Value, json};
use settings::report::did_you_mean;

use crate::{
    allow::{args::ListArgs, print},
    exit::Exit,
};

pub(super) fn run(args: &ListArgs) -> Result<(), Exit> {
    let services = config::load_services(&args.config)?;
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

/// What a rule says, one text for each column. The one place that takes a rule apart.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    methods: String,
    path: String,
    /// Conditions, permissions and limits.
    conditions: String,
}

impl Row {
    /// Takes apart what the rule's `Display` gives: methods, path, and the rest in brackets.
    fn of(rule: &str) -> Self {
        let (methods, rest) = rule.trim().split_once(char::is_whitespace).unwrap_or((rule, ""));
        let (path, rest) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim_start(), ""));
        let conditions = rest.trim_start().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest);
        Self { methods: methods.to_owned(), path: path.to_owned(), conditions: conditions.to_owned() }
    }

    fn cells(self, index: usize) -> [String; 4] {
        [index.to_string(), self.methods, self.path, self.conditions]
    }
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
    let rows = allow.iter().enumerate().map(|(index, rule)| Row::of(&rule.to_string()).cells(index));
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
        let text = rule.to_string();
        let Row { methods, path, conditions } = Row::of(&text);
        let methods: Vec<&str> = methods.split(',').collect();
        json!({ "index": index, "text": text, "methods": methods, "path": path, "conditions": conditions })
    });
    json!({
        "service": service.name.as_str(),
        "upstream": service.upstream.to_string(),
        "mode": service.mode.as_str(),
        "rules": rules.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_taken_apart() {
        let check = |rule: &str, methods: &str, path: &str, conditions: &str| {
            let [methods, path, conditions] = [methods, path, conditions].map(str::to_owned);
            assert_eq!(Row::of(rule), Row { methods, path, conditions }, "{rule:?}");
        };
        check("GET,HEAD /orders/{id}", "GET,HEAD", "/orders/{id}", "");
        check(" GET \t /a ", "GET", "/a", "");
        check("PUT /files/* (encoded_slash; max_body 10MiB)", "PUT", "/files/*", "encoded_slash; max_body 10MiB");
        check("GET /f(x) (header a: (b))", "GET", "/f(x)", "header a: (b)");
    }
}
