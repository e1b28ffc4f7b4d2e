//! The application: calls the facades of gateways, as long as it is told to.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use tokio::time::{sleep, timeout};

use crate::{
    chance,
    http1::{self, Answer, NoAnswer},
    ledger::{DEADLINE, Ledger, Outcome},
    machine::FACADE,
};

/// Callers that do not wait for each other.
const CALLERS: usize = 3;

/// How long each rests between two calls, at most.
const REST: Duration = Duration::from_secs(4);

/// What an application does.
#[derive(Clone)]
pub(crate) struct App {
    /// The gateways that it calls, one or the other.
    pub(crate) gateways: Rc<[String]>,
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    /// Whether it goes on.
    pub(crate) calls: Rc<Cell<bool>>,
}

impl App {
    /// Calls until it is stopped.
    pub(crate) async fn run(self) {
        for _ in 0..CALLERS {
            let app = self.clone();
            tokio::task::spawn_local(async move {
                while app.calls.get() {
                    app.call().await;
                    sleep(chance::up_to(REST)).await;
                }
            });
        }
        std::future::pending().await
    }

    async fn call(&self) {
        let method = chance::one_of(&[&Method::GET, &Method::POST]).clone();
        let at = chance::below(self.gateways.len() as u64);
        let gateway = &self.gateways[usize::try_from(at).expect("it came from a usize")];
        let number = self.ledger.borrow_mut().begin(method.clone());
        let request = Request::builder().method(&method).uri(format!("/orders/{number}")).header("host", "orders");
        let body = if method == Method::POST { Bytes::from_static(b"a body") } else { Bytes::new() };
        let request = request.body(Full::new(body)).expect("a request can be made of these");
        // A little more, so that what is late is told from what hangs.
        let asked = timeout(DEADLINE * 2, http1::ask((&**gateway, FACADE), request)).await;
        let outcome = match asked {
            Err(_) => Outcome::TooLate,
            Ok(Err(NoAnswer::NotConnected)) => Outcome::NotConnected,
            Ok(Err(NoAnswer::Cut)) => Outcome::Cut,
            Ok(Ok(answer)) => outcome_of(&answer, &method, number),
        };
        self.ledger.borrow_mut().end(number, outcome);
    }
}

/// What the server says to a request. Nobody else can.
pub(crate) fn echo(method: &Method, number: usize) -> String {
    format!("{method} {number}")
}

fn outcome_of(answer: &Answer, method: &Method, number: usize) -> Outcome {
    let Some(code) = answer.headers.get("reachback-error") else {
        let expected = echo(method, number);
        let right = answer.status.is_success() && answer.body == expected.as_bytes();
        return if right { Outcome::Answered } else { Outcome::Wrong(format!("{answer:?}, not {expected}")) };
    };
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (code.to_str(), problem["retry_safe"].as_bool()) {
        (Ok(code), Some(retry_safe)) => Outcome::Failed { code: code.to_owned(), retry_safe },
        _ => Outcome::Wrong(format!("{answer:?}")),
    }
}
