//! The demo: gateway, agent and a small REST server in one process, on loopback, until Ctrl-C.

mod upstream;

use std::{fmt::Write as _, io::IsTerminal as _, net::SocketAddr, path::Path};

use agent::Agent;
use bytes::Bytes;
use gateway::Gateway;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use settings::Source;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    exit::Exit,
    print::{is_read, print},
    signals,
};

/// Where the facade listens if nobody else does, so that the lines to copy are the same each time.
const FACADE: &str = "127.0.0.1:7080";

/// A call to try: what to type, and what it shows.
struct Call {
    method: Method,
    path: &'static str,
    flags: &'static str,
    shows: &'static str,
}

const CALLS: [Call; 3] = [
    Call {
        method: Method::GET,
        path: "/orders/42",
        flags: "-i",
        shows: "allowed by the rule \"GET,HEAD /orders/{id}\"",
    },
    Call {
        method: Method::GET,
        path: "/orders/events",
        flags: "-iN",
        shows: "streamed: one event a second, for as long as you listen",
    },
    Call {
        method: Method::DELETE,
        path: "/orders/42",
        flags: "-i -X DELETE",
        shows: "denied: no rule names DELETE, and the upstream never hears of it",
    },
];

/// Runs until a signal.
pub(crate) async fn run() -> Result<(), Exit> {
    let shutdown = signals::shutdown_or_hangup().map_err(Exit::failed)?;
    let upstream = TcpListener::bind("127.0.0.1:0").await.map_err(Exit::failed)?;
    let server = upstream.local_addr().map_err(Exit::failed)?;
    tokio::spawn(upstream::serve(upstream));

    let gateway = bind_gateway().await?;
    let [tunnel, facade, admin] = addresses(&gateway)?;
    let source = Source::file("the demo's agent.yaml", &agent_yaml(tunnel, server), Path::new(""));
    let agent = Agent::bind(agent::Config::from_source(&source)?).await.map_err(Exit::failed)?;

    let parts = TaskTracker::new();
    parts.spawn(gateway.run(shutdown.clone()));
    parts.spawn(agent.run(shutdown.clone()));
    parts.close();

    if tell(table(server, tunnel, facade, admin), facade, &shutdown).await? {
        shutdown.cancelled().await;
        print("Stopping: what is in flight has a second to finish.\n")?;
        parts.wait().await;
    }
    Ok(())
}

/// Shows the table and the calls, and says whether anybody reads that: if not, there is nobody to play with it either.
async fn tell(table: String, facade: SocketAddr, shutdown: &CancellationToken) -> Result<bool, Exit> {
    let mut read = is_read(&(table + "\n"))?;
    for call in &CALLS {
        read = read && is_read(&(show(call, facade, shutdown).await + "\n"))?;
    }
    Ok(read && is_read("Type them into another terminal. Ctrl-C ends the demo.\n")?)
}

/// The usual port if it is free, any other if it is not.
async fn bind_gateway() -> Result<Gateway, Exit> {
    let config = |facade| -> Result<gateway::Config, Exit> {
        let yaml = gateway_yaml(facade);
        Ok(gateway::Config::from_source(&Source::file("the demo's gateway.yaml", &yaml, Path::new("")))?)
    };
    match Gateway::bind(config(FACADE)?).await {
        Ok(gateway) => Ok(gateway),
        Err(_) => Gateway::bind(config("127.0.0.1:0")?).await.map_err(Exit::failed),
    }
}

fn gateway_yaml(facade: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\n\
         facades: [ {{ listen: '{facade}', service: orders }} ]\n\
         admin: {{ listen: 127.0.0.1:0 }}\n\
         drain_grace: 1s\n"
    )
}

fn agent_yaml(tunnel: SocketAddr, server: SocketAddr) -> String {
    format!(
        "name: demo\n\
         gateways: [ 'ws://{tunnel}' ]\n\
         services:\n\
         \x20 orders:\n\
         \x20   upstream: http://{server}\n\
         \x20   allow: [ 'GET /orders', 'GET,HEAD /orders/{{id}}', 'POST /orders' ]\n\
         drain_grace: 1s\n"
    )
}

fn addresses(gateway: &Gateway) -> Result<[SocketAddr; 3], Exit> {
    let find = |wanted| {
        let found = gateway.addresses().into_iter().find(|(what, _)| *what == wanted);
        found.and_then(|(_, listen)| listen.address()).ok_or_else(|| Exit::failed("a listener has no address"))
    };
    Ok([find("tunnel")?, find("facade")?, find("admin")?])
}

fn table(server: SocketAddr, tunnel: SocketAddr, facade: SocketAddr, admin: SocketAddr) -> String {
    let rows = [
        ("upstream", format!("http://{server}"), "the server behind the firewall"),
        ("agent", format!("dials ws://{tunnel}"), "beside the server; judges every request"),
        ("gateway", format!("ws://{tunnel}"), "beside the application; waits for agents"),
        ("facade", format!("http://{facade}"), "what the application calls"),
        ("status", format!("http://{admin}/status"), "links, services, streams in flight"),
    ];
    let mut table = "Reachback demo: all of it in this process, on loopback.\n\n".to_owned();
    for (what, address, meaning) in rows {
        writeln!(table, "  {what:<10}{address:<34}{meaning}").expect("writing to a string does not fail");
    }
    table
}

/// The line to type, and what it brings: the call is really made.
async fn show(call: &Call, facade: SocketAddr, shutdown: &CancellationToken) -> String {
    let Call { method, path, flags, shows } = call;
    let answer = match shutdown.run_until_cancelled(first_bytes(method, path, facade)).await {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => format!("failed: {error}"),
        None => "interrupted".to_owned(),
    };
    let (bold, plain) = if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!("  {bold}curl {flags} http://{facade}{path}{plain}\n    {shows}\n    → {answer}\n")
}

/// The status and the first bytes of the body. Whatever follows is cancelled by dropping it.
async fn first_bytes(method: &Method, path: &str, facade: SocketAddr) -> Result<String, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(facade).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, facade.to_string());
    let mut response: Response<Incoming> = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let first = match response.body_mut().frame().await {
        Some(frame) => frame?.into_data().unwrap_or_default(),
        None => Bytes::new(),
    };
    Ok(format!(
        "{}  {}",
        response.status(),
        String::from_utf8_lossy(&first).trim_end().replace('\n', "\n              ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_three_calls_show_what_they_promise() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = upstream.local_addr().unwrap();
        tokio::spawn(upstream::serve(upstream));
        let yaml = Source::file("gateway", &gateway_yaml("127.0.0.1:0"), Path::new(""));
        let gateway = Gateway::bind(gateway::Config::from_source(&yaml).unwrap()).await.unwrap();
        let [tunnel, facade, _] = addresses(&gateway).unwrap();
        let yaml = Source::file("agent", &agent_yaml(tunnel, server), Path::new(""));
        let agent = Agent::bind(agent::Config::from_source(&yaml).unwrap()).await.unwrap();
        let shutdown = CancellationToken::new();
        let gateway = tokio::spawn(gateway.run(shutdown.clone()));
        let agent = tokio::spawn(agent.run(shutdown.clone()));
        for (call, expected) in CALLS.iter().zip([r#"200 OK  {"id":42"#, "200 OK  event: ", "403 Forbidden"]) {
            let answer = first_bytes(&call.method, call.path, facade).await.unwrap();
            assert!(answer.starts_with(expected), "{}: {answer}", call.path);
        }
        shutdown.cancel();
        gateway.await.unwrap();
        agent.await.unwrap();
    }
}
