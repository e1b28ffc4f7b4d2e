//! `reachback allow list`: the rules that are in force, as a table for people or as JSON.

use std::fmt::Write as _;

use agent::{
    config::{self, Service},
    whitelist::{Mode, Rule},
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
struct Row {
    methods: String,
    path: String,
    conditions: Vec<String>,
    limits: Vec<String>,
}

impl Row {
    fn of(rule: &Rule) -> Self {
        let text = rule.to_string();
        let (methods, path) = text.trim().split_once(char::is_whitespace).unwrap_or((&text, ""));
        Self {
            methods: methods.to_owned(),
            path: path.trim_start().to_owned(),
            conditions: Vec::new(),
            limits: Vec::new(),
        }
    }

    fn cells(self, index: usize) -> [String; 5] {
        [index.to_string(), self.methods, self.path, self.conditions.join("; "), self.limits.join("; ")]
    }
}

const HEADINGS: [&str; 5] = ["rule", "methods", "path", "conditions", "limits"];

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
    let rows = allow.iter().enumerate().map(|(index, rule)| Row::of(rule).cells(index));
    let rows: Vec<_> = [headings].into_iter().chain(rows).collect();
    // A column in which nothing stands below its heading is left out.
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
        let Row { methods, path, conditions, limits } = Row::of(rule);
        let methods: Vec<&str> = methods.split(',').collect();
        json!({
            "index": index, "text": rule.to_string(), "methods": methods, "path": path,
            "conditions": conditions, "limits": limits,
        })
    });
    json!({
        "service": service.name.as_str(),
        "upstream": service.upstream.to_string(),
        "mode": service.mode.as_str(),
        "rules": rules.collect::<Vec<_>>(),
    })
}
