//! Two hosts and a cable between them, as network namespaces, with a firewall before one. They go with the test.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::program::{self, Killed, find};

/// The host of the gateway, and that of the agent.
pub(crate) const ADDRESSES: [&str; 2] = ["10.99.0.1", "10.99.0.2"];

/// Nothing comes in but the answers to what went out, and only this goes out.
const FIREWALL: &str = "table inet firewall {
  chain input {
    type filter hook input priority 0
    iif lo accept
    ct state established,related accept
    reject
  }
  chain output {
    type filter hook output priority 0
    oif lo accept
    ct state established,related accept
    ip daddr 10.99.0.1 tcp dport 7100 accept
    reject
  }
}
";

/// The hosts.
pub(crate) struct Hosts {
    pub(crate) gateway: Host,
    pub(crate) agent: Host,
    ip: PathBuf,
    nft: PathBuf,
}

/// One of them: a process that does nothing holds its network.
pub(crate) struct Host(Killed);

impl Hosts {
    /// `None` if something is missing, such as the right to make them.
    pub(crate) fn start() -> Option<Self> {
        let unshare = find(&["unshare"], &["--net", "true"], "util-linux, and run this as root")?;
        let ip = find(&["ip", "/usr/sbin/ip"], &["-V"], "iproute2")?;
        let nft = find(&["nft", "/usr/sbin/nft"], &["--version"], "nftables")?;
        let hosts = Self { gateway: Host::start(&unshare), agent: Host::start(&unshare), ip, nft };
        let other = hosts.agent.network();
        hosts.ip(&hosts.gateway, &["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &other]);
        for (host, address) in [&hosts.gateway, &hosts.agent].into_iter().zip(ADDRESSES) {
            hosts.ip(host, &["address", "add", &format!("{address}/24"), "dev", "cable"]);
            hosts.ip(host, &["link", "set", "lo", "up"]);
            hosts.ip(host, &["link", "set", "cable", "up"]);
        }
        Some(hosts)
    }

    /// From now on the agent's host can only dial the gateway.
    pub(crate) fn raise_firewall(&self) {
        let mut command = self.agent.command(&self.nft);
        let mut nft = Killed(command.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap());
        nft.0.stdin.take().unwrap().write_all(FIREWALL.as_bytes()).unwrap();
        assert!(nft.0.wait().unwrap().success(), "the firewall cannot be set up");
    }

    /// `up` or `down`.
    pub(crate) fn set_cable(&self, state: &str) {
        self.ip(&self.gateway, &["link", "set", "cable", state]);
    }

    fn ip(&self, on: &Host, args: &[&str]) {
        assert!(on.command(&self.ip).args(args).status().unwrap().success(), "ip {args:?}");
    }
}

impl Host {
    fn start(unshare: &Path) -> Self {
        let mut command = Command::new(unshare);
        // It ends when its input does.
        command.args(["--net", "sh", "-c", "echo && exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Killed(command.spawn().unwrap());
        let mut ready = String::new();
        BufReader::new(holder.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "\n", "the namespace cannot be made");
        Self(holder)
    }

    fn network(&self) -> String {
        format!("/proc/{}/ns/net", self.0.0.id())
    }

    /// What runs there whatever is added to it.
    pub(crate) fn runs(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.network())).stdin(Stdio::null());
        command
    }

    /// A program there.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = self.runs();
        command.arg(program);
        command
    }

    /// Whether somebody there can connect to this.
    pub(crate) async fn reaches(&self, python: &Path, address: &str, port: u16) -> bool {
        let mut command = self.command(python);
        let connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)";
        command.args(["-c", connect, address, &port.to_string()]);
        program::run(command).await.code == Some(0)
    }
}
