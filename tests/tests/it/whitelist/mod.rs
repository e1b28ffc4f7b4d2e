//! The whitelist against a gateway that is fully compromised: it speaks perfect protocol, and still only what a rule
//! names reaches the upstream, as the very bytes that were judged.

use proto::wire::{Frame, ResetCode};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    peer::Peer,
    upstream::{Counts, Upstream},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod bodies;
mod conditions;
mod headers;
mod targets;

/// A compromised gateway with the agent's link.
struct Gateway {
    upstream: Upstream,
    peer: Peer,
    _agent: Sidecar,
    next_id: u32,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The upstream's status.
    Answered(u16),
    /// A failure's code.
    Failed(&'static str),
    /// The stream was abandoned.
    Reset(ResetCode),
}

impl Gateway {
    async fn with_rules(rules: &[&str]) -> Self {
        Self::beside(Upstream::start().await, &json!(rules)).await
    }

    async fn beside(upstream: Upstream, rules: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // JSON is YAML.
        let setup = Setup { service: "response_timeout: 1s", allow: &rules.to_string(), ..Setup::default() };
        let yaml = bridge::agent_yaml(listener.local_addr().unwrap(), upstream.address(), setup);
        let agent = Sidecar::agent(&yaml, "".as_ref());
        let peer = Peer::gateway(&listener).await;
        Self { upstream, peer, _agent: agent, next_id: 1 }
    }

    /// Posts a body, all of it in one frame.
    async fn ask_with_body(&mut self, target: &str, length: &str, body: &str) -> Outcome {
        let data = [&self.next_id.to_be_bytes()[..], &[1], body.as_bytes()].concat();
        let id =
            self.say("orders", "POST", target.as_bytes(), &[("content-length", length)], &json!({"end": false})).await;
        self.peer.binary(data).await;
        self.outcome(id).await
    }

    /// Asks, in JSON of its own: whatever the target's bytes.
    async fn ask(
        &mut self,
        service: &str,
        method: &str,
        target: &[u8],
        headers: &[(&str, &str)],
        more: &Value,
    ) -> Outcome {
        let id = self.say(service, method, target, headers, more).await;
        self.outcome(id).await
    }

    async fn say(&mut self, service: &str, method: &str, target: &[u8], headers: &[(&str, &str)], more: &Value) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let target: String = target.iter().map(|&byte| char::from(byte)).collect();
        let mut request = json!({
            "type": "request", "id": id, "service": service, "method": method, "target": target,
            "headers": headers, "end": true, "request_id": "r",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        self.peer.text(request.to_string()).await;
        id
    }

    async fn outcome(&mut self, id: u32) -> Outcome {
        let of_this = |frame| match frame {
            Frame::Response { id: of, head, .. } if of.0 == id => Some(Outcome::Answered(head.status.as_u16())),
            Frame::Failure { id: of, failure } if of.0 == id => Some(Outcome::Failed(failure.code.as_str())),
            Frame::Reset { id: of, code, .. } if of.0 == id => Some(Outcome::Reset(code)),
            _ => None,
        };
        self.peer.frame(of_this).await
    }

    /// What the upstream gets of a request without a body: these lines and no other.
    fn head(&self, method: &str, target: &[u8], lines: &[(&str, &str)]) -> String {
        let target: String = target.iter().map(|&byte| char::from(byte)).collect();
        let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let host = self.upstream.address();
        format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{lines}x-request-id: r\r\n\r\n")
    }

    /// Nothing has reached the upstream, and nothing is on its way: the next request is the first that it sees.
    async fn untouched(&mut self) {
        assert_eq!(self.upstream.counts(), Counts::default());
        let outcome = self.ask("orders", "GET", b"/", &[], &json!({})).await;
        let expected = self.head("GET", b"/", &[]);
        let counts = self.upstream.counts();
        assert_eq!((outcome, self.upstream.last_head().0), (Outcome::Answered(404), expected.clone()));
        assert_eq!((counts.connections, counts.arrived), (1, expected.len() as u64));
    }

    /// The code and the words of a failure, or an empty text and what came instead.
    async fn refusal(&mut self, method: &str, target: &[u8]) -> (String, String) {
        let id = self.say("orders", method, target, &[], &json!({})).await;
        let of_this = |frame| match frame {
            Frame::Failure { id: of, failure } if of.0 == id => {
                Some((failure.code.as_str().to_owned(), failure.message.into_owned()))
            }
            Frame::Response { id: of, head, .. } if of.0 == id => Some((String::new(), head.status.to_string())),
            _ => None,
        };
        self.peer.frame(of_this).await
    }
}
