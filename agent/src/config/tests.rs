//! Configurations good and bad, and what is said about the bad ones.

use std::{fs, os::unix::fs::PermissionsExt as _};

use http::HeaderValue;
use settings::{
    Source,
    scratch::{AGENT, Scratch, says, slips},
};

use super::*;

/// A folder with token and CA files.
struct Folder(Scratch);

impl Folder {
    fn new() -> Self {
        let folder = Scratch::with_token();
        for (name, text) in [
            ("short.token", "short\n"),
            ("proxy.credentials", "ada:love lace\n"),
            ("ca.pem", &PEM.repeat(2)),
            ("odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("no.pem", "hello\n"),
            ("cut.pem", &PEM[..40]),
        ] {
            folder.write(name, text);
        }
        Self(folder)
    }

    fn config(&self, text: &str) -> Result<Config, Invalid> {
        Config::from_source(&Source::file("agent.yaml", text, self.0.path()))
    }
}

/// A self-signed authority that nobody uses.
const PEM: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBijCCAS+gAwIBAgIUd/WrIpT4WmULYKQ+olHdi+tBBmwwCgYIKoZIzj0EAwIw\n\
GTEXMBUGA1UEAwwOVGVzdCBhdXRob3JpdHkwIBcNMjYxMTIwMTEzNDI2WhgPMjEy\n\
NjEwMjcxMTM0MjZaMBkxFzAVBgNVBAMMDlRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI\n\
zj0CAQYIKoZIzj0DAQcDQgAEmg/VQ2gEjas/Bap0BkyvNgD1qjPb5IE4tLzQwJ5A\n\
JghAtRKTZyRsGmHkdxZakanMeaCTo6weDN6rn/SerY4Tr6NTMFEwHQYDVR0OBBYE\n\
FGFheaP4OQ5qxIFuAwYolbVuHqWvMB8GA1UdIwQYMBaAFGFheaP4OQ5qxIFuAwYo\n\
lbVuHqWvMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAJ7WjxKw\n\
VN7xkLQLPEb8r+Lj2PewRZrtOf+vwXUfVusFAiEA5dh04DbpHUTxSnA8+GnJpsE/\n\
30LfUTIP5Ifuns2kcd4=\n\
-----END CERTIFICATE-----\n\
";

#[test]
fn the_file_of_the_documentation() {
    let config = Folder::new().config(AGENT).unwrap();
    assert_eq!(config.name, "warehouse-7");
    assert_eq!(config.gateways[0].to_string(), "ws://127.0.0.1:7100/reachback/v1");
    assert_eq!(config.token.as_ref().unwrap().expose(), "seven-0123456789abcdef");
    assert_eq!((config.admin.unwrap().port(), config.health), (7201, None));
    let [orders] = config.services.as_slice() else { panic!("one service") };
    assert_eq!((orders.name.as_str(), orders.allow.len()), ("orders", 3));
    assert_eq!((orders.upstream.host.as_str(), orders.upstream.port), ("127.0.0.1", 3000));
    assert_eq!(orders.host, Host::Fixed(HeaderValue::from_static("127.0.0.1:3000")));
    assert!(!orders.trust_forwarded);
    assert_eq!(orders.protocol, Protocol::Http1);
    assert_eq!((orders.mode, &config.audit_log, &config.origin), (Mode::Enforce, &None, &None));
    assert_eq!(orders.connect_timeout, CONNECT_TIMEOUT);
    assert_eq!(orders.times, Times { response: Some(RESPONSE_TIMEOUT), ..Times::default() });
    assert_eq!((config.drain_grace, config.reresolve, config.links), (DRAIN_GRACE, RERESOLVE, 1));
    assert_eq!((config.limits.streams, config.limits.growth()), (1024, 64 << 20));
    assert_eq!((config.ca, config.warnings), (None, Vec::new()));
}

#[test]
fn every_key() {
    let text = r#"
name: a.b
gateways: [ "wss://GW.example.org", "ws://[::1]:7100/t/v1" ]
token_file: warehouse-7.token
ca_file: ca.pem
proxy: https://Proxy.example.net:3129/
proxy_credentials_file: proxy.credentials
admin: { listen: "127.0.0.1:7201" }
health: { listen: 0.0.0.0:7202 }
services:
  b.acme: { upstream: "http://Orders.internal/", host: preserve, trust_forwarded: true }
  a:
    upstream: http://[::1]:81
    protocol: h2c
    allow: [ GET /a ]
    mode: enforce
    host: api.internal:8080
    connect_timeout: 1s
    response_timeout: 5m
    idle_timeout: 90s
    total_timeout: 10m
drain_grace: 0s
reresolve: 10s
links: 16
audit_log: audit.jsonl
limits: { streams_per_link: 10, window: 64KiB, memory_per_link: 1MiB }
"#;
    let folder = Folder::new();
    let config = folder.config(text).unwrap();
    assert_eq!(config.audit_log, Some(AuditTarget::File(folder.0.file("audit.jsonl"))));
    let gateways: Vec<_> = config.gateways.iter().map(ToString::to_string).collect();
    assert_eq!(gateways, ["wss://gw.example.org:443/reachback/v1", "ws://[::1]:7100/t/v1"]);
    let authorities: Vec<_> = config.gateways.iter().map(GatewayUrl::authority).collect();
    assert_eq!(authorities, ["gw.example.org", "[::1]:7100"]);
    assert_eq!((config.ca.unwrap().len(), config.links), (2, 16));
    let proxy = config.proxies[&config.gateways[0]].clone();
    assert_eq!((proxy.to_string().as_str(), proxy.has_credentials()), ("https://proxy.example.net:3129", true));
    assert_eq!(config.proxies.len(), 1, "no proxy leads back to this machine");
    let [b, a] = config.services.as_slice() else { panic!("two services, in the order of the file") };
    assert_eq!((b.upstream.to_string().as_str(), &b.host), ("http://orders.internal:80", &Host::Preserve));
    assert_eq!((a.upstream.host.as_str(), a.upstream.authority().as_str()), ("::1", "[::1]:81"));
    assert_eq!((a.protocol, b.protocol), (Protocol::H2c, Protocol::Http1));
    assert_eq!(a.host, Host::Fixed(HeaderValue::from_static("api.internal:8080")));
    let [response, idle, total] = [300, 90, 600].map(|seconds| Some(Duration::from_secs(seconds)));
    assert_eq!((a.connect_timeout.as_secs(), a.times), (1, Times { response, idle, total, whole: None }));
    assert_eq!((config.limits.window, config.limits.growth()), (65536, 384 * 1024));
    let [warning] = config.warnings.as_slice() else { panic!("one warning: {:?}", config.warnings) };
    assert!(warning.starts_with("agent.yaml:11:3: nothing of `b.acme` is allowed"), "{warning}");
}

/// What a wrong file is told; `§` stands for a good beginning on lines 1 to 3.
fn check(text: &str, fragments: &[&str]) {
    let good =
        "gateways: [ ws://127.0.0.1:7100 ]\nservices:\n  orders: { upstream: http://127.0.0.1:1, allow: [ GET / ] }\n";
    let text = text.replace('§', good);
    let report = Folder::new().config(&text).expect_err(&text).to_string();
    says(&report, &text, fragments);
}

/// What is said of a service with these keys, which stand on line 3 from column 8 on.
fn service(keys: &str, fragments: &[&str]) {
    check(&format!("gateways: [ ws://localhost ]\nservices:\n  a: {{ {keys} }}\n"), fragments);
}

#[test]
fn wrong_keys() {
    check("§gateway: x\n", &["agent.yaml:4:1", "did you mean `gateways`?"]);
    check("name: x\n", &["there is no gateway to dial", "there is no service"]);
    check("§token: hunter2hunter2hunter2\n", &["agent.yaml:4:1", "did you mean `token_", "token: …"]);
    check("§name: a b\n", &["agent.yaml:4:7", "\"a b\" is not a name"]);
    check("§admin: { listen: 10.0.0.1:7201 }\n", &["agent.yaml:4:18", "must be loopback"]);
    check(
        "§admin: { listen: 127.0.0.1:7201 }\nhealth: { listen: 0.0.0.0:7201 }\n",
        &["agent.yaml:5:19", "0.0.0.0:7201 is taken already: `admin` listens on 127.0.0.1:7201"],
    );
    check("§links: 0\n", &["agent.yaml:4:8", "from 1 to 16"]);
    check("§links: 17\n", &["agent.yaml:4:8", "from 1 to 16"]);
    check("§audit_log: ''\n", &["agent.yaml:4:12", "write stdout, or the path of a file"]);
    check("§audit_log: none/audit.jsonl\n", &["agent.yaml:4:12", "none, does not exist", "make it"]);
    check("§reresolve: 500ms\n", &["agent.yaml:4:12", "write 1s to 1h"]);
    check("§limits: { requests_per_facade: 1 }\n", &["agent.yaml:4:11", "unknown key"]);
    check("§limits: { window: 16MiB, memory_per_link: 1GiB }\n", &["agent.yaml:4:43", "need 16GiB"]);
}

#[test]
fn wrong_tokens_and_authorities() {
    check("§token_file: none.token\n", &["agent.yaml:4:13", "none.token cannot be read", "; `reachback register`"]);
    check("§token_file: short.token\n", &["agent.yaml:4:13", "only 5 bytes"]);
    check("§token_file: x\ntoken_env: Y\n", &["agent.yaml:5:12", "given twice"]);
    check("§ca_file: none.pem\n", &["agent.yaml:4:10", "none.pem cannot be read"]);
    check("§ca_file: no.pem\n", &["agent.yaml:4:10", "holds no certificate"]);
    check("§ca_file: odd.pem\n", &["agent.yaml:4:10", "certificate 1 of the CA file", "cannot be an authority"]);
    check("§ca_file: cut.pem\n", &["agent.yaml:4:10", "cut.pem is damaged"]);
}

#[test]
fn wrong_proxies() {
    check("§proxy: proxy:3128\n", &["agent.yaml:4:8", "not a URL", "write http://HOST:PORT", "or none"]);
    check("§proxy: ftp://p\n", &["agent.yaml:4:8", "no scheme by which a proxy"]);
    check("§proxy: http://p/a\n", &["agent.yaml:4:16", "a proxy has no path"]);
    check("§proxy: http://u:secret@p\n", &["agent.yaml:4:15", "proxy_credentials_file", "http://********@p"]);
    let twice = "§proxy: http://p\nproxy_credentials_file: x\nproxy_credentials_env: Y\n";
    check(twice, &["agent.yaml:6:24", "given twice"]);
    check("§proxy_credentials_file: proxy.credentials\n", &["agent.yaml:4:25", "are for no proxy"]);
    check("§proxy: none\nproxy_credentials_file: proxy.credentials\n", &["agent.yaml:5:25", "are for no proxy"]);
    let with = "§proxy: http://p\nproxy_credentials_file: ";
    check(&format!("{with}none\n"), &["agent.yaml:5:25", "none cannot be read"]);
    check(&format!("{with}no.pem\n"), &["agent.yaml:5:25", "USER:PASSWORD"]);
    check("§proxy: http://p\nproxy_credentials_env: REACHBACK_NOT_SET\n", &["agent.yaml:5:24", "is not set"]);
}

#[test]
fn wrong_gateways() {
    let services = "services: { a: { upstream: http://127.0.0.1:1, allow: [ GET / ] } }\n";
    let gateway = |url: &str, fragments: &[&str]| check(&format!("gateways: [ \"{url}\" ]\n{services}"), fragments);
    gateway("127.0.0.1:7100", &["agent.yaml:1:13", "not a URL", "ws://HOST:PORT"]);
    gateway("http://g:7100", &["agent.yaml:1:13", "write ws://g:7100"]);
    gateway("https://g/p", &["agent.yaml:1:13", "write wss://g/p"]);
    gateway("ftp://g", &["agent.yaml:1:13", "no scheme"]);
    gateway("ws://user:secret@g:7100", &["agent.yaml:1:19", "credentials do not belong", "ws://***********@g"]);
    gateway("ws://g/p#f", &["agent.yaml:1:22", "fragment"]);
    gateway("ws://g/p?q", &["agent.yaml:1:22", "query"]);
    gateway("ws://g/p q", &["agent.yaml:1:22", "cannot stand in a path"]);
    gateway("ws://", &["agent.yaml:1:19", "not a host name"]);
    gateway("ws://a b:1", &["agent.yaml:1:19", "not a host name"]);
    gateway("ws://[::1:7100", &["agent.yaml:1:19", "not a host name"]);
    gateway("ws://[::g]:7100", &["agent.yaml:1:19", "not a host name"]);
    gateway("ws://g:0", &["agent.yaml:1:20", "not a port"]);
    gateway("ws://g:65536", &["agent.yaml:1:20", "not a port"]);
    gateway("ws://g:", &["agent.yaml:1:20", "not a port"]);
    gateway("ws://g:+1", &["agent.yaml:1:20", "not a port"]);
    gateway("ws://g:7100", &["agent.yaml:1:13", "there is no token", "token_file"]);
    check(&format!("gateways: [ 'ws://[::1]', 'ws://[::1]:80/' ]\n{services}"), &["agent.yaml:1:27", "a second time"]);
}

#[test]
fn wrong_services() {
    service("allow: [ GET / ]", &["agent.yaml:3:3", "`a` has no upstream"]);
    service("url: http://a", &["agent.yaml:3:8", "unknown key `url`", "`upstream`"]);
    service("upstream: 127.0.0.1:80", &["agent.yaml:3:18", "not a URL"]);
    service("upstream: https://a", &["agent.yaml:3:18", "https is not supported"]);
    service("upstream: http://a/api", &["agent.yaml:3:26", "an upstream has no path"]);
    service("upstream: http://u:p@a", &["agent.yaml:3:25", "credentials", "http://***@a"]);
    service("upstream: http://a, allow: GET /", &["agent.yaml:3:35", "a list is needed"]);
    service("upstream: http://a, host: 'a/b'", &["agent.yaml:3:35", "`preserve`"]);
    service("upstream: http://a, mode: Audit", &["agent.yaml:3:34", "write enforce or audit"]);
    service("upstream: http://a, protocol: http2", &["agent.yaml:3:38", "write http1, or h2c for gRPC"]);
    service("upstream: http://a, trust_forwarded: 1", &["agent.yaml:3:45", "true or false"]);
    service("upstream: http://a, connect_timeout: 0s", &["agent.yaml:3:45", "write 1ms to 24h"]);
    service("upstream: http://a, response_timeout: 0s", &["agent.yaml:3:46", "write 1ms to 24h"]);
    service("upstream: http://a, idle_timeout: 25h", &["agent.yaml:3:42", "write 0s to 24h"]);
    service(
        "upstream: http://a, protocol: h2c, allow: [ { path: /a, methods: [GET], upgrade: websocket } ]",
        &["agent.yaml:3:89", "HTTP/2, which has no upgrades", "a service of their own"],
    );
    service("upstream: http://a, total_timeout: 25h", &["agent.yaml:3:43", "write 0s to 24h"]);
    let head = "gateways: [ ws://localhost ]\n";
    check(
        &format!("{head}services: {{ A: {{ upstream: http://a }} }}\n"),
        &["agent.yaml:2:13", "\"A\" is not a service name"],
    );
    check(&format!("{head}services: {{ a: {{}}, a: {{}} }}\n"), &["agent.yaml:2:20", "a second time"]);
    check(&format!("{head}services: [ a ]\n"), &["agent.yaml:2:11", "keys and values are needed"]);
    let many: String = (0..=1024).map(|n| format!("  s{n}: {{ upstream: http://a }}\n")).collect();
    check(&format!("{head}services:\n{many}"), &["agent.yaml:1027:3", "more than 1024 services"]);
}

/// Rules are pointed at to the byte, in every way to write a list.
#[test]
fn wrong_rules() {
    service(
        "upstream: http://a, allow: [ GET /a, 'get /b' ]",
        &["agent.yaml:3:46", "did you mean GET?", "METHODS PATH"],
    );
    service("upstream: http://a, allow: [ \"GET /a/**/b\" ]", &["agent.yaml:3:45", "only be the last segment"]);
    service("upstream: http://a, allow: [ GET, HEAD /a ]", &["agent.yaml:3:40", "the path is missing", "into quotes"]);
    service("upstream: http://a, allow: [ GET /{id} ]", &["agent.yaml:3:42", "into quotes"]);
    check(
        "gateways: [ ws://localhost ]\nservices:\n  a:\n    upstream: http://a\n    allow:\n      - GET /{id}\n      - GET /b?c\n",
        &["agent.yaml:7:15", "this is about the path alone", "7 |       - GET /b?c\n  |               ^\n"],
    );
}

#[test]
fn warnings() {
    let folder = Folder::new();
    let check = |text: &str, expected: &[&str]| {
        let good = "services: { orders: { upstream: http://127.0.0.1:1, allow: [ GET / ] } }\n";
        let config = folder.config(&text.replace('§', good)).unwrap();
        assert_eq!(config.warnings.len(), expected.len(), "{:?}", config.warnings);
        for (warning, expected) in config.warnings.iter().zip(expected) {
            assert!(warning.starts_with(expected), "{warning}");
        }
    };
    check("§gateways: [ ws://localhost ]\n", &["agent.yaml: there is no token"]);
    let token = "§token_file: warehouse-7.token\n";
    check(&format!("{token}gateways: [ ws://localhost, wss://g ]\n"), &[]);
    check(&format!("{token}gateways: [ wss://g, ws://g ]\n"), &["agent.yaml:3:22: the token and all requests travel"]);
    check(
        &format!("{token}gateways: [ ws://localhost ]\nca_file: ca.pem\n"),
        &["agent.yaml:4:10: `ca_file` has no effect"],
    );
    check(
        &format!("{token}gateways: [ ws://localhost ]\nproxy: http://p\n"),
        &["agent.yaml:4:8: `proxy` has no effect"],
    );
    let head = "gateways: [ ws://localhost ]\ntoken_file: warehouse-7.token\nservices:\n";
    check(&format!("{head}  a: {{ upstream: http://a }}\n"), &["agent.yaml:4:3: nothing of `a` is allowed"]);
    check(
        &format!("{head}  a: {{ upstream: http://a, allow: [ GET / ], host: preserved }}\n"),
        &["agent.yaml:4:52: `preserved` is taken for a fixed host name; did you mean `preserve`?"],
    );
    check(
        &format!("{head}  a: {{ upstream: http://a, allow: [ GET / ], mode: audit }}\n"),
        &["agent.yaml:4:52: `a` is in audit mode: what no rule allows is SENT"],
    );
}

#[test]
fn a_secret_that_everybody_can_write() {
    let folder = Folder::new();
    let text = "gateways: [ wss://g ]\ntoken_file: warehouse-7.token\nproxy: http://p\n\
                proxy_credentials_file: proxy.credentials\nservices: { a: { upstream: http://a, allow: [ GET / ] } }\n";
    let check = |file: &str, mode: u32, place: Option<&str>| {
        let chmod = |mode| fs::set_permissions(folder.0.file(file), fs::Permissions::from_mode(mode)).unwrap();
        chmod(mode);
        let warnings = folder.config(text).unwrap().warnings;
        chmod(0o600);
        assert_eq!(warnings.len(), usize::from(place.is_some()), "{warnings:?}");
        let Some(place) = place else { return };
        assert!(warnings[0].starts_with(place) && warnings[0].ends_with(file), "{warnings:?}");
        assert!(warnings[0].contains("can write to it") && warnings[0].contains("chmod 600"), "{warnings:?}");
    };
    check("warehouse-7.token", 0o602, Some("agent.yaml:2:13: "));
    check("proxy.credentials", 0o666, Some("agent.yaml:4:25: "));
    // As Kubernetes mounts secrets, without and with `fsGroup`.
    check("warehouse-7.token", 0o644, None);
    check("warehouse-7.token", 0o640, None);
    check("proxy.credentials", 0o664, None);
}

#[test]
fn flags() {
    let folder = Folder::new();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let good = Flags {
        gateways: owned(&["ws://127.0.0.1:7100"]),
        services: owned(&["orders=http://127.0.0.1:3000", "jira.acme=http://localhost:8080"]),
        allow: owned(&["orders: GET /orders/**", "jira.acme:GET /x", "orders: POST /orders"]),
        token_file: Some(folder.0.file("warehouse-7.token").display().to_string()),
        name: Some("w".to_owned()),
    };
    let config = Config::from_flags(&good).unwrap();
    assert_eq!((config.name.as_str(), config.services.len()), ("w", 2));
    let rules = |service: usize| config.services[service].allow.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((rules(0), rules(1)), (owned(&["GET /orders/**", "POST /orders"]), owned(&["GET /x"])));
    assert_eq!(config.warnings, Vec::<String>::new());

    let check = |flags: &Flags, fragments: &[&str]| {
        let report = Config::from_flags(flags).expect_err("wrong flags").to_string();
        says(&report, "flags", fragments);
    };
    let service = |service: &str| Flags { services: owned(&[service]), allow: Vec::new(), ..good.clone() };
    check(&service("orders"), &["| --service orders", "--service NAME=URL"]);
    check(&service("orders=127.0.0.1"), &["--service orders=127.0.0.1\n |                  ^^^^", "not a URL"]);
    let twice = owned(&["a=http://a", "a=http://b"]);
    check(&Flags { services: twice, allow: Vec::new(), ..good.clone() }, &["--service a=http://b", "a second time"]);
    let allow = |allow: &str| Flags { allow: owned(&[allow]), ..good.clone() };
    check(&allow("GET /orders"), &["--allow 'GET /orders'", "write --allow 'NAME: RULE'"]);
    check(
        &allow("order: GET /orders"),
        &["--allow 'order: GET /orders'\n |          ^^^^^\n", "did you mean `orders`?"],
    );
    check(
        &allow("orders: GET orders"),
        &["--allow 'orders: GET orders'\n |                      ^\n", "a path begins with"],
    );
    let remote = Flags { gateways: owned(&["ws://g"]), token_file: None, ..good.clone() };
    check(&remote, &["--gateway ws://g", "there is no token", "add --token-file"]);
    let open = Config::from_flags(&Flags { token_file: None, ..good.clone() }).unwrap();
    assert!(open.warnings[0].contains("there is no token"), "{:?}", open.warnings);
}

#[test]
fn rules_can_be_tried_without_the_secrets() {
    let folder = Folder::new();
    let file = folder.0.file("agent.yaml");
    fs::write(&file, AGENT.replace("warehouse-7.token", "none.token")).unwrap();
    assert!(Config::load(&file).is_err());
    assert_eq!(load_services(&file).unwrap().len(), 1);
    fs::write(&file, "services: {}\n").unwrap();
    assert!(load_services(&file).is_err());
    fs::write(&file, AGENT.replace("admin", "audit_log: stdout\nadmin")).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.audit_log, Some(AuditTarget::Stdout));
    assert_eq!(config.origin.unwrap().path, file);
    assert!(load_services(&folder.0.file("none.yaml")).unwrap_err().to_string().contains("cannot be read"));
    assert!(load_services(folder.0.path()).unwrap_err().to_string().contains("cannot be read"));
}

/// Every slip of one character, and every file cut short, is either taken or explained with a place; none panics.
#[test]
fn no_slip_of_the_pen_is_too_much() {
    let folder = Folder::new();
    let check = |text: &str| {
        if let Err(error) = folder.config(text) {
            let report = error.to_string();
            assert!(report.starts_with("error: ") && report.contains("--> agent.yaml"), "{text}\n{report}");
        }
    };
    slips(AGENT, check);
}
