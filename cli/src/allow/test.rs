//! `reachback allow test`: what the whitelist says to one request, and why.

use agent::{
    config,
    whitelist::{Explanation, NearMiss, Verdict},
};
use http::{HeaderMap, HeaderValue, Method, header};
use proto::wire::{RequestHead, RequestId, ServiceName};
use serde_json::{Value, json};

use crate::{
    args::{AllowArgs, AllowCommand, AllowTestArgs},
    exit::Exit,
};

pub(crate) fn run(args: &AllowArgs) -> Result<(), Exit> {
    match &args.command {
        AllowCommand::Test(args) => test(args),
    }
}

fn test(args: &AllowTestArgs) -> Result<(), Exit> {
    let services = config::load_services(&args.config)?;
    let head = head(args)?;
    let explanation = config::whitelist(&services).explain(&head);
    if args.json {
        println!("{}", as_json(&explanation, &head));
    } else {
        println!("{explanation}");
        if !services.iter().any(|service| service.name == head.service) {
            let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
            println!("the services here are {}", names.join(", "));
        }
    }
    if explanation.is_allowed() { Ok(()) } else { Err(Exit::Refused) }
}

/// The request as it would come from a gateway, without a body, and with no header but the one every request has.
fn head(args: &AllowTestArgs) -> Result<RequestHead, Exit> {
    let method = Method::from_bytes(args.method.as_bytes())
        .map_err(|_| Exit::usage(format_args!("{:?} is not a method; write one such as GET", args.method)))?;
    Ok(RequestHead {
        service: ServiceName::new(&args.service).map_err(Exit::usage)?,
        method,
        target: args.target.as_encoded_bytes().to_vec().into(),
        headers: HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]),
        request_id: RequestId::new("allow-test").expect("a literal of visible ASCII"),
        deadline: None,
        upgrade: false,
    })
}

fn as_json(explanation: &Explanation, head: &RequestHead) -> Value {
    let mut answer = json!({
        "allowed": explanation.is_allowed(),
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
