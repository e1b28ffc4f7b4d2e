//! `reachback allow test`: what the whitelist says to one request, and why.

use agent::{
    config,
    whitelist::{Explanation, NearMiss, Verdict},
};
use http::{HeaderName, HeaderValue, Method, header::HOST};
use proto::wire::{RequestHead, ServiceName};
use serde_json::{Value, json};

use crate::{
    allow::{args::TestArgs, head, print, services_of},
    exit::Exit,
};

pub(super) fn run(args: &TestArgs) -> Result<(), Exit> {
    let services = services_of(&args.config)?;
    let head = requested(args)?;
    let explanation = config::whitelist(&services).explain(&head);
    let answer = if args.json {
        as_json(&explanation, &head).to_string()
    } else if services.iter().any(|service| service.name == head.service) {
        explanation.to_string()
    } else {
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        format!("{explanation}\nthe services here are {}", names.join(", "))
    };
    print(&(answer + "\n"))?;
    if explanation.is_allowed() { Ok(()) } else { Err(Exit::Refused) }
}

/// The request that the arguments describe.
fn requested(args: &TestArgs) -> Result<RequestHead, Exit> {
    let method = Method::from_bytes(args.method.as_bytes())
        .map_err(|_| Exit::usage(format_args!("{:?} is not a method; write one such as GET", args.method)))?;
    let service = ServiceName::new(&args.service).map_err(Exit::usage)?;
    let mut head = head(service, method, args.target.as_encoded_bytes().to_vec());
    for text in &args.headers {
        let (name, value) =
            header(text).ok_or_else(|| Exit::usage(format_args!("{text:?} is not a header; write 'NAME: VALUE'")))?;
        if name == HOST {
            head.headers.remove(HOST);
        }
        head.headers.append(name, value);
    }
    head.upgrade = args.upgrade;
    Ok(head)
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    Some((name.parse().ok()?, value.trim().parse().ok()?))
}

fn as_json(explanation: &Explanation, head: &RequestHead) -> Value {
    let mut answer = json!({
        "allowed": explanation.is_allowed(),
        "would_deny": explanation.would_deny,
        "service": head.service.as_str(),
        "method": head.method.as_str(),
        "target": String::from_utf8_lossy(&head.target),
    });
    match &explanation.verdict {
        Verdict::Allowed { rule, text } => answer["rule"] = json!({ "index": rule, "text": text }),
        Verdict::Refused { denied, nearest } => {
            answer["code"] = json!(denied.code.as_str());
            answer["step"] = json!(denied.step.number());
            answer["reason"] = json!(denied.to_string());
            answer["byte"] = json!(denied.at);
            answer["nearest"] = json!(nearest.as_ref().map(|NearMiss { rule, text, differs }| {
                json!({ "index": rule, "text": text, "differs": differs })
            }));
        }
    }
    answer
}
