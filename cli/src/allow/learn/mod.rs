//! `reachback allow learn`: rules for what an audit log has seen, for somebody to read and to paste.

mod fold;
mod line;
mod proposals;
#[cfg(test)]
mod tests;

use std::{
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

pub(super) fn run(args: &LearnArgs) -> Result<(), Exit> {
    let mut learner = Learner::new(args)?;
    for log in &args.logs {
        learner.read(log)?;
    }
    let Learner { proposals, left_out, .. } = learner;
    left_out.report();
    let text = block(proposals);
    match (text.is_empty(), left_out.known) {
        (false, _) => print(&text),
        (true, 0) => Err(Exit::failed("there is nothing to propose: no line tells of a request that was let through")),
        (true, _) => Err(Exit::failed("there is nothing to propose: the rules allow all that was let through")),
    }
}

/// Reads logs, and sorts out what no rule should be proposed for.
struct Learner<'a> {
    args: &'a LearnArgs,
    /// The services and rules there are already.
    known: Option<(Vec<Service>, Whitelist)>,
    proposals: Proposals,
    left_out: LeftOut,
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
        Ok(Self { args, known, proposals: Proposals::default(), left_out: LeftOut::default() })
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
            return Ok(());
        }
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
