//! `reachback allow`: the whitelist asked, shown, and proposed.

pub(crate) mod args;
mod block;
mod import;
mod learn;
mod list;
mod percent;
mod test;

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use proto::wire::{RequestHead, RequestId, ServiceName};

use crate::{allow::args::AllowCommand, exit::Exit, print::print, role::Role};

pub(crate) fn run(args: &args::AllowArgs) -> Result<(), Exit> {
    match &args.command {
        AllowCommand::Test(args) => test::run(args),
        AllowCommand::List(args) => list::run(args),
        AllowCommand::Learn(args) => learn::run(args),
        AllowCommand::Import(args) => import::run(args),
    }
}

/// The services of an agent's file.
fn services_of(file: &Path) -> Result<Vec<agent::config::Service>, Exit> {
    agent::config::load_services(file).map_err(|why| Role::Agent.refuses(file, why))
}

/// A request as it would come from a gateway, without a body, and with no header but the one every request has.
fn head(service: ServiceName, method: Method, target: impl Into<Bytes>) -> RequestHead {
    RequestHead {
        service,
        method,
        target: target.into(),
        headers: HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]),
        request_id: RequestId::new("allow").expect("a literal of visible ASCII"),
        deadline: None,
        upgrade: false,
    }
}
