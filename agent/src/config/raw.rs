//! The keys of `agent.yaml` as written, from a file or from flags; nothing is checked yet.

use serde::Deserialize;
use settings::{
    At, CommandLine, Entries, Fault, Findings, Invalid, Keys, Source, Text, TextOr, limits::RawLimits,
    net::RawListener, report::did_you_mean,
};

use super::Flags;

/// Keys that only an agent's configuration has: they tell one from a gateway's.
pub const KEYS_OF_ITS_OWN: &[&str] = &[
    "gateways",
    "token_file",
    "token_env",
    "cert_file",
    "key_file",
    "ca_file",
    "system_roots",
    "insecure_skip_verify",
    "proxy",
    "proxy_credentials_file",
    "proxy_credentials_env",
    "reresolve",
    "links",
    "audit_log",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) name: Option<Text>,
    pub(super) gateways: Vec<Text>,
    pub(super) token_file: Option<Text>,
    pub(super) token_env: Option<Text>,
    pub(super) cert_file: Option<Text>,
    pub(super) key_file: Option<Text>,
    pub(super) ca_file: Option<Text>,
    pub(super) system_roots: Option<Text>,
    pub(super) insecure_skip_verify: Option<Text>,
    pub(super) proxy: Option<Text>,
    pub(super) proxy_credentials_file: Option<Text>,
    pub(super) proxy_credentials_env: Option<Text>,
    pub(super) admin: Option<At<RawListener>>,
    pub(super) health: Option<At<RawListener>>,
    pub(super) services: Entries<RawService>,
    pub(super) drain_grace: Option<Text>,
    pub(super) reresolve: Option<Text>,
    pub(super) links: Option<Text>,
    pub(super) audit_log: Option<Text>,
    pub(super) limits: RawLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawService {
    pub(super) upstream: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) allow: Vec<TextOr<Keys<RawRule>>>,
    pub(super) mode: Option<Text>,
    pub(super) host: Option<Text>,
    pub(super) trust_forwarded: Option<Text>,
    pub(super) connect_timeout: Option<Text>,
    pub(super) response_timeout: Option<Text>,
    pub(super) idle_timeout: Option<Text>,
    pub(super) max_in_flight: Option<Text>,
    pub(super) retry: Option<Text>,
    pub(super) total_timeout: Option<Text>,
}

/// The long form of a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) path: Option<Text>,
    pub(super) methods: Option<At<Vec<Text>>>,
    pub(super) query: Option<TextOr<Keys<RawQuery>>>,
    pub(super) matrix: Option<Text>,
    pub(super) encoded_slash: Option<Text>,
    pub(super) headers: Option<At<Entries<TextOr<Vec<Text>>>>>,
    pub(super) max_body: Option<Text>,
    pub(super) response_timeout: Option<Text>,
    pub(super) idle_timeout: Option<Text>,
    pub(super) total_timeout: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) upgrade: Option<Text>,
    pub(super) rate: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawQuery {
    pub(super) allow: Entries<TextOr<Vec<Text>>>,
    pub(super) required: Vec<Text>,
}

/// The same keys, said by flags.
pub(super) fn from_flags(flags: &Flags) -> Result<(RawConfig, Source), Invalid> {
    let mut line = CommandLine::new();
    let mut all =
        |flag: &str, values: &[String]| -> Vec<Text> { values.iter().map(|value| line.flag(flag, value)).collect() };
    let gateways = all("--gateway", &flags.gateways);
    let services = all("--service", &flags.services);
    let allow = all("--allow", &flags.allow);
    let token_file = all("--token-file", flags.token_file.as_slice()).pop();
    let name = all("--name", flags.name.as_slice()).pop();
    let source = line.into_source();

    let services = services_and_rules(&services, &allow)
        .map_err(|(text, fault)| Findings::new(&source).fail(text.place, fault))?;
    Ok((RawConfig { name, gateways, token_file, services, ..RawConfig::default() }, source))
}

fn services_and_rules(services: &[Text], allow: &[Text]) -> Result<Entries<RawService>, (Text, Fault)> {
    let mut entries = Vec::new();
    for service in services {
        let (name, upstream) = service.split('=').ok_or_else(|| {
            let what = format!("`{}` does not say where the service is", service.value);
            (service.clone(), Fault::new(what, "write --service NAME=URL: --service orders=http://127.0.0.1:3000"))
        })?;
        entries.push((name, RawService { upstream: Some(upstream), ..RawService::default() }));
    }
    for rule in allow {
        let (name, rule) = rule.split(':').ok_or_else(|| {
            let what = format!("`{}` does not say which service the rule is for", rule.value);
            (rule.clone(), Fault::new(what, "write --allow 'NAME: RULE': --allow 'orders: GET /orders/**'"))
        })?;
        let Some((_, service)) = entries.iter_mut().find(|(known, _)| known.value == name.value) else {
            return Err((name.clone(), unknown_service(&name.value, &entries)));
        };
        service.allow.push(TextOr::Text(rule.trimmed()));
    }
    Ok(Entries(entries))
}

fn unknown_service(name: &str, entries: &[(Text, RawService)]) -> Fault {
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.value.as_str()).collect();
    let guess = did_you_mean(name, &names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    Fault::new(
        format!("no --service is named `{name}`"),
        format!("{guess}add --service {name}=URL, or name one that is there"),
    )
}
