//! `/metrics` of both sides: who may read it, and that the counts are those of what has happened.

use std::path::Path;

use proto::wire::{Frame, Hello};
use reachback_tests::{
    bridge::{self, Bridge, Setup, Sidecar, agent_yaml, gateway_with, gateway_yaml},
    client::{Raw, call, http},
    exposition::Exposition,
    peer::{Peer, agent_hello},
    scratch::Scratch,
    upstream::Upstream,
    wait::{until, until_so},
};

const HEALTH: &str = "health: { listen: 127.0.0.1:0 }";

/// The pages of gateway and agent.
async fn pages(gateway: &Sidecar, agent: &Sidecar) -> (Exposition, Exposition) {
    (Exposition::of(gateway.address("admin")).await, Exposition::of(agent.address("admin")).await)
}

/// Waits until a sample has this value.
async fn until_counted(sidecar: &Sidecar, sample: &str, value: f64) {
    let counted = async || {
        let page = Exposition::of(sidecar.address("admin")).await;
        page.find(sample).filter(|counted| *counted >= value)
    };
    assert_eq!(until(sample, counted).await, value, "{sample}");
}

fn requests(bridge: &Bridge, outcome: &str) -> String {
    format!("reachback_gateway_requests_total{{facade=\"{}\",outcome=\"{outcome}\"}}", bridge.facade())
}

fn at_upstream(outcome: &str) -> String {
    format!("reachback_agent_upstream_requests_total{{service=\"orders\",outcome=\"{outcome}\"}}")
}

#[tokio::test]
async fn a_health_listener_tells_probes_and_metrics_and_nothing_else() {
    let bridge = Bridge::with(Setup { gateway: HEALTH, agent: HEALTH, ..Setup::default() }).await;
    for sidecar in [&bridge.gateway, &bridge.agent] {
        let (health, admin) = (sidecar.address("health"), sidecar.address("admin"));
        let of = |page: &Exposition| page.samples().map(str::to_owned).collect::<Vec<_>>();
        // Between two looks a link may be measured for the first time.
        let is_same = async || of(&Exposition::of(health).await) == of(&Exposition::of(admin).await);
        until("the same page on both", async || is_same().await.then_some(())).await;
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(call(health, "GET", path, "").await.status(), 200, "{path}");
            assert_eq!(call(health, "POST", path, "Content-Length: 0\r\n").await.status(), 405, "{path}");
        }
        for path in ["/", "/status", "/drain", "/agents/approve", "/metrics/"] {
            for method in ["GET", "POST"] {
                let status = call(health, method, path, "Content-Length: 0\r\n").await.status();
                assert!([404, 405].contains(&status), "{method} {path}: {status}");
            }
        }
        // A page in a browser may not read it where it may not read anything.
        let from_page = http().get(format!("http://{admin}/metrics")).header("origin", "http://evil.example");
        assert_eq!(from_page.send().await.unwrap().status(), 403);
    }
    assert_eq!(call(bridge.facade(), "GET", "/bytes/1", "").await.status(), 200, "and nothing drains");
}

#[tokio::test]
async fn requests_are_counted_on_both_sides() {
    let bridge = Bridge::start().await;
    let facade = bridge.facade();
    for _ in 0..3 {
        assert_eq!(call(facade, "GET", "/bytes/10", "").await.status(), 200);
    }
    assert_eq!(call(facade, "GET", "/status/404", "").await.status(), 404);
    assert_eq!(call(facade, "PATCH", "/bytes/1", "").await.status(), 403);
    assert_eq!(call(facade, "GET", "/a/../b?secret=hunter2", "").await.status(), 403);
    let by_path = bridge.gateway.addresses("facade")[2];
    assert_eq!(call(by_path, "GET", "/NONE/x", "").await.status(), 404);
    // A client that goes, and an answer that breaks off.
    let mut gone = Raw::connect(facade).await;
    gone.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until_so("the request that waits", || bridge.upstream.counts().active == 1).await;
    until_counted(&bridge.agent, "reachback_agent_upstream_requests_in_flight{service=\"orders\"}", 1.0).await;
    drop(gone);
    until_counted(&bridge.gateway, &requests(&bridge, "cancelled"), 1.0).await;
    until_counted(&bridge.agent, &at_upstream("cancelled"), 1.0).await;
    let mut cut = Raw::connect(facade).await;
    cut.send("GET /half-chunked/1000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    bridge.upstream.open_gate(1);
    assert!(cut.try_answer("GET").await.is_none_or(|answer| !answer.whole));
    let cuts = format!("reachback_gateway_answers_cut_total{{facade=\"{facade}\"}}");
    until_counted(&bridge.gateway, &cuts, 1.0).await;
    until_counted(&bridge.agent, "reachback_agent_answers_cut_total{service=\"orders\"}", 1.0).await;

    let (gateway, agent) = pages(&bridge.gateway, &bridge.agent).await;
    for (outcome, count) in [("2xx", 4.0), ("4xx", 1.0), ("denied", 2.0), ("cancelled", 1.0), ("5xx", 0.0)] {
        assert_eq!(gateway.value(&requests(&bridge, outcome)), count, "{outcome}");
    }
    let unknown = format!("reachback_gateway_requests_total{{facade=\"{by_path}\",outcome=\"unknown_service\"}}");
    assert_eq!(gateway.value(&unknown), 1.0);
    let count = format!("reachback_gateway_request_duration_seconds_count{{facade=\"{facade}\"}}");
    assert_eq!(gateway.value(&count), 8.0);
    assert_eq!(gateway.sum("reachback_gateway_requests_in_flight"), 0.0);
    assert_eq!(gateway.value("reachback_gateway_service_requests_total{service=\"orders\"}"), 8.0);
    for (outcome, count) in [("2xx", 4.0), ("4xx", 1.0), ("denied", 0.0), ("upstream_refused", 0.0)] {
        assert_eq!(agent.value(&at_upstream(outcome)), count, "{outcome}");
    }
    let denied = |step: &str, code: &str| {
        agent.value(&format!(
            "reachback_agent_requests_denied_total{{service=\"orders\",step=\"{step}\",code=\"{code}\"}}"
        ))
    };
    assert_eq!(denied("rules", "denied"), 1.0);
    assert_eq!(agent.sum("reachback_agent_requests_denied_total"), 2.0);
    let allowed = |rule: u8| format!("reachback_agent_requests_allowed_total{{service=\"orders\",rule=\"{rule}\"}}");
    assert_eq!((agent.value(&allowed(0)), agent.value(&allowed(1))), (6.0, 0.0));
    assert_eq!(agent.value("reachback_agent_upstream_duration_seconds_count{service=\"orders\"}"), 6.0);
    for sample in gateway.samples().chain(agent.samples()) {
        assert!(!["bytes", "hunter2", "NONE", "/b"].iter().any(|word| sample.contains(word)), "{sample}");
    }
}

#[tokio::test]
async fn links_and_the_states_of_a_sidecar() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    folder.write("seven.token", "seven-0123456789abcdef");
    let agents = format!(
        "agents: [ {{ name: warehouse-7, token_file: {0}/seven.token, services: [ orders ] }}, \
         {{ name: absent, token_sha256: [ {1} ], services: [ '*' ] }} ]",
        folder.path().display(),
        "0".repeat(64)
    );
    let gateway = Sidecar::gateway(&gateway_yaml(&agents));
    let tunnel = gateway.address("tunnel");
    assert!(Peer::dial(tunnel, Some("a-wrong-token-of-24-chars")).await.is_err());
    let setup = Setup { agent: "token_file: seven.token", service: "mode: audit", ..Setup::default() };
    let mut agent = Sidecar::agent(&agent_yaml(tunnel, upstream.address(), setup), folder.path());
    gateway.until_links(1).await;
    assert_eq!(call(gateway.address("facade"), "PATCH", "/echo", "Content-Length: 0\r\n").await.status(), 200);

    let (page, of_agent) = pages(&gateway, &agent).await;
    let links = |agent: &str| page.value(&format!("reachback_gateway_links{{agent=\"{agent}\"}}"));
    assert_eq!((links("warehouse-7"), links("absent")), (1.0, 0.0), "what is missing is told");
    assert_eq!(page.value("reachback_gateway_turned_away_total{reason=\"401\"}"), 1.0);
    assert_eq!(page.sum("reachback_gateway_turned_away_total"), 1.0);
    assert_eq!(page.value("reachback_gateway_links_opened_total"), 1.0);
    assert_eq!(page.value("reachback_ready"), 1.0);
    let url = format!("{{gateway=\"ws://{tunnel}/reachback/v1\"}}");
    assert_eq!(of_agent.value(&format!("reachback_agent_links{url}")), 1.0);
    assert_eq!(of_agent.value("reachback_agent_audit_mode{service=\"orders\"}"), 1.0);
    assert_eq!(of_agent.sum("reachback_agent_requests_would_deny_total"), 1.0);
    assert_eq!(of_agent.sum("reachback_agent_requests_denied_total"), 0.0);

    agent.kill();
    let down = async || {
        let page = Exposition::of(gateway.address("admin")).await;
        (page.value("reachback_gateway_links{agent=\"warehouse-7\"}") == 0.0).then_some(page)
    };
    let page = until("the end of the link", down).await;
    assert_eq!(page.value("reachback_gateway_service_links{service=\"orders\"}"), 0.0, "it is named, and so told");
    let drained = http().post(format!("http://{}/drain", gateway.address("admin"))).send().await.unwrap();
    assert_eq!(drained.status(), 200);
    let page = Exposition::of(gateway.address("admin")).await;
    let states = ["ready", "draining", "drained"].map(|state| page.value(&format!("reachback_{state}")));
    assert_eq!(states, [0.0, 1.0, 1.0]);
}

#[tokio::test]
async fn an_agent_without_a_gateway_and_with_a_wrong_file() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let yaml = agent_yaml(gateway.address("tunnel"), upstream.address(), Setup::default());
    folder.write("agent.yaml", &yaml);
    let agent = Sidecar::agent_of(&folder.path().join("agent.yaml"));
    gateway.until_links(1).await;
    let page = Exposition::of(agent.address("admin")).await;
    assert_eq!((page.value("reachback_agent_config_good"), page.value("reachback_ready")), (1.0, 1.0));
    folder.write("agent.yaml", "nonsense");
    until_counted(&agent, "reachback_agent_config_failures_total", 1.0).await;
    assert_eq!(Exposition::of(agent.address("admin")).await.value("reachback_agent_config_good"), 0.0);
    folder.write("agent.yaml", &yaml.replace("GET /\"", "GET /x\""));
    until_counted(&agent, "reachback_agent_config_generation", 2.0).await;
    let page = Exposition::of(agent.address("admin")).await;
    assert_eq!(page.value("reachback_agent_config_good"), 1.0);
    assert_eq!(page.value("reachback_agent_config_failures_total"), 1.0, "it goes on counting");
    let url = format!("{{gateway=\"ws://{}/reachback/v1\"}}", gateway.address("tunnel"));
    drop(gateway);
    until_so_failed(&agent, &format!("reachback_agent_link_failures_total{url}")).await;
}

/// Waits until a failure is counted; there may be more by then.
async fn until_so_failed(agent: &Sidecar, sample: &str) {
    let failed = async || {
        let page = Exposition::of(agent.address("admin")).await;
        (page.value(sample) >= 1.0 && page.value("reachback_ready") == 0.0).then_some(())
    };
    until("a failure that is counted", failed).await;
}

/// Neither what an agent claims nor what a client asks for makes a series.
#[tokio::test]
async fn strangers_make_no_series() {
    let facades = "  - { listen: 127.0.0.1:0, route: path }\n";
    let gateway = Sidecar::gateway(&gateway_with(facades, "wait_for_agent: 0s\nservices: { orders: { retry: off } }"));
    let before: Vec<String> = Exposition::of(gateway.address("admin")).await.samples().map(str::to_owned).collect();
    let mut rogue = Peer::dial(gateway.address("tunnel"), None).await.unwrap();
    let names = ["orders", "made-up-1", "made-up-2"];
    rogue.say(&Frame::Hello(Hello::Agent(agent_hello(&names)))).await;
    gateway.until_links(1).await;
    for number in 0..5 {
        let status = call(gateway.address("facade"), "GET", &format!("/made-up-{}/x", number + 3), "").await.status();
        assert_eq!(status, 503);
    }
    let page = Exposition::of(gateway.address("admin")).await;
    assert_eq!(page.value("reachback_gateway_service_links{service=\"orders\"}"), 1.0);
    assert_eq!(page.value("reachback_gateway_service_links{service=\"\"}"), 2.0, "the rest in one");
    assert_eq!(page.value("reachback_gateway_links{agent=\"\"}"), 1.0);
    let new: Vec<&str> = page.samples().filter(|sample| !before.iter().any(|old| old == sample)).collect();
    assert!(new.iter().all(|sample| sample.contains("=\"\"")), "{new:?}");
}

#[tokio::test]
async fn the_audit_log_and_a_rules_rate_are_counted() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let setup = Setup { agent: "audit_log: audit.jsonl", ..Setup::default() };
    let yaml = agent_yaml(gateway.address("tunnel"), upstream.address(), setup);
    let rules = "[ { methods: [GET], path: '/bytes/{n}', rate: 1/h } ]";
    let agent = Sidecar::agent(&yaml.replace(bridge::ALLOW, rules), Path::new(folder.path()));
    gateway.until_links(1).await;
    let facade = gateway.address("facade");
    assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 429);
    until_counted(&agent, "reachback_agent_audit_log_lines_total", 2.0).await;
    let page = Exposition::of(agent.address("admin")).await;
    assert_eq!(page.value(&at_upstream("rate_limited")), 1.0);
    assert_eq!(page.value("reachback_agent_requests_allowed_total{service=\"orders\",rule=\"0\"}"), 2.0);
    let log = ["good", "lost_total"].map(|what| page.value(&format!("reachback_agent_audit_log_{what}")));
    assert_eq!(log, [1.0, 0.0]);
}
