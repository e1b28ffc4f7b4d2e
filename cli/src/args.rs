//! The command line: what can be asked of `reachback`, and the configuration that its flags make.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{agents::AgentsArgs, allow::args::AllowArgs, exit::Exit, role::Role};

/// Call REST APIs behind a firewall that permits outbound connections only.
///
/// The agent runs beside the firewalled server and dials out to the gateway. The gateway runs beside the client and
/// offers the server's API on a local HTTP address.
#[derive(Debug, Parser)]
#[command(name = "reachback", version, arg_required_else_help = true)]
#[command(after_help = "Try it: reachback demo")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to log; logs go to standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// How log lines look: for people, coloured on a terminal, or one JSON object each
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Logs, to standard error"
    )]
    pub(crate) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,reachback_proto=trace
    /// [default: $RUST_LOG, or info]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Logs, to standard error")]
    pub(crate) log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run beside the client: accept agents, and offer their services as local HTTP
    Gateway(GatewayArgs),
    /// Run beside the server: dial gateways, and serve what the whitelist allows
    Agent(AgentArgs),
    /// Register an agent, once, with a code from whoever runs the gateway; the code is read from standard input
    ///
    /// The agent makes a token of its own, shows it to its gateways with the code, and keeps it in its `token_file`.
    Register {
        /// The agent's configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration, say what it would do, and start nothing
    ///
    /// Whether it is a gateway's or an agent's is seen from its keys. Exit code 0: it is good; 2: it is not.
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Drain a gateway or an agent that runs on this machine, and wait until it has: for a preStop hook
    ///
    /// It takes no new work from then on, but runs until it is told to end. Exit code 0: it is drained; 1: it is not.
    Drain {
        /// Its `admin` listener, such as 127.0.0.1:7101
        #[arg(long, value_name = "ADDR", value_parser = crate::admin::address)]
        admin: SocketAddr,
    },
    /// Ask the whitelist of an agent's configuration, or have rules proposed for it
    Allow(AllowArgs),
    /// Make the secret by which a gateway knows an agent, or the codes by which an agent registers
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// List a running gateway's agents, and decide who is let in
    Agents(AgentsArgs),
    /// Try the bridge: gateway, agent and a small REST server in one process, until Ctrl-C
    Demo,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token: it goes to standard output, and what to write into gateway.yaml to standard error
    New {
        /// The agent that it is for
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
    },
    /// Make a secret for registration codes (TOTP): it goes to standard output, and what to do with it to standard error
    Secret {
        /// The agent that it is for
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
    },
    /// Print the current registration code
    Code {
        /// The file with the secret
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
    },
}

/// A gateway from a file, or from flags for a first try on one machine.
#[derive(Debug, clap::Args)]
#[command(override_usage = "reachback gateway --config FILE
       reachback gateway --listen ADDR --facade ADDR=SERVICE... [--token-file FILE]")]
pub(crate) struct GatewayArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["listen", "facades", "token_file"])]
    #[arg(conflicts_with_all = ["listen", "facades", "token_file"])]
    config: Option<PathBuf>,
    /// Where agents connect: a loopback address, such as 127.0.0.1:7100
    #[arg(long, value_name = "ADDR", requires = "facades", help_heading = "Without a file")]
    listen: Option<String>,
    /// Where applications connect, and for which service, such as 127.0.0.1:7080=orders; can be repeated
    #[arg(long = "facade", value_name = "ADDR=SERVICE", requires = "listen", help_heading = "Without a file")]
    facades: Vec<String>,
    /// The file with the token that agents must show; without it, anyone on this machine can be an agent
    #[arg(long, value_name = "FILE", requires = "listen", help_heading = "Without a file")]
    token_file: Option<String>,
}

impl GatewayArgs {
    /// Whether there is a file that can change.
    pub(crate) fn has_file(&self) -> bool {
        self.config.is_some()
    }

    /// The configuration, checked.
    pub(crate) fn config(self) -> Result<gateway::config::Config, Exit> {
        match self.config {
            Some(file) => gateway::config::Config::load(&file).map_err(|why| Role::Gateway.refuses(&file, why)),
            None => Ok(gateway::config::Config::from_flags(&gateway::config::Flags {
                listen: self.listen.unwrap_or_default(),
                facades: self.facades,
                token_file: self.token_file,
            })?),
        }
    }
}

/// An agent from a file, or from flags for a first try.
#[derive(Debug, clap::Args)]
#[command(override_usage = "reachback agent --config FILE
       reachback agent --gateway URL... --service NAME=URL... --allow 'NAME: RULE'...
                       [--token-file FILE] [--name NAME]")]
pub(crate) struct AgentArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["gateways", "services", "allow", "token_file", "name"])]
    #[arg(conflicts_with_all = ["gateways", "services", "allow", "token_file", "name"])]
    config: Option<PathBuf>,
    /// A gateway to dial, such as ws://127.0.0.1:7100; can be repeated
    #[arg(long = "gateway", value_name = "URL", requires = "services", help_heading = "Without a file")]
    gateways: Vec<String>,
    /// A service and where it is, such as orders=http://127.0.0.1:3000; can be repeated
    #[arg(long = "service", value_name = "NAME=URL", requires = "gateways", help_heading = "Without a file")]
    services: Vec<String>,
    /// A rule, such as 'orders: GET /orders/**'; can be repeated; what no rule allows is denied
    #[arg(long, value_name = "NAME: RULE", requires = "services", help_heading = "Without a file")]
    allow: Vec<String>,
    /// The file with the token to show to gateways
    #[arg(long, value_name = "FILE", requires = "gateways", help_heading = "Without a file")]
    token_file: Option<String>,
    /// What the agent calls itself [default: the host's name]
    #[arg(long, value_name = "NAME", requires = "gateways", help_heading = "Without a file")]
    name: Option<String>,
}

impl AgentArgs {
    /// Whether there is a file that can change.
    pub(crate) fn has_file(&self) -> bool {
        self.config.is_some()
    }

    /// The configuration, checked.
    pub(crate) fn config(self) -> Result<agent::config::Config, Exit> {
        match self.config {
            Some(file) => agent::config::Config::load(&file).map_err(|why| Role::Agent.refuses(&file, why)),
            None => Ok(agent::config::Config::from_flags(&agent::config::Flags {
                gateways: self.gateways,
                services: self.services,
                allow: self.allow,
                token_file: self.token_file,
                name: self.name,
            })?),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_file_and_flags_exclude_each_other() {
        let good: [&[&str]; 7] = [
            &["drain", "--admin", "[::1]:7101"],
            &["gateway", "--config", "f"],
            &["gateway", "--listen", "a", "--facade", "b", "--facade", "c", "--token-file", "t"],
            &["agent", "--config", "f", "--log-format", "json"],
            &["agent", "--gateway", "a", "--service", "b", "--allow", "c", "--token-file", "t", "--name", "n"],
            &["agents", "list"],
            &["agents", "approve", "edge-1", "--admin", "[::1]:7101"],
        ];
        let bad: [&[&str]; 14] = [
            &["drain"],
            &["drain", "--admin", "10.0.0.1:7101"],
            &["agents"],
            &["agents", "approve"],
            &["agents", "list", "--admin", "10.0.0.1:7101"],
            &["gateway"],
            &["gateway", "--listen", "a"],
            &["gateway", "--facade", "a"],
            &["gateway", "--config", "f", "--listen", "a"],
            &["gateway", "--config", "f", "--token-file", "t"],
            &["agent"],
            &["agent", "--gateway", "a"],
            &["agent", "--config", "f", "--allow", "a"],
            &["agent", "--config", "f", "--log-format", "xml"],
        ];
        let parse = |args: &[&str]| Args::try_parse_from([&["reachback"], args].concat());
        for args in good {
            assert!(parse(args).is_ok(), "{args:?}");
        }
        for args in bad {
            assert_eq!(parse(args).expect_err("wrong usage").exit_code(), 2, "{args:?}");
        }
    }

    #[test]
    fn what_is_missing_beside_a_flag_is_no_file() {
        for (args, missing) in [
            (&["gateway", "--facade", "a"][..], "--listen"),
            (&["gateway", "--token-file", "t"], "--listen"),
            (&["gateway", "--listen", "a"], "--facade"),
            (&["agent", "--service", "a"], "--gateway"),
            (&["agent", "--allow", "a"], "--service"),
            (&["agent", "--name", "a"], "--gateway"),
            (&["agent", "--gateway", "a"], "--service"),
        ] {
            let error = Args::try_parse_from([&["reachback"], args].concat()).expect_err("wrong usage").to_string();
            let (required, _) = error.split_once("Usage").expect("it shows the usage");
            assert!(required.contains(missing) && !required.contains("--config"), "{args:?}: {error}");
        }
    }
}
