//! `reachback check`: what a configuration would do, without doing any of it.

use std::path::Path;

use agent::{config::Protocol, whitelist::Mode};
use gateway::config::{Admission, Agents, Facade, Forwarded, Hosts, Routing};
use settings::{
    Limits, Source,
    units::{show, show_bytes},
};

use crate::{exit::Exit, print::print, role::Role};

/// Checks a file and prints what it would do, and what may not be meant.
pub(crate) fn check(path: &Path) -> Result<(), Exit> {
    let source = Source::read(path)?;
    let role = Role::of(&source)?.ok_or_else(|| unknown(&source))?;
    let described = match role {
        Role::Gateway => gateway::config::Config::from_source(&source).map(|it| (of_gateway(&it), it.warnings)),
        Role::Agent => agent::config::Config::from_source(&source).map(|it| (of_agent(&it), it.warnings)),
    };
    let (lines, warnings) = described.map_err(|why| role.taken_for(&source, why))?;
    let mut text = format!("{} is {role} configuration, and good.\n\n", source.name());
    let width = lines.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    text.extend(lines.iter().map(|(what, value)| format!("  {what:width$}  {value}\n")));
    text.extend(warnings.iter().map(|warning| format!("\nwarning: {warning}\n")));
    print(&text)
}

fn unknown(source: &Source) -> Exit {
    let gateway = gateway::config::KEYS_OF_ITS_OWN.join(", ");
    let agent = agent::config::KEYS_OF_ITS_OWN.join(", ");
    Exit::usage(format_args!(
        "whose configuration {} is cannot be seen from its keys
 = a gateway's has some of: {gateway}
 = an agent's has some of: {agent}",
        source.name()
    ))
}

type Lines = Vec<(String, String)>;

fn line(what: &str, value: String) -> (String, String) {
    (what.to_owned(), value)
}

fn of_gateway(config: &gateway::config::Config) -> Lines {
    let mut lines = vec![line("name", config.name.clone()), line("tunnel", of_tunnel(config))];
    lines.extend(config.facades.iter().map(of_facade));
    lines.extend(of_probes(config.admin, config.health));
    match &config.agents {
        Agents::Anyone => lines.push(line("agents", "anyone on this machine, for any service".to_owned())),
        Agents::Listed(agents) => lines.extend(agents.iter().map(|agent| {
            let services: Vec<String> = agent.services.iter().map(ToString::to_string).collect();
            let registers = if agent.totp.is_some() { ", once it has registered with a code" } else { "" };
            line("agent", format!("{} for {}{registers}", agent.name, services.join(", ")))
        })),
    }
    let admission = match config.admission {
        Admission::Auto => "at once".to_owned(),
        Admission::Approve { hold } => format!("when somebody approves it; held for {} meanwhile", show(hold)),
    };
    lines.push(line("let in", admission));
    lines.extend(config.state_file.iter().map(|file| line("state file", file.display().to_string())));
    lines.push(line("links", of_limits(config.limits)));
    let waiting = config.waiting_requests;
    lines.push(line("requests", format!("{} at once at a facade; {waiting} may wait for an agent", config.requests)));
    lines.extend(config.services.iter().map(|(name, service)| of_service_at_gateway(name.as_str(), service)));
    lines.push(line("heartbeat", show(config.heartbeat)));
    lines.push(line("drain", format!("up to {}", show(config.drain_grace))));
    if !config.allowed_origins.is_empty() {
        lines.push(line("origins", config.allowed_origins.join(", ")));
    }
    lines
}

fn of_tunnel(config: &gateway::config::Config) -> String {
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    let authority = config.tls.as_ref().and_then(|tls| tls.files.client_ca.as_ref());
    let asks = authority.map(|path| format!(", with client certificates by {}", path.display())).unwrap_or_default();
    format!("{scheme}://{}{}{asks}", config.listen, config.path)
}

fn of_facade(facade: &Facade) -> (String, String) {
    let listen = &facade.listen;
    let scheme = if facade.tls.is_some() { "https" } else { "http" };
    let port = listen.address().map(|address| format!(":{}", address.port())).unwrap_or_default();
    let at = |host: &str| format!("{scheme}://{host}{port}/…");
    // A Unix socket has no name of its own to call: any will do.
    let here = listen.address().map_or("localhost".to_owned(), |address| address.ip().to_string());
    let here = if here.contains(':') { format!("[{here}]") } else { here };
    let route = match &facade.routing {
        Routing::Service(service) => format!("{} to {service}", at(&here)),
        Routing::Host(hosts) => of_hosts(hosts, at),
        Routing::Path => format!("{scheme}://{here}{port}/SERVICE/… to SERVICE"),
        Routing::Header => format!("{} to what the header Reachback-Service says", at(&here)),
        Routing::Proxy(hosts) => {
            format!(
                "a forward proxy: {}, with http_proxy={scheme}://{here}{port}",
                of_hosts(hosts, |host| format!("http://{host}/…"))
            )
        }
    };
    let forwarded = match facade.forwarded {
        Forwarded::Off => "",
        Forwarded::Append => "; adds X-Forwarded-* and Forwarded",
        Forwarded::Replace => "; sets X-Forwarded-* and Forwarded",
    };
    line("facade", format!("{route}, on {listen}; waits {} for an agent{forwarded}", show(facade.wait_for_agent)))
}

fn of_service_at_gateway(name: &str, service: &gateway::config::Service) -> (String, String) {
    let gateway::config::Service { retry, max_in_flight, queue, queue_timeout, .. } = service;
    let retry = if *retry { "" } else { "; nothing is sent twice" };
    let waits = show(*queue_timeout);
    line("service", format!("{name}: {max_in_flight} requests at once, {queue} more wait up to {waits}{retry}"))
}

fn of_hosts(hosts: &Hosts, url: impl Fn(&str) -> String) -> String {
    match hosts {
        Hosts::Below(suffix) => format!("{} to SERVICE", url(&format!("SERVICE.{suffix}"))),
        Hosts::Listed(hosts) => {
            let hosts: Vec<_> = hosts.iter().map(|(host, to)| format!("{} to {to}", url(host))).collect();
            hosts.join(", ")
        }
    }
}

fn of_probes(admin: Option<std::net::SocketAddr>, health: Option<std::net::SocketAddr>) -> Lines {
    let shown = |what: &str, address| line(what, format!("http://{address}"));
    let admin = admin.map(|address| shown("admin", address));
    admin.into_iter().chain(health.map(|address| shown("health", address))).collect()
}

fn of_limits(limits: Limits) -> String {
    let Limits { streams, window, memory, .. } = limits;
    format!(
        "up to {streams} streams of {} each, {} in all, {} of it for windows to grow",
        show_bytes(window.into()),
        show_bytes(memory),
        show_bytes(limits.growth())
    )
}

fn of_agent(config: &agent::config::Config) -> Lines {
    let mut lines = vec![line("name", config.name.clone())];
    lines.extend(config.gateways.iter().map(|gateway| {
        let by =
            config.proxies.get(gateway).map(|proxy| format!(" by the proxy {proxy}, which {} names", proxy.said_by));
        line("gateway", format!("{gateway}{}", by.unwrap_or_default()))
    }));
    let token = if config.token.is_some() { "shown to every gateway" } else { "none" };
    lines.push(line("token", token.to_owned()));
    if let Some(ca) = &config.ca {
        lines.push(line("authorities", format!("{} of its own, instead of the web's", ca.len())));
    }
    lines.extend(of_probes(config.admin, config.health));
    for service in &config.services {
        let protocol = if service.protocol == Protocol::H2c { ", in HTTP/2" } else { "" };
        lines.push(line("service", format!("{} at {}{protocol}", service.name, service.upstream)));
        if service.mode == Mode::Audit {
            lines.push(line("  mode", "audit: what no rule allows is SENT, and logged".to_owned()));
        }
        lines.extend(service.allow.iter().map(|rule| line("  allow", rule.to_string())));
        if service.allow.is_empty() {
            lines.push(line("  allow", "nothing".to_owned()));
        }
    }
    let lanes = format!("{} to each address of a gateway; ", config.links);
    lines.push(line("links", lanes + &of_limits(config.limits)));
    if let Some(target) = &config.audit_log {
        lines.push(line("audit log", target.to_string()));
    }
    lines.push(line("resolving", format!("every {}", show(config.reresolve))));
    lines.push(line("drain", format!("up to {}", show(config.drain_grace))));
    lines
}
