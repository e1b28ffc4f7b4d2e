//! Machines: what runs on one begins anew each time it is switched on.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use agent::Agent;
use bytes::Bytes;
use gateway::Gateway;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::http1;

/// The ports of a gateway and of the server beside an agent, the same on each machine.
pub(crate) const TUNNEL: u16 = 7100;
/// See [`TUNNEL`].
pub(crate) const FACADE: u16 = 7080;
/// See [`TUNNEL`].
pub(crate) const UPSTREAM: u16 = 3000;
/// Of both sides; loopback.
const ADMIN: u16 = 7101;

/// A machine with a gateway or an agent, as whoever stands before it sees it.
#[derive(Clone, Default)]
pub(crate) struct Machine(Rc<State>);

#[derive(Default)]
struct State {
    /// Whether anything but the machine itself runs.
    runs: Cell<bool>,
    shutdown: RefCell<CancellationToken>,
    drained: Cell<bool>,
    asked: Notify,
    question: RefCell<Option<Question>>,
    answer: RefCell<Option<Value>>,
}

/// What the admin listener is asked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) body: String,
}

impl Machine {
    pub(crate) fn set_runs(&self, runs: bool) {
        self.0.runs.set(runs);
        self.0.drained.set(false);
        self.0.shutdown.replace(CancellationToken::new());
    }

    pub(crate) fn drain(&self) {
        self.0.shutdown.borrow().cancel();
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.0.drained.get()
    }

    pub(crate) fn ask(&self, question: Question) {
        self.0.answer.replace(None);
        self.0.question.replace(Some(question));
        self.0.asked.notify_one();
    }

    pub(crate) fn answer(&self) -> Option<Value> {
        self.0.answer.take()
    }

    /// What runs on the machine of a gateway.
    pub(crate) async fn run_gateway(self, config: gateway::Config) -> turmoil::Result {
        if self.0.runs.get() {
            let gateway = Gateway::bind(config).await?;
            self.run(|shutdown| gateway.run(shutdown)).await;
        }
        std::future::pending().await
    }

    /// What runs on the machine of an agent, or of many.
    pub(crate) async fn run_agents(self, configs: Vec<agent::Config>) -> turmoil::Result {
        if self.0.runs.get() {
            let mut agents = JoinSet::new();
            let shutdown = self.0.shutdown.borrow().clone();
            for config in configs {
                agents.spawn_local(Agent::bind(config).await?.run(shutdown.clone()));
            }
            self.run(|_| async {
                agents.join_all().await;
            })
            .await;
        }
        std::future::pending().await
    }

    async fn run<R: Future<Output = ()>>(&self, sidecar: impl FnOnce(CancellationToken) -> R) {
        tokio::task::spawn_local(self.clone().relay());
        let shutdown = self.0.shutdown.borrow().clone();
        sidecar(shutdown).await;
        self.0.drained.set(true);
    }

    /// Puts questions from outside the simulation to the admin listener.
    async fn relay(self) {
        loop {
            self.0.asked.notified().await;
            let Some(Question { method, path, body }) = self.0.question.take() else { continue };
            let request = Request::builder().method(method).uri(path).header("host", "localhost");
            let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body)));
            let request = request.expect("a request can be made of these");
            if let Ok(answer) = http1::ask(("127.0.0.1", ADMIN), request).await {
                self.0.answer.replace(Some(serde_json::from_slice(&answer.body).unwrap_or_default()));
            }
        }
    }
}
