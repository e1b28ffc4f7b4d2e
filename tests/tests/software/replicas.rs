//! Gateways found by name: an agent whose `/etc/hosts` is a file of the test.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
};

use reachback_tests::{
    bridge::{Setup, Sidecar, agent_yaml, gateway_yaml},
    client::call,
    process::{Process, own_address},
    scratch::Scratch,
    upstream::Upstream,
    wait::within,
};

use crate::program::find;

/// The port of every gateway: their addresses differ, as those of replicas do.
const PORT: u16 = 7100;

struct Scene {
    folder: Scratch,
    upstream: Upstream,
}

impl Scene {
    /// `None` where no process can have a file system of its own.
    async fn new() -> Option<Self> {
        find(&["unshare"], &["-rm", "true"], "util-linux; user namespaces must be permitted")?;
        Some(Self { folder: Scratch::new(), upstream: Upstream::start().await })
    }

    fn gateway(ip: IpAddr) -> Sidecar {
        let tunnel = SocketAddr::new(ip, PORT);
        Sidecar::gateway(&gateway_yaml("").replacen("listen: 127.0.0.1:0", &format!("listen: {tunnel}"), 1))
    }

    /// What the name stands for from now on.
    fn name(&self, addresses: &[IpAddr]) {
        let lines: String = addresses.iter().map(|ip| format!("{ip} localhost\n")).collect();
        self.folder.write("hosts", &lines);
    }

    fn agent(&self, reresolve: &str) -> Process {
        let hosts = self.folder.path().join("hosts");
        let mount = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
        let yaml = agent_yaml(([0, 0, 0, 0], PORT).into(), self.upstream.address(), Setup::default());
        let yaml = yaml
            .replace("0.0.0.0", "localhost")
            .replace("name: agent", &format!("name: agent\nreresolve: {reresolve}"));
        let mut unshare = Command::new("unshare");
        unshare.args(["-rm", "sh", "-c", &mount]);
        Process::start_by(unshare, "agent", &yaml, &self.folder)
    }
}

async fn answers(gateway: &Sidecar) {
    assert_eq!(call(gateway.address("facade"), "GET", "/bytes/1", "").await.status(), 200);
}

#[tokio::test]
async fn a_new_address_gets_a_link_and_one_that_vanishes_keeps_its_own_to_the_end() {
    let Some(scene) = Scene::new().await else { return };
    let [first, second, third] = [own_address(), own_address(), own_address()];
    let (mut old, new, newest) = (Scene::gateway(first), Scene::gateway(second), Scene::gateway(third));
    scene.name(&[first]);
    let agent = scene.agent("1s");
    old.until_links(1).await;
    scene.name(&[first, second]);
    new.until_links(1).await;
    let facade = old.address("facade");
    let pending = tokio::spawn(async move { call(facade, "GET", "/gate", "").await });
    scene.upstream.until("a call by the old one", |counts| counts.requests == 1).await;
    scene.name(&[second]);
    agent.line(&["not dialled by this route any more", &format!("address={first}")]).await;
    // It may be about to drain, and still have clients.
    answers(&old).await;
    scene.upstream.open_gate(1);
    assert_eq!(within("the gate", pending).await.unwrap().status(), 200);
    old.kill();
    agent.line(&["link down", &format!("address={first}")]).await;
    let again = Scene::gateway(first);
    scene.name(&[second, third]);
    newest.until_links(1).await;
    answers(&newest).await;
    answers(&new).await;
    assert_eq!(again.status().await["links"].as_array().map(Vec::len), Some(0), "it is not dialled any more");
}

#[tokio::test]
async fn a_name_that_has_moved_is_resolved_again_when_a_link_fails() {
    let Some(scene) = Scene::new().await else { return };
    let [first, second] = [own_address(), own_address()];
    let (mut old, new) = (Scene::gateway(first), Scene::gateway(second));
    scene.name(&[first]);
    let _agent = scene.agent("1h");
    old.until_links(1).await;
    scene.name(&[second]);
    old.kill();
    new.until_links(1).await;
    answers(&new).await;
}
