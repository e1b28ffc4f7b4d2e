//! `reachback agents`: shows a running gateway's agents, and decides about them, over its `admin` listener.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use clap::Subcommand;
use http::{Request, StatusCode, header};
use proto::wire::can_name_agent;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{admin, exit::Exit, print::print};

/// How long the gateway may take: it is on this machine, but a decision waits for the disk.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which agents a gateway knows, and which it lets in.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentsArgs {
    /// The gateway's `admin` listener
    #[arg(long, global = true, value_name = "ADDR", default_value = "127.0.0.1:7101", value_parser = admin::address)]
    admin: SocketAddr,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the agents that are linked, that wait for approval, and that were decided about
    List,
    /// Let an agent in that waits, now and from now on
    Approve {
        /// What `list` calls it
        agent: String,
    },
    /// Send an agent away that waits, now and from now on
    Reject {
        /// What `list` calls it
        agent: String,
    },
    /// End an agent's links at once, and send it away from now on
    Revoke {
        /// What `list` calls it
        agent: String,
    },
}

pub(crate) async fn run(AgentsArgs { admin, action }: AgentsArgs) -> Result<(), Exit> {
    let (verb, agent) = match action {
        Action::List => {
            let (_, status) = ask(admin, Request::get("/status"), String::new()).await?;
            let status: Status = serde_json::from_slice(&status).map_err(|_| not_a_gateway(admin))?;
            return print(&shown(&status));
        }
        Action::Approve { agent } => ("approve", agent),
        Action::Reject { agent } => ("reject", agent),
        Action::Revoke { agent } => ("revoke", agent),
    };
    check_name(&agent)?;
    let request = Request::post(format!("/agents/{verb}")).header(header::CONTENT_TYPE, "application/json");
    let (code, answer) = ask(admin, request, json!({ "agent": agent }).to_string()).await?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|_| not_a_gateway(admin))?;
    if code != StatusCode::OK {
        return Err(answer["error"]
            .as_str()
            .map_or_else(|| not_a_gateway(admin), |why| Exit::failed(plain_lines(why))));
    }
    print(&format!("{}\n", told(verb, &agent, &answer)))
}

/// A name that no agent can have is none to ask about. One without a credential calls itself what it likes.
fn check_name(agent: &str) -> Result<(), Exit> {
    if can_name_agent(agent) {
        return Ok(());
    }
    let remedy = "write what `reachback agents list` calls it: 1 to 253 letters, digits, `-`, `_` and `.`";
    Err(Exit::usage(format_args!("this is not the name of an agent\n = {remedy}")))
}

/// What a decision has come to.
fn told(verb: &str, agent: &str, answer: &Value) -> String {
    let names = answer["services"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let services = plain(&names.collect::<Vec<_>>().join(", "));
    let (proven, closed) = (answer["proven"] == true, &answer["links_closed"]);
    let agent = plain(agent);
    let told = match (verb, services.is_empty()) {
        ("approve", false) => format!("{agent} is approved for {services}"),
        ("approve", true) if proven => {
            format!("{agent} is approved, for the services that the gateway's file permits it")
        }
        ("approve", true) => {
            format!("{agent} is rejected no more; what it offers is not approved by that")
        }
        ("revoke", true) if !proven && *closed == 0 => {
            format!("no agent of the name {agent} is known here: it is sent away should it come")
        }
        ("revoke", _) => format!("{agent} is revoked, and sent away from now on; links closed: {closed}"),
        _ => format!("{agent} is rejected, and sent away from now on"),
    };
    if answer["kept"] == false {
        return told + "; but only until the gateway restarts: its file has no `state_file`";
    }
    told
}

fn not_a_gateway(admin: SocketAddr) -> Exit {
    Exit::failed(format_args!(
        "what listens on {admin} does not answer as a gateway does\n = is it the `admin` listener of one?"
    ))
}

/// Asks the gateway, but not for ever.
async fn ask(admin: SocketAddr, request: http::request::Builder, body: String) -> Result<(StatusCode, Bytes), Exit> {
    let asked = timeout(PATIENCE, admin::ask(admin, request, body)).await;
    asked.unwrap_or_else(|_| Err("it does not answer".into())).map_err(|error| {
        let remedy = "does the gateway run, and is that its `admin` listener? Name another with --admin";
        Exit::failed(format_args!("cannot ask the gateway on {admin}: {error}\n = {remedy}"))
    })
}

/// What of a gateway's `/status` is about agents.
#[derive(Deserialize)]
struct Status {
    admission: String,
    links: Vec<Link>,
    pending: Vec<Pending>,
    decisions: Vec<Decision>,
}

#[derive(Deserialize)]
struct Link {
    agent: String,
    address: String,
    proof: String,
    fingerprint: Option<String>,
    services: Vec<String>,
}

#[derive(Deserialize)]
struct Pending {
    agent: String,
    calls_itself: String,
    instance: String,
    address: String,
    services: Vec<String>,
    fingerprint: Option<String>,
    links: usize,
    last_s: u64,
}

#[derive(Deserialize)]
struct Decision {
    agent: String,
    decision: String,
    services: Vec<String>,
}

/// A table: those that somebody has to decide about come first.
fn shown(status: &Status) -> String {
    let mut rows = vec![["AGENT", "STATE", "SERVICES", "FROM"].map(str::to_owned)];
    for waits in &status.pending {
        let here = if waits.links > 0 { "waiting now".to_owned() } else { format!("last {} s ago", waits.last_s) };
        let mut from = format!("{}, {here}, calls itself {} ({})", waits.address, waits.calls_itself, waits.instance);
        from.extend(of_certificate(waits.fingerprint.as_ref()));
        rows.push([waits.agent.clone(), "pending".to_owned(), waits.services.join(" "), from]);
    }
    for link in &status.links {
        let mut from = format!("{}, proved by {}", link.address, link.proof);
        from.extend(of_certificate(link.fingerprint.as_ref()));
        rows.push([link.agent.clone(), "linked".to_owned(), link.services.join(" "), from]);
    }
    let is_linked = |agent: &str| status.links.iter().any(|link| link.agent == agent);
    for decided in status.decisions.iter().filter(|decided| !is_linked(&decided.agent)) {
        rows.push([decided.agent.clone(), decided.decision.clone(), decided.services.join(" "), String::new()]);
    }
    let rows: Vec<[String; 4]> = rows.into_iter().map(|row| row.map(|cell| plain(&cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (agent, state, services) = (width(0), width(1), width(2));
    let line =
        |[a, b, c, d]: &[String; 4]| format!("{a:agent$}  {b:state$}  {c:services$}  {d}").trim_end().to_owned() + "\n";
    let rule = match status.admission.as_str() {
        "approve" => "New agents wait until they are approved.\n",
        _ => "New agents are let in unless they are rejected.\n",
    };
    rows.iter().map(line).chain(["\n".to_owned(), rule.to_owned()]).collect()
}

fn of_certificate(fingerprint: Option<&String>) -> Option<String> {
    fingerprint.map(|fingerprint| format!(", certificate {fingerprint}"))
}

/// The same for what has several lines.
fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Names come from agents: nothing in them steers a terminal, or looks like something else.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c.to_string() } else { c.escape_unicode().to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let status = json!({
            "admission": "approve",
            "links": [{
                "agent": "edge-1", "address": "10.0.0.1:5", "services": ["orders", "stock"],
                "proof": "certificate", "fingerprint": "ef:01"
            }],
            "pending": [{
                "agent": "edge-2", "calls_itself": "pod\u{202e}", "instance": "5f", "address": "10.0.0.2:6",
                "services": ["orders"], "fingerprint": "ab:cd", "links": 1, "since_s": 9, "last_s": 9
            }],
            "decisions": [
                { "agent": "edge-1", "decision": "approved", "services": ["orders"] },
                { "agent": "edge-3", "decision": "rejected", "services": [] }
            ]
        });
        let shown = shown(&serde_json::from_value(status).unwrap());
        let expected = [
            "AGENT   STATE     SERVICES      FROM",
            "edge-2  pending   orders        10.0.0.2:6, waiting now, calls itself pod\\u{202e} (5f), certificate ab:cd",
            "edge-1  linked    orders stock  10.0.0.1:5, proved by certificate, certificate ef:01",
            "edge-3  rejected",
            "",
            "New agents wait until they are approved.",
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_can_be_no_name_is_not_asked_about() {
        for good in ["edge-1", "not a pod", "é", &"a".repeat(253)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a\nb", &"a".repeat(254)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_decision_has_come_to() {
        let check = |verb: &str, proven: bool, services: &[&str], links_closed: usize, expected: &str| {
            let answer = json!({ "proven": proven, "services": services, "links_closed": links_closed });
            assert_eq!(told(verb, "a\u{1b}", &answer), format!("a\\u{{1b}} is {expected}"));
        };
        check("approve", true, &["x", "y"], 0, "approved for x, y");
        check("approve", true, &[], 0, "approved, for the services that the gateway's file permits it");
        check("approve", false, &[], 0, "rejected no more; what it offers is not approved by that");
        check("reject", true, &["x"], 0, "rejected, and sent away from now on");
        check("revoke", true, &[], 0, "revoked, and sent away from now on; links closed: 0");
        check("revoke", false, &["x"], 0, "revoked, and sent away from now on; links closed: 0");
        check("revoke", false, &[], 2, "revoked, and sent away from now on; links closed: 2");
        let unknown = told("revoke", "x", &json!({ "proven": false, "services": [], "links_closed": 0 }));
        assert_eq!(unknown, "no agent of the name x is known here: it is sent away should it come");
        let for_now = told("reject", "x", &json!({ "proven": true, "services": [], "links_closed": 0, "kept": false }));
        assert!(for_now.ends_with("from now on; but only until the gateway restarts: its file has no `state_file`"));
    }
}
