//! `reachback`: parse the arguments, build, log the addresses, wait for a signal, drain, pick an exit code.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic if nobody reads, or the disk is full")]

mod admin;
mod agents;
mod allow;
mod args;
mod check;
mod demo;
mod drain;
mod exit;
mod logs;
mod memory;
mod print;
mod register;
mod role;
mod shown;
mod signals;
mod token;

use std::{process::ExitCode, sync::Arc, time::Duration};

use agent::Agent;
use clap::Parser as _;
use gateway::Gateway;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    args::{AgentArgs, Args, Command, GatewayArgs},
    exit::Exit,
};

fn main() -> ExitCode {
    let Args { logs, command } = Args::parse();
    let level = if matches!(command, Command::Demo) { logs::DEMO } else { logs::DEFAULT };
    let outcome = logs::start(&logs, level).and_then(|()| match command {
        Command::Gateway(args) => run(gateway(args)),
        Command::Agent(args) => run(agent(args)),
        Command::Check { config } => check::check(&config),
        Command::Drain { admin } => run(drain::drain(admin)),
        Command::Agents(args) => run(agents::run(args)),
        Command::Allow(args) => allow::run(&args),
        Command::Token { command } => token::run(command),
        Command::Register { config } => run(register::run(config)),
        Command::Demo => run(demo::run()),
    });
    outcome.map_or_else(|exit| exit.report(), |()| ExitCode::SUCCESS)
}

/// How long the end of the process waits for files that are being read or written: a file system may stand still, and
/// nothing half written is taken for whole.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One thread: the work is waiting, and one flush for all that is ready is worth more than a second core.
fn run(part: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Exit::failed)?;
    let outcome = runtime.block_on(part);
    runtime.shutdown_timeout(LAST_WORDS);
    outcome
}

async fn gateway(args: GatewayArgs) -> Result<(), Exit> {
    let has_file = args.has_file();
    let config = args.config()?;
    config.warnings.iter().for_each(|warning| warn!("{warning}"));
    let shutdown = shutdown(has_file)?;
    if has_file {
        tokio::spawn(say_at_hangup(signals::hangup().map_err(Exit::failed)?));
    }
    let gateway = Gateway::bind(config).await.map_err(Exit::failed)?;
    for (what, address) in gateway.addresses() {
        info!(%what, %address, "listening");
    }
    gateway.run(shutdown).await;
    info!("stopped");
    Ok(())
}

async fn agent(args: AgentArgs) -> Result<(), Exit> {
    let has_file = args.has_file();
    let config = args.config()?;
    config.warnings.iter().for_each(|warning| warn!("{warning}"));
    let shutdown = shutdown(has_file)?;
    let mut agent = Agent::bind(config).await.map_err(Exit::failed)?;
    if has_file {
        agent = agent.with_hangup(signals::hangup().map_err(Exit::failed)?);
    }
    for (what, address) in agent.addresses() {
        info!(%what, %address, "listening");
    }
    agent.run(shutdown).await;
    info!("stopped");
    Ok(())
}

fn shutdown(has_file: bool) -> Result<CancellationToken, Exit> {
    if has_file { signals::shutdown() } else { signals::shutdown_or_hangup() }.map_err(Exit::failed)
}

/// A gateway reads certificates and keys again by itself, and its file not at all.
async fn say_at_hangup(hangup: Arc<Notify>) {
    loop {
        hangup.notified().await;
        warn!("a gateway reads its configuration at the start only: restart it for a change");
    }
}
