//! The way out by squid, with and without a password, and when it is killed.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use reachback_tests::{
    bridge::Sidecar,
    client::call,
    process::{own_address, until_listening},
    proxy::Beyond,
};
use serde_json::Value;

use crate::program::{self, Killed};

/// Squid's helper that looks passwords up in a file, and the file: `ada` with `love lace:1`.
const LOOK_UP: &str = "/usr/lib/squid/basic_ncsa_auth";
const PASSWORDS: &str = "ada:$apr1$reachbck$xJO/L5K9ltaNUFApHDRf90\n";

/// A gateway whose name only squid knows, and where squid listens.
struct Scene {
    squid: PathBuf,
    proxy: SocketAddr,
    beyond: Beyond,
}

impl Scene {
    /// `None` if there is no squid.
    async fn start() -> Option<Self> {
        let squid = program::find(&["squid", "/usr/sbin/squid"], &["-v"], "squid")?;
        let beyond = Beyond::start("").await;
        beyond.folder.write("passwords", PASSWORDS);
        beyond.folder.write("hosts", "127.0.0.1 gateway.test\n");
        Some(Self { squid, proxy: SocketAddr::new(own_address(), 3128), beyond })
    }

    /// Squid with these rules; it connects to the gateway's port only.
    async fn squid(&self, rules: &str) -> Killed {
        let folder = self.beyond.folder.path().display();
        let (proxy, port) = (self.proxy, self.beyond.gateway.address("tunnel").port());
        let text = format!(
            "http_port {proxy}\nvisible_hostname proxy.test\nhosts_file {folder}/hosts\npid_filename none\n\
             cache_log /dev/null\naccess_log none\nnetdb_filename none\ncoredump_dir none\npinger_enable off\n\
             max_filedescriptors 1024\ncache deny all\nacl gateway port {port}\n{rules}\n\
             http_access deny !gateway\nhttp_access allow all\n"
        );
        self.beyond.folder.write("squid.conf", &text);
        let mut command = Command::new(&self.squid);
        // In the foreground, and one process of it.
        command.args(["-N", "-f"]).arg(self.beyond.folder.path().join("squid.conf"));
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let squid = Killed(quiet.spawn().unwrap());
        until_listening(self.proxy).await;
        squid
    }

    /// An agent that dials the gateway, at a port, by squid.
    fn agent(&self, port: u16, more: &str) -> Sidecar {
        let more = format!("proxy: http://{}\n{more}", self.proxy);
        let yaml = self.beyond.agent_yaml(&format!("ws://gateway.test:{port}"), &more);
        Sidecar::agent(&yaml, self.beyond.folder.path())
    }

    fn port(&self) -> u16 {
        self.beyond.gateway.address("tunnel").port()
    }
}

/// Waits until the last thing that has gone wrong is this.
async fn complains(agent: &Sidecar, of: &[&str]) {
    let says = |status: &Value| {
        let error = status["gateways"][0]["last_error"].as_str()?;
        of.iter().all(|word| error.contains(word)).then_some(())
    };
    agent.until_status(&format!("a complaint of {of:?}"), says).await;
}

#[tokio::test]
async fn squid_killed_mid_link_costs_what_is_under_way_and_no_more() {
    let Some(scene) = Scene::start().await else { return };
    let squid = scene.squid("").await;
    let agent = scene.agent(scene.port(), "");
    scene.beyond.gateway.until_links(1).await;
    scene.beyond.answers().await;
    assert_eq!(agent.status().await["links"][0]["address"], format!("by http://{}", scene.proxy));

    let facade = scene.beyond.gateway.address("facade");
    let under_way = tokio::spawn(async move { call(facade, "POST", "/gate", "").await });
    scene.beyond.upstream.until("the call to be under way", |counts| counts.active == 1).await;
    drop(squid);
    let answer = under_way.await.unwrap();
    assert_eq!((answer.status(), answer.failure()), (502, Some("link_lost")));
    complains(&agent, &["the proxy http://", "cannot be reached"]).await;

    // It waits for the agent, and the agent for squid.
    let later = tokio::spawn(async move { call(facade, "GET", "/bytes/9", "").await });
    let _squid = scene.squid("").await;
    assert_eq!(later.await.unwrap().status(), 200);
}

#[tokio::test]
async fn squid_wants_a_password() {
    let Some(scene) = Scene::start().await else { return };
    let folder = scene.beyond.folder.path();
    let rules = format!(
        "auth_param basic program {LOOK_UP} {}\nauth_param basic children 1\nacl known proxy_auth REQUIRED\n\
         http_access deny !known",
        folder.join("passwords").display()
    );
    let _squid = scene.squid(&rules).await;
    let agent = scene.agent(scene.port(), "");
    complains(&agent, &["wants credentials: write USER:PASSWORD into a file"]).await;
    fs::write(folder.join("credentials"), "ada:lovelace\n").unwrap();
    let agent = scene.agent(scene.port(), "proxy_credentials_file: credentials");
    complains(&agent, &["does not accept the credentials of proxy_credentials_file"]).await;
    fs::write(folder.join("credentials"), "ada:love lace:1\n").unwrap();
    let _agent = scene.agent(scene.port(), "proxy_credentials_file: credentials");
    scene.beyond.gateway.until_links(1).await;
    scene.beyond.answers().await;
}

#[tokio::test]
async fn squid_refuses() {
    let Some(scene) = Scene::start().await else { return };
    // The port of a gateway that is away.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _squid = scene.squid(&format!("acl gateway port {port}")).await;
    let agent = scene.agent(443, "");
    complains(&agent, &["answered 403 Forbidden instead of connecting to gateway.test:443: ERR_ACCESS_DENIED 0"]).await;
    let agent = scene.agent(port, "");
    complains(&agent, &["answered 503 Service Unavailable instead of connecting to", ": ERR_CONNECT_FAIL"]).await;
}
