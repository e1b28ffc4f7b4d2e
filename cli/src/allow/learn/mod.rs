//! `reachback allow learn`: rules for what an audit log has seen, for somebody to read and to paste.

mod fold;
mod line;
mod proposals;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use agent::{
    config::Service,
    whitelist::{self, Host, Rule, Whitelist},
};
use http::HeaderValue;
use proto::wire::ServiceName;
use settings::report::did_you_mean;

use crate::{
    allow::{
        args::LearnArgs,
        block::{self, count, scalar, tame},
        head, print, services_of,
    },
    exit::Exit,
    print::say,
};
use line::{Line, Verdict};
use proposals::Proposals;

/// Most lines of which it is said one by one what is wrong with them.
const COMPLAINTS: u64 = 10;

/// Most services that are named to somebody who has asked for another.
const NAMED: usize = 20;

pub(super) fn run(args: &LearnArgs) -> Result<(), Exit> {
    let mut learner = Learner::new(args)?;
    for log in &args.logs {
        learner.read(log)?;
    }
    let Learner { proposals, left_out, asked_for, others, .. } = learner;
    left_out.report();
    let text = block(proposals);
    let nothing = |why: &str| Err(Exit::failed(format_args!("there is nothing to propose: {why}")));
    match &args.service {
        _ if !text.is_empty() => print(&text),
        _ if left_out.known > 0 => nothing("the rules allow all that was let through"),
        Some(service) if !asked_for && !others.is_empty() => nothing(&not_there(service, &others)),
        _ => nothing("no line tells of a request that was let through"),
    }
}

fn not_there(service: &str, others: &BTreeSet<ServiceName>) -> String {
    let names: Vec<&str> = others.iter().map(ServiceName::as_str).collect();
    let guess = did_you_mean(service, &names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    let more = if names.len() < NAMED { "" } else { ", …" };
    format!("no line is for `{service}`\n = {guess}there are lines for {}{more}", names.join(", "))
}

/// Reads logs, and sorts out what no rule should be proposed for.
struct Learner<'a> {
    args: &'a LearnArgs,
    /// The services and rules there are already.
    known: Option<(Vec<Service>, Whitelist)>,
    proposals: Proposals,
    left_out: LeftOut,
    /// Whether a line was for the service that was asked for.
    asked_for: bool,
    /// Services that were not, up to [`NAMED`] of them.
    others: BTreeSet<ServiceName>,
}

/// How many lines no rules are proposed for, by reason.
#[derive(Debug, Default, PartialEq, Eq)]
struct LeftOut {
    bad: u64,
    denied: u64,
    known: u64,
}

impl<'a> Learner<'a> {
    fn new(args: &'a LearnArgs) -> Result<Self, Exit> {
        let services = args.config.as_deref().map(services_of).transpose()?;
        let known = services.map(|services| {
            // Enforced, whatever the mode: in audit mode everything would seem to be allowed.
            let rules = services.iter().map(|service| (service.name.clone(), enforced(service.allow.clone())));
            let whitelist = Whitelist::new(rules);
            (services, whitelist)
        });
        let (proposals, left_out) = (Proposals::default(), LeftOut::default());
        Ok(Self { args, known, proposals, left_out, asked_for: false, others: BTreeSet::new() })
    }

    fn read(&mut self, log: &Path) -> Result<(), Exit> {
        if log == Path::new("-") {
            return self.read_lines("standard input", io::stdin().lock()).map_err(Exit::failed);
        }
        let name = log.display().to_string();
        let unreadable = |error| Exit::usage(format_args!("{name} cannot be read: {error}"));
        let file = File::open(log).map_err(unreadable)?;
        self.read_lines(&name, BufReader::new(file)).map_err(unreadable)
    }

    fn read_lines(&mut self, name: &str, input: impl BufRead) -> io::Result<()> {
        line::each(input, |number, line| {
            if let Err(why) = line.and_then(|line| self.take(&line)) {
                self.left_out.bad += 1;
                if self.left_out.bad <= COMPLAINTS {
                    say(&format!("warning: {name}:{number}: {}\n", tame(&why)));
                }
            }
        })
    }

    fn take(&mut self, line: &Line) -> Result<(), String> {
        if self.args.service.as_ref().is_some_and(|service| service != line.service.as_str()) {
            if self.others.len() < NAMED {
                self.others.insert(line.service.clone());
            }
            return Ok(());
        }
        self.asked_for = true;
        if line.verdict == Verdict::Denied && !self.args.denied {
            self.left_out.denied += 1;
        } else if self.is_known(line) {
            self.left_out.known += 1;
        } else {
            self.proposals.add(line)?;
        }
        Ok(())
    }

    /// Whether a rule that is there allows it. One with conditions that a log does not show is known by its text.
    fn is_known(&self, line: &Line) -> bool {
        let Some((services, whitelist)) = &self.known else { return false };
        let request = head(line.service.clone(), line.method.clone(), line.target());
        let rules = services.iter().filter(|service| service.name == line.service).flat_map(|service| &service.allow);
        whitelist.admit(&request).is_ok()
            || line.rule.as_ref().is_some_and(|text| rules.map(ToString::to_string).any(|rule| rule == *text))
    }
}

impl LeftOut {
    fn report(&self) {
        if self.bad > COMPLAINTS {
            say(&format!("warning: {} more lines are left out\n", self.bad - COMPLAINTS));
        }
        if self.known > 0 {
            say(&format!("note: {} allowed by the rules there are\n", count(self.known, "request")));
        }
        if self.denied > 0 {
            let denied = count(self.denied, "request");
            say(&format!("note: {denied} denied, and left out; --denied takes them in\n"));
        }
    }
}

/// A service that judges by its rules alone.
fn enforced(rules: Vec<Rule>) -> whitelist::Service {
    whitelist::Service::new(rules, Host::Fixed(HeaderValue::from_static("localhost")))
}

fn block(proposals: Proposals) -> String {
    let mut text = String::new();
    for (service, lines) in proposals.into_services().into_iter().filter(|(_, lines)| !lines.is_empty()) {
        if text.is_empty() {
            text.push_str("services:\n");
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}:\n    allow:\n{}", scalar(&service), block::list(&lines).trim_end());
    }
    text
}
