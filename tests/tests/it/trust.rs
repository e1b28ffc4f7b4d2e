//! Whose certificates and keys are believed, when they change, and who is told of them.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _};

use reachback_tests::{
    bridge::{self, Setup, gateway_with},
    client,
    issuer::{ISSUER, KeyServer, Signer},
    process::{Process, field, own_address, run},
    scratch::Scratch,
    tls::{self, Authority, Relay},
    wait::{until_so, within},
};
use rustls::{
    pki_types::{CertificateDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const SUBJECT: &str = "system:serviceaccount:shop:reachback";

/// A gateway with these keys, at this address.
fn gateway_at(listen: &str, more: &str, folder: &Scratch) -> Process {
    let yaml = gateway_with("  - { listen: 127.0.0.1:0, service: orders }\n", more);
    Process::start("gateway", &yaml.replacen("127.0.0.1:0", listen, 1), folder)
}

/// An agent that dials `tunnel` by TLS, with these keys.
fn agent(environment: &[(&str, &str)], tunnel: SocketAddr, keys: &str, folder: &Scratch) -> Process {
    let setup = Setup { agent: keys, ..Setup::default() };
    let yaml = bridge::agent_yaml(tunnel, "127.0.0.1:9".parse().unwrap(), setup).replace("ws://", "wss://");
    Process::start_in(environment, "agent", &yaml, folder)
}

async fn status(process: &Process) -> Value {
    client::json(&format!("http://{}/status", process.address("admin").await)).await
}

/// A folder with an authority's certificate, and one for the gateway.
fn folder() -> (Scratch, Authority) {
    let (folder, authority) = (Scratch::new(), Authority::new());
    folder.write("ca.pem", &authority.pem());
    folder.write("gateway.pem", &authority.issue(&["localhost", "127.0.0.1"]));
    (folder, authority)
}

const TLS: &str = "tls: { cert_file: gateway.pem, client_ca_file: ca.pem }\n";

#[tokio::test]
async fn keys_are_fetched_by_https_from_whoever_is_trusted() {
    let folder = Scratch::new();
    let signer = Signer::new("one");
    let keys = KeyServer::start(signer.keys()).await;
    let https = Relay::start("127.0.0.1".parse().unwrap(), keys.address).await;
    folder.write("keys-ca.pem", &https.authority);
    folder.write("token", &signer.token(SUBJECT, 600));
    let start = |trust: &str| {
        let more = format!(
            "issuers:\n  cluster: {{ issuer: {ISSUER}, audience: reachback, jwks_url: 'https://{}/keys'{trust} }}\n\
             agents: [ {{ name: shop, jwt: {{ subject: '{SUBJECT}' }}, services: [orders] }} ]\n",
            https.address
        );
        gateway_at("127.0.0.1:0", &more, &folder)
    };
    let trusting = start(", ca_file: keys-ca.pem");
    trusting.line(&["the issuer's keys are in use", "keys=1"]).await;
    let tunnel = trusting.address("tunnel").await;
    let setup = Setup { agent: "token_file: token", ..Setup::default() };
    let yaml = bridge::agent_yaml(tunnel, "127.0.0.1:9".parse().unwrap(), setup);
    let _agent = Process::start("agent", &yaml, &folder);
    trusting.line(&["link up", "shop", "proof=jwt"]).await;
    assert_eq!(status(&trusting).await["links"][0]["proof"], "jwt");
    let wary = start("");
    wary.line(&["ERROR", "cannot be fetched", "UnknownIssuer"]).await;
    assert_eq!(status(&wary).await["issuers"][0]["keys"], 0);
}

/// What whoever runs the agent can do stands in its log.
#[tokio::test]
async fn a_failed_handshake_says_what_to_do() {
    let (folder, authority) = folder();
    folder.write("elsewhere.pem", &authority.issue(&["gateway.example"]));
    folder.write("made.pem", &tls::authority_as_server(&["127.0.0.1"]));
    let gateway = async |certificate: &str| {
        let tls = if certificate.is_empty() { String::new() } else { format!("tls: {{ cert_file: {certificate} }}\n") };
        let gateway = gateway_at("127.0.0.1:0", &tls, &folder);
        let tunnel = gateway.address("tunnel").await;
        (gateway, tunnel)
    };
    let check = async |certificate: &str, keys: &str, line: &[&str]| {
        let (gateway, tunnel) = gateway(certificate).await;
        agent(&[], tunnel, keys, &folder).line(line).await;
        gateway.line(&["WARN", "a connection came to nothing", "why=", "unsaid=0"]).await
    };
    let line = check("gateway.pem", "", &["no link", "nobody this agent trusts", "in ca_file"]).await;
    assert!(line.contains("does not accept this listener's certificate (UnknownCA)"), "{line}");
    check("elsewhere.pem", "ca_file: ca.pem", &["no link", "gateway.example", "127.0.0.1 was dialled"]).await;
    check("made.pem", "ca_file: made.pem", &["no link", "an authority's", "CA:FALSE", "docs/configuration.md"]).await;
    let line = check("", "ca_file: ca.pem", &["no link", "does not speak TLS", "write ws://"]).await;
    assert!(line.contains("it speaks TLS, and this listener does not"), "{line}");
    let (gateway, tunnel) = gateway("gateway.pem").await;
    let yaml = bridge::agent_yaml(tunnel, "127.0.0.1:9".parse().unwrap(), Setup::default());
    let plain = Process::start("agent", &yaml, &folder);
    plain.line(&["no link", "does not answer in HTTP: does it speak TLS? Then write wss://"]).await;
    gateway.line(&["a connection came to nothing", "it does not speak TLS, and this listener does"]).await;
}

/// By TLS 1.2 in the handshake, by TLS 1.3 only after it. It comes back after a hold-off.
#[tokio::test]
async fn an_agent_whose_certificate_is_refused_says_so_and_holds_off() {
    let (folder, authority) = folder();
    folder.write("expired.pem", &authority.issue_expired(&["edge"]));
    folder.write("namesake.pem", &Authority::new().issue(&["edge"]));
    folder.write("stranger.pem", &Authority::named("somebody else").issue(&["edge"]));
    let gateway = gateway_at("127.0.0.1:0", TLS, &folder);
    let own = authority.issue(&["127.0.0.1"]);
    let strict = async |version| tls::judge(version, &authority.pem(), &own).await;
    let tunnels = [gateway.address("tunnel").await, strict(&TLS12).await, strict(&TLS13).await];
    let check = async |tunnel, own: &str, why: &str| {
        let agent = agent(&[], tunnel, &format!("ca_file: ca.pem\n{own}"), &folder);
        let line = agent.line(&["WARN", "no link", "the gateway", "certificate", why]).await;
        assert!(field::<u64>(&line, "wait_ms").unwrap() >= 60_000, "{line}");
    };
    for tunnel in tunnels {
        check(tunnel, "cert_file: expired.pem", "(CertificateExpired)").await;
        check(tunnel, "cert_file: stranger.pem", "(UnknownCA)").await;
        check(tunnel, "cert_file: namesake.pem", "(DecryptError)").await;
    }
    check(tunnels[2], "", "(CertificateRequired)").await;
}

#[tokio::test]
async fn the_systems_authorities_are_trusted_if_that_is_said() {
    let (folder, _authority) = folder();
    folder.write("other.pem", &Authority::new().pem());
    let gateway = gateway_at("127.0.0.1:0", "tls: { cert_file: gateway.pem }\n", &folder);
    let tunnel = gateway.address("tunnel").await;
    let system = |name: &str| folder.path().join(name).display().to_string();
    let trusting = agent(&[("SSL_CERT_FILE", &system("ca.pem"))], tunnel, "system_roots: true", &folder);
    trusting.line(&["link up"]).await;
    let both = "system_roots: true\nca_file: ca.pem";
    let both = agent(&[("SSL_CERT_FILE", &system("other.pem"))], tunnel, both, &folder);
    both.line(&["link up"]).await;
    for (file, keys) in [("other.pem", "system_roots: true"), ("ca.pem", "system_roots: false")] {
        let wary = agent(&[("SSL_CERT_FILE", &system(file))], tunnel, keys, &folder);
        wary.line(&["no link", "TLS handshake failed"]).await;
    }
}

/// A hundred begin at once; others have to wait for their turn.
#[tokio::test]
async fn whoever_waits_for_tls_gets_it() {
    let (folder, authority) = folder();
    let agents = "agents: [ { name: a, certificate: { cn: a }, services: [orders] } ]\n";
    let gateway = gateway_at("127.0.0.1:0", &format!("{TLS}{agents}"), &folder);
    let (tunnel, pem) = (gateway.address("tunnel").await, authority.pem());
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..150 {
        let pem = pem.clone();
        strangers.spawn(async move { tls::connect(tunnel, &pem).await });
    }
    let connections = within("all handshakes", strangers.join_all()).await;
    assert_eq!(connections.len(), 150);
    folder.write("a.pem", &authority.issue(&["CN=a"]));
    let _agent = agent(&[], tunnel, "cert_file: a.pem\nca_file: ca.pem", &folder);
    gateway.line(&["link up", "proof=certificate"]).await;
}

#[tokio::test]
async fn the_next_dial_shows_the_certificate_that_is_there_then() {
    let (folder, authority) = folder();
    let listen = format!("{}:7100", own_address());
    folder.write("gateway.pem", &authority.issue(&[&own_name(&listen), "localhost"]));
    let agents = "agents:\n  - { name: old, certificate: { cn: edge-1 }, services: [orders] }\n  \
                  - { name: new, certificate: { cn: 'edge-2*' }, services: [orders] }\n";
    let more = format!("{TLS}{agents}");
    let mut gateway = gateway_at(&listen, &more, &folder);
    folder.write("edge.pem", &authority.issue(&["CN=edge-1", "edge-2.example.org"]));
    let edge = agent(&[], gateway.address("tunnel").await, "cert_file: edge.pem\nca_file: ca.pem", &folder);
    gateway.line(&["link up", "agent=\"old\"", "proof=certificate"]).await;
    folder.write("edge.pem", &authority.issue(&["CN=edge-2-b"]));
    gateway.kill();
    let gateway = gateway_at(&listen, &more, &folder);
    gateway.line(&["link up", "agent=\"new\"", "proof=certificate"]).await;
    let ups = || edge.log().iter().filter(|line| line.contains("link up")).count();
    until_so("the second link", || ups() == 2).await;
    folder.write("stranger.pem", &authority.issue(&["CN=edge-3", "edge-1"]));
    let keys = "cert_file: stranger.pem\nca_file: ca.pem";
    let stranger = agent(&[], gateway.address("tunnel").await, keys, &folder);
    stranger.line(&["no link", "401"]).await;
}

#[tokio::test]
async fn a_key_that_everybody_can_write_is_warned_of() {
    let (folder, authority) = folder();
    folder.write("edge.pem", &authority.issue(&["edge"]));
    let edge = folder.path().join("edge.pem");
    fs::set_permissions(&edge, fs::Permissions::from_mode(0o666)).unwrap();
    let agent = agent(&[], "127.0.0.1:9".parse().unwrap(), "ca_file: ca.pem\ncert_file: edge.pem", &folder);
    agent.line(&["WARN agent-", "edge.pem holds a secret", "can write to it", "chmod 600"]).await;
    let (code, said) = run(&["check", "--config", &agent.file().display().to_string()]).await;
    assert!(code == 0 && said.contains("warning: ") && said.contains("edge.pem holds a secret"), "{said}");
}

fn own_name(listen: &str) -> String {
    listen.split(':').next().unwrap().to_owned()
}

#[tokio::test]
async fn whoever_decides_sees_the_certificate_and_how_an_agent_has_proved_itself() {
    let (folder, authority) = folder();
    let edge = authority.issue(&["edge.example.org"]);
    folder.write("edge.pem", &edge);
    folder.write("token", "rb_1e5ee6cb2e5c1d0a7ce2c0ffee");
    let more = format!(
        "{TLS}admission: approve\nagents:\n  \
         - {{ name: edge, certificate: {{ san_dns: edge.example.org }}, services: [orders] }}\n  \
         - {{ name: by-token, token_file: token, services: [orders] }}\n"
    );
    let gateway = gateway_at("127.0.0.1:0", &more, &folder);
    let tunnel = gateway.address("tunnel").await;
    let _edge = agent(&[], tunnel, "cert_file: edge.pem\nca_file: ca.pem", &folder);
    gateway.line(&["held: waiting for approval"]).await;
    let der = CertificateDer::from_pem_slice(edge.as_bytes()).unwrap();
    let fingerprint: String = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(status(&gateway).await["pending"][0]["fingerprint"], json!(fingerprint));
    let admin = gateway.address("admin").await.to_string();
    let command = async |args: &[&str]| run(&[&["agents", "--admin", &admin], args].concat()).await;
    let listed = format!("certificate {fingerprint}");
    let (code, printed) = command(&["list"]).await;
    assert!(code == 0 && printed.contains("pending") && printed.contains(&listed), "{printed}");
    command(&["approve", "edge"]).await;
    gateway.line(&["link up", "proof=certificate"]).await;
    let link = status(&gateway).await["links"][0].clone();
    assert_eq!((&link["proof"], &link["fingerprint"]), (&json!("certificate"), &json!(fingerprint)));
    let (_, printed) = command(&["list"]).await;
    assert!(printed.contains("linked") && printed.contains(&listed), "{printed}");

    let _token = agent(&[], tunnel, "token_file: token\nca_file: ca.pem", &folder);
    until_so("the second", || gateway.log().iter().filter(|line| line.contains("held: waiting")).count() == 2).await;
    command(&["approve", "by-token"]).await;
    gateway.line(&["link up", "proof=token"]).await;
    let status = status(&gateway).await;
    let link = status["links"].as_array().unwrap().iter().find(|link| link["agent"] == "by-token").unwrap();
    assert_eq!((&link["proof"], link.get("fingerprint")), (&json!("token"), None));
}

#[tokio::test]
async fn an_agent_without_a_file_renews_its_token_in_band() {
    let folder = Scratch::new();
    let signer = Signer::new("one");
    folder.write("keys.json", &signer.keys());
    folder.write("token", &signer.token(SUBJECT, 600));
    let more = format!(
        "issuers:\n  cluster: {{ issuer: {ISSUER}, audience: reachback, jwks_file: keys.json }}\n\
         agents: [ {{ name: shop, jwt: {{ subject: '{SUBJECT}' }}, services: [orders] }} ]\n"
    );
    let gateway = gateway_at("127.0.0.1:0", &more, &folder);
    let url = format!("ws://{}", gateway.address("tunnel").await);
    let service = ["--service", "orders=http://127.0.0.1:9", "--allow", "orders: GET /**"];
    let args = [&["agent", "--gateway", &url, "--token-file", "token"][..], &service].concat();
    let _agent = Process::start_with(&args, &folder);
    gateway.line(&["link up", "shop", "proof=jwt"]).await;
    folder.write("token", &signer.token(SUBJECT, 900));
    // It looks twice a minute.
    gateway.line(&["renewed its credential", "proof=jwt"]).await;
}
