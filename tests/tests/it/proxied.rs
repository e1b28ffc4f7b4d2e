//! The way out by a proxy: what works, and what the agent says of what does not. `gateway.test` is a name that only the
//! proxy knows.

use std::net::{Ipv4Addr, SocketAddr};

use reachback_tests::{
    bridge::Sidecar,
    client::call,
    process::{Process, field},
    proxy::{Beyond, Manners, Proxy, TOKEN},
    tls::Relay,
};

const CREDENTIALS: &str = "ada:love lace:1";
const CONNECTED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A gateway behind TLS, and what an agent needs.
struct Scene {
    beyond: Beyond,
    relay: Relay,
}

impl Scene {
    async fn new() -> Self {
        let beyond = Beyond::start("path: /reachback").await;
        let relay = Relay::start(Ipv4Addr::LOCALHOST.into(), beyond.gateway.address("tunnel")).await;
        beyond.folder.write("credentials", &format!("{CREDENTIALS}\n"));
        beyond.folder.write("ca.pem", &relay.authority);
        Self { beyond, relay }
    }

    /// An agent that dials the gateway by its name, on port 443 with a path.
    fn yaml(&self, more: &str) -> String {
        self.beyond.agent_yaml("wss://gateway.test/reachback", &format!("ca_file: ca.pem\n{more}"))
    }

    /// An agent with these keys reaches the gateway, and tells how.
    async fn works(&self, more: &str, by: &str) {
        let agent = Sidecar::agent(&self.yaml(more), self.beyond.folder.path());
        self.beyond.gateway.until_links(1).await;
        self.beyond.answers().await;
        assert_eq!(agent.status().await["links"][0]["address"], format!("by {by}"));
        drop(agent);
        self.beyond.gateway.until_links(0).await;
    }
}

#[tokio::test]
async fn socks5_with_and_without_a_login() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(Manners::Socks5(None), scene.relay.address).await;
    let url = format!("socks5://{}", proxy.address);
    scene.works(&format!("proxy: {url}"), &url).await;
    assert_eq!(proxy.asked()[0], "gateway.test:443");

    let proxy = Proxy::start(Manners::Socks5(Some(("ada", "love lace:1"))), scene.relay.address).await;
    let url = format!("socks5://{}", proxy.address);
    scene.works(&format!("proxy: {url}\nproxy_credentials_file: credentials"), &url).await;
}

#[tokio::test]
async fn http_in_plain_text_and_by_tls() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(Manners::Http(CONNECTED), scene.relay.address).await;
    let url = format!("http://{}", proxy.address);
    scene.works(&format!("proxy: {url}\nproxy_credentials_file: credentials"), &url).await;
    let expected = "CONNECT gateway.test:443 HTTP/1.1\r\nhost: gateway.test:443\r\n\
                    proxy-authorization: Basic YWRhOmxvdmUgbGFjZTox\r\n\r\n";
    assert_eq!(proxy.asked()[0], expected, "and no token");

    let front = Relay::start(Ipv4Addr::LOCALHOST.into(), proxy.address).await;
    scene.beyond.folder.write("ca.pem", &format!("{}{}", scene.relay.authority, front.authority));
    let url = format!("https://{}", front.address);
    scene.works(&format!("proxy: {url}"), &url).await;
    assert!(!proxy.asked().last().unwrap().contains("authorization"));
}

/// What an agent with these keys logs of its first dial, and how long it means to wait then.
async fn fails(scene: &Scene, environment: &[(&str, &str)], more: &str, says: &[&str]) -> u64 {
    let agent = Process::start_in(environment, "agent", &scene.yaml(more), &scene.beyond.folder);
    let line = agent.line(&["no link: dialling again"]).await;
    for word in says {
        assert!(line.contains(word), "{word}\n{line}");
    }
    let log = agent.log().join("\n");
    for secret in ["love", "YWRh", TOKEN] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    field(&line, "wait_ms").expect("the log says how long")
}

#[tokio::test]
async fn refusals_say_what_to_do_and_are_not_hammered() {
    let scene = Scene::new().await;
    let basic = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
    let ntlm =
        "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n";
    let forbidden = "HTTP/1.1 403 No\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\nContent-Length: 9\r\n\r\n<p>no</p>";
    let away = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    let later = "HTTP/1.1 503 No\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n";
    let file = "proxy_credentials_file: credentials";
    let login = Manners::Socks5(Some(("ada", "other")));
    let hold_off = 60_000..=66_000;
    for (manners, keys, says, waits) in [
        (Manners::Http(basic), "", "wants credentials: write USER:PASSWORD into a file", hold_off.clone()),
        (Manners::Http(basic), file, "does not accept the credentials of proxy_credentials_file", hold_off.clone()),
        (Manners::Http(ntlm), file, "only Basic is supported, and it asks for NTLM, Negotiate", hold_off.clone()),
        (
            Manners::Http(forbidden),
            "",
            "answered 403 Forbidden instead of connecting to gateway.test:443: ERR_ACCESS_DENIED 0",
            hold_off.clone(),
        ),
        (Manners::Http(away), "", "answered 503 Service Unavailable instead of", 0..=1500),
        (Manners::Http(later), "", "answered 503 Service Unavailable instead of", 20_000..=22_000),
        (Manners::Http("SSH-2.0-x\r\n"), "", "does not speak HTTP", 0..=30_000),
        (login, "", "wants credentials", hold_off.clone()),
        (login, file, "does not accept the credentials of", hold_off.clone()),
        (Manners::Socks5Reply(2), "", "has not connected to gateway.test:443: its rules do not allow it", hold_off),
        (Manners::Socks5Reply(5), "", "has not connected to gateway.test:443: the connection was refused", 0..=1500),
    ] {
        let proxy = Proxy::start(manners, scene.relay.address).await;
        let scheme = if matches!(manners, Manners::Http(_)) { "http" } else { "socks5" };
        let url = format!("{scheme}://{}", proxy.address);
        let keys = format!("proxy: {url}\n{keys}");
        let wait = fails(&scene, &[], &keys, &[&format!("the proxy {url} "), says]).await;
        assert!(waits.contains(&wait), "{says}: {wait} ms");
    }
}

#[tokio::test]
async fn a_proxy_that_is_silent_or_away_or_not_the_right_one() {
    let scene = Scene::new().await;
    let silent = Proxy::start(Manners::Http(""), scene.relay.address).await;
    let keys = format!("proxy: http://{}", silent.address);
    fails(&scene, &[], &keys, &["has not connected to gateway.test:443 within 8 s"]).await;
    let nobody: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wait = fails(&scene, &[], &format!("proxy: http://{nobody}"), &["cannot be reached", "refused"]).await;
    assert!(wait <= 1500, "{wait} ms");
    let other = Relay::start(Ipv4Addr::LOCALHOST.into(), silent.address).await;
    let keys = format!("proxy: https://{}", other.address);
    fails(&scene, &[], &keys, &["failed the TLS handshake", "ca_file"]).await;
}

#[tokio::test]
async fn the_environment_names_a_proxy() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(Manners::Http(CONNECTED), scene.relay.address).await;
    let url = format!("http://ada:love%20lace%3A1@{}", proxy.address);
    for name in ["HTTPS_PROXY", "all_proxy"] {
        let agent = Process::start_in(&[(name, &url)], "agent", &scene.yaml(""), &scene.beyond.folder);
        let line = agent.line(&["link up"]).await;
        assert!(line.contains(&format!("proxy=http://{}", proxy.address)), "{line}");
        scene.beyond.answers().await;
        assert!(!agent.log().join("\n").contains("love"), "the password is in the log");
    }
    let asked = proxy.asked();
    assert!(asked[0].contains("proxy-authorization: Basic YWRhOmxvdmUgbGFjZTox\r\n"), "{asked:?}");

    // Without it nobody knows the name.
    for (environment, more) in [
        ([("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "other.test, .test")], ""),
        ([("HTTPS_PROXY", &url), ("ALL_PROXY", &url)], "proxy: none"),
        ([("HTTP_PROXY", &url), ("http_proxy", &url)], ""),
    ] {
        let agent = Process::start_in(&environment, "agent", &scene.yaml(more), &scene.beyond.folder);
        agent.line(&["cannot resolve the gateway's name"]).await;
    }
    assert_eq!(proxy.asked().len(), asked.len());

    let refused = "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n";
    let proxy = Proxy::start(Manners::Http(refused), scene.relay.address).await;
    let url = format!("http://{}", proxy.address);
    fails(&scene, &[("HTTPS_PROXY", &url)], "", &["write USER:PASSWORD@ before its host in HTTPS_PROXY"]).await;
    let url = format!("http://ada:lovelace@{}", proxy.address);
    fails(&scene, &[("HTTPS_PROXY", &url)], "", &["the credentials that stand in HTTPS_PROXY"]).await;
}

#[tokio::test]
async fn a_reload_brings_a_proxy_and_takes_it_away() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(Manners::Socks5(Some(("ada", "love lace:1"))), scene.relay.address).await;
    let keys = format!("proxy: socks5://{}\nproxy_credentials_file: credentials", proxy.address);
    scene.beyond.folder.write("credentials", "ada:forgotten");
    scene.beyond.folder.write("agent.yaml", &scene.yaml("proxy: none"));
    let agent = Sidecar::agent_of(&scene.beyond.folder.path().join("agent.yaml"));
    scene.beyond.folder.write("agent.yaml", &scene.yaml(&keys));
    let error = |status: &serde_json::Value| status["gateways"][0]["last_error"].as_str().map(str::to_owned);
    let told = |status: &serde_json::Value| error(status).filter(|error| error.contains("does not accept"));
    agent.until_status("the proxy's refusal", told).await;
    // It is in a hold-off of a minute now, but need not sit that out.
    scene.beyond.folder.write("credentials", CREDENTIALS);
    scene.beyond.folder.write("agent.yaml", &scene.yaml(&format!("{keys}\n")));
    scene.beyond.gateway.until_links(1).await;
    scene.beyond.answers().await;
    scene.beyond.folder.write("agent.yaml", &scene.yaml("proxy: none"));
    let reloaded = |status: &serde_json::Value| (status["reload"]["generation"] == 4).then_some(());
    agent.until_status("the reload", reloaded).await;
    scene.beyond.answers().await;
    assert_eq!(
        scene.beyond.gateway.status().await["links"].as_array().unwrap().len(),
        1,
        "a link keeps what it began with"
    );
}

#[tokio::test]
async fn a_proxy_that_dies_takes_its_link_with_it_and_no_more() {
    let scene = Scene::new().await;
    let proxy = Proxy::start(Manners::Http(CONNECTED), scene.relay.address).await;
    let yaml = scene.yaml(&format!("proxy: http://{}", proxy.address));
    let agent = Sidecar::agent(&yaml, scene.beyond.folder.path());
    scene.beyond.gateway.until_links(1).await;
    let facade = scene.beyond.gateway.address("facade");
    let hanging = tokio::spawn(async move { call(facade, "POST", "/gate", "").await });
    scene.beyond.upstream.until("the call to be under way", |counts| counts.active == 1).await;
    drop(proxy);
    let answer = hanging.await.unwrap();
    assert_eq!((answer.status(), answer.failure()), (502, Some("link_lost")));
    drop(agent);
}
