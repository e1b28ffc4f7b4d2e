//! Who is who: TLS on the tunnel, certificates, digests of tokens, signed tokens; and that no secret is ever shown.

use std::{fs, net::SocketAddr, time::SystemTime};

use gateway::config::TotpSecret;
use reachback_tests::{
    bridge::{self, Setup, gateway_with},
    client,
    issuer::{ISSUER, KeyServer, Signer},
    process::{Process, field, run_with},
    scratch::Scratch,
    tls::{self, Authority},
    wait::{until, until_so},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const TOKEN: &str = "rb_1e5ee6cb2e5c1d0a7ce2c0ffee";
const NEXT_TOKEN: &str = "rb_9e5ee6cb2e5c1d0a7ce2decade";
const SPIFFE: &str = "spiffe://acme/ns/shop/sa/edge";

fn digest(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder with an authority for everything, a certificate for the gateway, and one for an agent.
fn folder() -> (Scratch, Authority) {
    let (folder, authority) = (Scratch::new(), Authority::new());
    folder.write("ca.pem", &authority.pem());
    folder.write("gateway.pem", &authority.issue(&["localhost", "127.0.0.1"]));
    folder.write("edge.pem", &authority.issue(&[SPIFFE, "edge.example.org"]));
    (folder, authority)
}

/// A gateway that speaks TLS, with these agents and issuers.
fn gateway(folder: &Scratch, more: &str) -> Process {
    let tls = "tls: { cert_file: gateway.pem, client_ca_file: ca.pem }\n";
    let facade = "  - { listen: 127.0.0.1:0, service: orders }\n";
    Process::start("gateway", &gateway_with(facade, &format!("{tls}{more}")), folder)
}

/// An agent that dials `tunnel` by TLS, with these keys.
fn agent(tunnel: SocketAddr, keys: &str, folder: &Scratch) -> Process {
    let setup = Setup { agent: keys, ..Setup::default() };
    let yaml = bridge::agent_yaml(tunnel, "127.0.0.1:9".parse().unwrap(), setup);
    Process::start("agent", &yaml.replace("ws://", "wss://"), folder)
}

async fn status(process: &Process) -> Value {
    client::json(&format!("http://{}/status", process.address("admin").await)).await
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_bad_one_is_not() {
    let (folder, authority) = folder();
    let agents = format!("agents: [ {{ name: a, token_sha256: [{}], services: [orders] }} ]", digest(TOKEN));
    let gateway = gateway(&folder, &agents);
    let tunnel = gateway.address("tunnel").await;
    folder.write("token", TOKEN);
    let good = agent(tunnel, "token_file: token\nca_file: ca.pem", &folder);
    good.line(&["link up"]).await;
    gateway.line(&["link up", "proof=token"]).await;
    let shown = async || {
        let stream = tls::connect(tunnel, &authority.pem()).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = shown().await;
    folder.write("gateway.pem", &authority.issue(&["localhost", "127.0.0.1"]));
    until("the new certificate", async || (shown().await != before).then_some(())).await;
    let after = shown().await;
    fs::write(folder.path().join("gateway.pem"), "-----BEGIN").unwrap();
    gateway.line(&["ERROR", "gateway.pem", "the old one stays in use"]).await;
    let certificates = status(&gateway).await["certificates"].clone();
    assert!(certificates[0]["error"].as_str().unwrap().contains("holds no certificate"), "{certificates}");
    assert_eq!(shown().await, after);
    assert!(good.log().iter().all(|line| !line.contains("link down")), "links stay as they are");

    let strict = agent(tunnel, "token_file: token", &folder);
    strict.line(&["no link", "TLS handshake failed"]).await;
    let insecure = agent(tunnel, "token_file: token\ninsecure_skip_verify: true", &folder);
    insecure.line(&["WARN", "link{", "insecure_skip_verify"]).await;
    insecure.line(&["link up"]).await;
}

#[tokio::test]
async fn a_certificate_says_which_agent_it_is() {
    let (folder, authority) = folder();
    let agents = format!(
        "agents:\n  - {{ name: by-uri, certificate: {{ san_uri: 'spiffe://acme/ns/*/sa/edge' }}, services: [orders] }}\n  \
         - {{ name: by-dns, certificate: {{ san_dns: '*.agents.example.org' }}, services: [invoices] }}\n  \
         - {{ name: by-token, token_sha256: [{}], services: [orders] }}\n",
        digest(TOKEN)
    );
    let gateway = gateway(&folder, &agents);
    let tunnel = gateway.address("tunnel").await;
    let _edge = agent(tunnel, "cert_file: edge.pem\nca_file: ca.pem", &folder);
    gateway.line(&["link up", "by-uri", "proof=certificate"]).await;
    // The credential decides, not the name that the agent has for itself.
    folder.write("dns.pem", &authority.issue(&["seven.agents.example.org"]));
    let claims = agent(tunnel, "cert_file: dns.pem\nca_file: ca.pem", &folder);
    claims.line(&["no link", "service_not_permitted", "orders"]).await;
    gateway.line(&["WARN", "by-dns", "service=orders", "may not serve"]).await;
    folder.write("other.pem", &authority.issue(&["edge.example.net"]));
    let unknown = agent(tunnel, "cert_file: other.pem\nca_file: ca.pem", &folder);
    unknown.line(&["no link", "401"]).await;
    gateway.line(&["WARN", "the certificate is that of no agent"]).await;
    folder.write("forged.pem", &Authority::new().issue(&[SPIFFE]));
    let forged = agent(tunnel, "cert_file: forged.pem\nca_file: ca.pem", &folder);
    forged.line(&["no link"]).await;
    // Without a certificate there are other ways.
    folder.write("token", TOKEN);
    let _token = agent(tunnel, "token_file: token\nca_file: ca.pem", &folder);
    gateway.line(&["link up", "by-token", "proof=token"]).await;
    assert!(gateway.log().iter().all(|line| !(line.contains("link up") && line.contains("by-dns"))));
}

/// Otherwise an expired certificate would be good for as long as its owner keeps an old session.
#[tokio::test]
async fn a_certificate_is_judged_at_every_dial() {
    let (folder, authority) = folder();
    let gateway =
        gateway(&folder, "agents: [ { name: a, certificate: { san_uri: 'spiffe://a' }, services: [orders] } ]");
    let tunnel = gateway.address("tunnel").await;
    let own = fs::read_to_string(folder.path().join("edge.pem")).unwrap();
    for version in rustls::ALL_VERSIONS {
        assert!(!tls::resumes(tunnel, &authority.pem(), &own, version).await, "{version:?}");
    }
}

const SUBJECT: &str = "system:serviceaccount:shop:reachback";

fn with_issuer(keys: &KeyServer) -> String {
    format!(
        "issuers:\n  cluster: {{ issuer: {ISSUER}, audience: reachback, jwks_url: 'http://{}/keys' }}\n\
         agents:\n  - {{ name: shop, jwt: {{ subject: 'system:serviceaccount:*:reachback' }}, services: [orders] }}\n",
        keys.address
    )
}

#[tokio::test]
async fn a_signed_token_is_renewed_or_ends_its_link() {
    let (folder, _) = folder();
    let signer = Signer::new("one");
    let keys = KeyServer::start(signer.keys()).await;
    let gateway = gateway(&folder, &with_issuer(&keys));
    let tunnel = gateway.address("tunnel").await;
    folder.write("short", &signer.token(SUBJECT, 600));
    let renewing = agent(tunnel, "token_file: short\nca_file: ca.pem", &folder);
    gateway.line(&["link up", "shop", "proof=jwt"]).await;
    folder.write("short", &signer.token("system:serviceaccount:shop:other", 600));
    renewing.signal("HUP");
    gateway.line(&["WARN", "not accepted", "that of no agent"]).await;
    // Clocks may be 30 s apart: this one has two seconds left.
    folder.write("short", &signer.token(SUBJECT, -28));
    renewing.signal("HUP");
    gateway.line(&["renewed its credential", "proof=jwt"]).await;
    gateway.line(&["WARN", "whose credential has expired"]).await;
    renewing.line(&["link down", "1008: credential_expired"]).await;
    // It is read again at each dial.
    folder.write("short", &signer.token(SUBJECT, 600));
    let ups = || gateway.log().iter().filter(|line| line.contains("link up")).count();
    until_so("the agent is back", || ups() == 2).await;
    let issuers = status(&gateway).await["issuers"].clone();
    assert_eq!((&issuers[0]["issuer"], &issuers[0]["keys"]), (&"cluster".into(), &1.into()));
}

/// An issuer may sign with a new key before its gateway has heard of that.
#[tokio::test]
async fn a_fresh_token_waits_for_its_key_as_long_as_the_old_one_lasts() {
    let (folder, _) = folder();
    let signers = ["one", "two", "three"].map(Signer::new);
    folder.write("keys.json", &signers[0].keys());
    let issuer = format!(
        "issuers:\n  cluster: {{ issuer: {ISSUER}, audience: reachback, jwks_file: keys.json }}\n\
         agents:\n  - {{ name: shop, jwt: {{ subject: 'system:serviceaccount:*:reachback' }}, services: [orders] }}\n"
    );
    let gateway = gateway(&folder, &issuer);
    let tunnel = gateway.address("tunnel").await;
    folder.write("token", &signers[0].token(SUBJECT, 600));
    let agent = agent(tunnel, "token_file: token\nca_file: ca.pem", &folder);
    gateway.line(&["link up", "shop", "proof=jwt"]).await;
    // Clocks may be 30 s apart: this one lasts for 20 s, time enough for its key to be there.
    folder.write("token", &signers[1].token(SUBJECT, -10));
    agent.signal("HUP");
    gateway.line(&["cannot be judged yet", "key is not known"]).await;
    folder.write("keys.json", &signers[1].keys());
    gateway.line(&["renewed its credential", "proof=jwt"]).await;
    folder.write("token", &signers[2].token(SUBJECT, 600));
    agent.signal("HUP");
    gateway.line(&["WARN", "whose credential has expired"]).await;
    agent.line(&["link down", "1008: credential_expired"]).await;
    let judged = gateway.log().iter().filter(|line| line.contains("cannot be judged yet")).count();
    assert_eq!(judged, 2, "it is said once of each");
}

/// A URL is asked every 30 s at most, whatever keys are named.
#[tokio::test]
async fn a_fresh_token_has_its_key_asked_for() {
    let (folder, _) = folder();
    let signers = ["one", "two"].map(Signer::new);
    let keys = KeyServer::start(signers[0].keys()).await;
    let gateway = gateway(&folder, &with_issuer(&keys));
    let tunnel = gateway.address("tunnel").await;
    // With the 30 s that clocks may be apart it lasts long enough.
    folder.write("token", &signers[0].token(SUBJECT, 25));
    let agent = agent(tunnel, "token_file: token\nca_file: ca.pem", &folder);
    gateway.line(&["link up", "shop", "proof=jwt"]).await;
    keys.serve(signers[1].keys());
    folder.write("token", &signers[1].token(SUBJECT, 600));
    agent.signal("HUP");
    gateway.line(&["renewed its credential", "proof=jwt"]).await;
    assert!(gateway.log().iter().all(|line| !line.contains("has expired") && !line.contains("link down")));
}

/// A 401 would be final for whoever shows a good token.
#[tokio::test]
async fn a_signed_token_waits_for_the_first_keys() {
    let (folder, _) = folder();
    let signer = Signer::new("one");
    let keys = KeyServer::start("not yet".to_owned()).await;
    let gateway = gateway(&folder, &with_issuer(&keys));
    let tunnel = gateway.address("tunnel").await;
    gateway.line(&["ERROR", "cannot be renewed", "is not a JSON Web Key Set"]).await;
    folder.write("token", &signer.token(SUBJECT, 600));
    let agent = agent(tunnel, "token_file: token\nca_file: ca.pem", &folder);
    let line = agent.line(&["no link", "answered 503", "has to fetch the keys"]).await;
    assert!(field::<u64>(&line, "wait_ms").unwrap() <= 1100, "{line}");
    gateway.line(&["WARN", "503", "keys are being fetched"]).await;
    keys.serve(signer.keys());
    gateway.line(&["link up", "shop", "proof=jwt"]).await;
    assert!(agent.log().iter().all(|line| !line.contains("401")));
}

/// Every kind of credential, right and wrong, in one scene; then everything that anybody wrote is searched.
#[tokio::test]
async fn no_secret_is_ever_shown() {
    let (folder, authority) = folder();
    let signer = Signer::new("one");
    let keys = KeyServer::start(signer.keys()).await;
    let old = "plain-0123456789abcdef";
    let signed = [signer.token(SUBJECT, 600), signer.token(SUBJECT, -600), Signer::new("one").token(SUBJECT, 600)];
    let tokens = [old, TOKEN, NEXT_TOKEN, "rb_wrong-0123456789abcdef"];
    folder.write("old.token", old);
    let issuer = with_issuer(&keys);
    let more = format!(
        "{issuer}  - {{ name: plain, token_file: old.token, services: [orders] }}\n  \
         - {{ name: rotated, token_sha256: [{}, {}], services: [orders] }}\n  \
         - {{ name: edge, certificate: {{ san_uri: '{SPIFFE}' }}, services: [orders] }}\n  \
         - {{ name: registered, totp_secret_file: codes.totp, services: [orders] }}\nstate_file: state.json\n",
        digest(TOKEN),
        digest(NEXT_TOKEN)
    );
    let codes = TotpSecret::new(b"12345678901234567890").unwrap();
    folder.write("codes.totp", &codes.base32());
    let gateway = gateway(&folder, &more);
    let tunnel = gateway.address("tunnel").await;
    let mut processes = Vec::new();
    for (at, token) in tokens.iter().copied().chain(signed.iter().map(String::as_str)).enumerate() {
        folder.write(&format!("token-{at}"), token);
        let agent = agent(tunnel, &format!("token_file: token-{at}\nca_file: ca.pem"), &folder);
        let expected = if [0, 1, 2, 4].contains(&at) { "link up" } else { "401" };
        agent.line(&[expected]).await;
        processes.push(agent);
    }
    let edge = agent(tunnel, "cert_file: edge.pem\nca_file: ca.pem", &folder);
    edge.line(&["link up"]).await;
    processes.push(edge);
    for why in ["token is not known", "token has expired", "signature is wrong"] {
        gateway.line(&["WARN", "401", why]).await;
    }
    folder.write("token-0", NEXT_TOKEN);
    processes[0].signal("HUP");
    gateway.line(&["not accepted", "that of another agent"]).await;
    let (registered, printed) = register(&folder, tunnel, &codes).await;
    registered.line(&["link up"]).await;
    processes.push(registered);
    // A certificate and a token where they do not belong.
    folder.write("gateway.pem", &folder_text(&folder, "edge.pem").replace("MII", "M!I"));
    gateway.line(&["ERROR", "stays in use"]).await;
    let slip = format!("agents: [ {{ name: a b, token_sha256: [{TOKEN}, {NEXT_TOKEN}], services: [orders] }} ]");
    let mut slipped =
        Process::start("gateway", &gateway_with("  - { listen: 127.0.0.1:0, service: orders }\n", &slip), &folder);
    assert_eq!(slipped.code().await, Some(2));
    slipped.line(&["not the SHA-256"]).await;

    let mut written: Vec<String> = vec![printed];
    for process in processes.iter().chain([&gateway]) {
        written.extend([process.arguments(), status(process).await.to_string()]);
        written.extend(process.log().into_iter().chain(process.output()));
    }
    written.extend(slipped.log().into_iter().chain(slipped.output()));
    let keys_of = |pem: &str| pem.lines().filter(|line| line.len() == 64).map(str::to_owned).collect::<Vec<_>>();
    let mut secrets: Vec<String> = tokens.into_iter().map(str::to_owned).chain(signed).collect();
    secrets.extend([digest(TOKEN), digest(NEXT_TOKEN), codes.base32()]);
    secrets.push(folder_text(&folder, "own.token").trim().to_owned());
    secrets.extend(keys_of(&folder_text(&folder, "edge.pem")).into_iter().chain(keys_of(&authority.pem())));
    assert!(secrets.len() > 10 && written.len() > 50);
    for secret in &secrets {
        let shown = written.iter().find(|line| line.contains(secret.as_str()));
        assert!(shown.is_none(), "{secret} is in {shown:?}");
    }
}

/// Opening one would wait for ever; a hung file system cannot be made here.
#[tokio::test]
async fn a_pipe_for_a_token_holds_up_neither_a_dial_nor_the_end() {
    let folder = Scratch::new();
    folder.write("token", TOKEN);
    let mut agent = agent("127.0.0.1:9".parse().unwrap(), "token_file: token", &folder);
    agent.line(&["no link"]).await;
    fs::remove_file(folder.file("token")).unwrap();
    folder.pipe("token");
    agent.line(&["the token cannot be read again: the last one is shown", "it is a pipe, not a file"]).await;
    agent.signal("TERM");
    assert_eq!(agent.code().await, Some(0));
    let (code, said) = run_with(&["check", "--config", agent.file().to_str().unwrap()], "").await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("the token file") && said.contains("it is a pipe, not a file"), "{said}");
}

/// An agent that has registered, and what registering has printed.
async fn register(folder: &Scratch, tunnel: SocketAddr, codes: &TotpSecret) -> (Process, String) {
    let keys = "token_file: own.token\nca_file: ca.pem";
    let yaml = bridge::agent_yaml(tunnel, "127.0.0.1:9".parse().unwrap(), Setup { agent: keys, ..Setup::default() });
    folder.write("registers.yaml", &yaml.replace("ws://", "wss://"));
    let (step, _) = TotpSecret::step_at(SystemTime::now());
    let code = String::from_utf8_lossy(&codes.code(step)).into_owned();
    let file = folder.path().join("registers.yaml").display().to_string();
    let (code, printed) = run_with(&["register", "--config", &file], &code).await;
    assert_eq!(code, 0, "{printed}");
    (agent(tunnel, keys, folder), printed)
}

fn folder_text(folder: &Scratch, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}
