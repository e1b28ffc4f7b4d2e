//! What can be asked of the whitelist on the command line.

use std::{ffi::OsString, path::PathBuf};

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub(crate) struct AllowArgs {
    #[command(subcommand)]
    pub(super) command: AllowCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum AllowCommand {
    /// Say whether a request would be allowed, by which rule, or why not
    ///
    /// Needs the configuration alone: no token, no gateway, no upstream. Exit code 0: a rule allows it; 1: refused, or
    /// sent in audit mode alone; 2: the configuration is bad.
    Test(TestArgs),
    /// Show the rules that are in force, as a table
    ///
    /// Needs the configuration alone. Exit code 0: shown; 2: the configuration is bad, or has no such service.
    List(ListArgs),
    /// Propose rules for what an audit log has seen
    ///
    /// Prints YAML to paste into the agent's configuration: the most used rules first, with ids, numbers, hashes and
    /// dates folded into {id}. Read each one before you paste it: whoever could send requests while the log was
    /// written had a say in it. Exit code 0: proposed; 1: there is nothing to propose; 2: a file cannot be read.
    Learn(LearnArgs),
    /// Write the rules for exactly the operations of an OpenAPI document
    ///
    /// Reads OpenAPI 3.0 and 3.1, as YAML or JSON, from one file, and prints a service to paste into the agent's
    /// configuration. Exit code 0: printed; 2: the document cannot be used.
    Import(ImportArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The service that is asked for, such as orders
    pub(super) service: String,
    /// The method, such as GET
    pub(super) method: String,
    /// Path and query as they stand in the request line, such as '/orders/42?x=1'
    pub(super) target: OsString,
    /// A header of the request, such as 'Content-Type: application/json'; can be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// Ask for an upgrade to WebSocket
    #[arg(long)]
    pub(super) upgrade: bool,
    /// Answer with one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Only this service
    pub(super) service: Option<String>,
    /// Answer with one JSON array of services
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct LearnArgs {
    /// Audit logs, one JSON object a line; - is standard input
    #[arg(required = true, value_name = "AUDIT.jsonl")]
    pub(super) logs: Vec<PathBuf>,
    /// Leave out what the rules of this agent's configuration allow already
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Only this service
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// Propose rules for denied requests as well, which no upstream has ever answered
    #[arg(long)]
    pub(super) denied: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The OpenAPI document
    #[arg(value_name = "OPENAPI.yaml")]
    pub(super) document: PathBuf,
    /// Only operations with this tag; can be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(super) tags: Vec<String>,
    /// What to call the service [default: made from the document's title]
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// Where the server listens, seen from the agent
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(super) upstream: String,
    /// What stands before every path, such as /v2 or / [default: the path of the document's first server]
    #[arg(long, value_name = "PATH")]
    pub(super) base_path: Option<String>,
}
