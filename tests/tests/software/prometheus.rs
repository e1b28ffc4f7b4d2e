//! Prometheus' own library for Python reads the metrics of both sides, and finds the values that are there.

use reachback_tests::{bridge::Bridge, client::call};

use crate::program::{self, run, script};

#[tokio::test]
async fn python_prometheus_client() {
    let Some(python) = program::python("prometheus_client.parser", "python3-prometheus-client") else { return };
    let bridge = Bridge::start().await;
    assert_eq!(call(bridge.facade(), "GET", "/bytes/1", "").await.status(), 200);
    let home = reachback_tests::scratch::Scratch::new();
    let mut command = program::command(&python, home.path());
    command.arg(script("with_prometheus.py"));
    command.args([&bridge.gateway, &bridge.agent].map(|side| format!("http://{}/metrics", side.address("admin"))));
    let ended = run(command).await;
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.code, Some(0), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    let gateway = format!("ws://{}/reachback/v1", bridge.gateway.address("tunnel"));
    for line in [
        format!("counter reachback_gateway_requests_total facade={},outcome=2xx 1.0", bridge.facade()),
        format!("histogram reachback_gateway_request_duration_seconds_count facade={} 1.0", bridge.facade()),
        format!("gauge reachback_agent_links gateway={gateway} 1.0"),
        "counter reachback_agent_requests_allowed_total rule=0,service=orders 1.0".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in\n{said}");
    }
}
