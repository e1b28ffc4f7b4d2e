//! What the agent offers: all services of one configuration, with the whitelist that guards them. Replaced as a whole.

use std::{collections::HashMap, sync::Arc};

use proto::wire::ServiceName;
use serde::Serialize;

use crate::{
    config,
    counters::{Counted, Counters},
    places::Places,
    rates::Rates,
    upstream::Upstream,
    whitelist::{Mode, Rule, Whitelist},
};

/// The services of one configuration.
pub(crate) struct Offer {
    pub(crate) whitelist: Whitelist,
    services: HashMap<ServiceName, Offered>,
    /// In the order of the file.
    names: Vec<ServiceName>,
}

/// One of them.
pub(crate) struct Offered {
    pub(crate) upstream: Upstream,
    pub(crate) counters: Counters,
    pub(crate) mode: Mode,
    pub(crate) rates: Arc<Rates>,
    pub(crate) places: Places,
    rules: Vec<Rule>,
    /// The upstream, as it is shown.
    url: String,
}

/// A service, as `/status` tells it.
#[derive(Serialize)]
pub(crate) struct ServiceStatus {
    name: String,
    upstream: String,
    mode: &'static str,
    #[serde(flatten)]
    counted: Counted,
}

impl Offer {
    /// Of an earlier offer it takes over what has not changed: connections to the same upstreams, counters, and what the
    /// same rules have let through lately.
    pub(crate) fn new(services: &[config::Service], earlier: Option<&Self>) -> Self {
        let offered = |service: &config::Service| {
            let earlier = earlier.and_then(|earlier| earlier.services.get(&service.name));
            let rules = service.allow.iter().map(ToString::to_string);
            let same_rules = earlier.filter(|earlier| earlier.rules == service.allow);
            let offered = Offered {
                upstream: Upstream::new(service.clone(), earlier.map(|earlier| &earlier.upstream)),
                counters: Counters::new(rules, earlier.map(|earlier| &earlier.counters)),
                mode: service.mode,
                rates: same_rules.map_or_else(|| Arc::new(Rates::new(&service.allow)), |same| same.rates.clone()),
                places: Places::new(service.max_in_flight, earlier.map(|earlier| &earlier.places)),
                rules: service.allow.clone(),
                url: service.upstream.to_string(),
            };
            (service.name.clone(), offered)
        };
        Self {
            whitelist: config::whitelist(services),
            services: services.iter().map(offered).collect(),
            names: services.iter().map(|service| service.name.clone()).collect(),
        }
    }

    pub(crate) fn service(&self, name: &ServiceName) -> Option<&Offered> {
        self.services.get(name)
    }

    /// The services that send what no rule allows.
    pub(crate) fn audited(&self) -> impl Iterator<Item = &ServiceName> {
        self.all().filter(|(_, offered)| offered.mode == Mode::Audit).map(|(name, _)| name)
    }

    /// Closes connections to upstreams that have lain idle for too long.
    pub(crate) fn sweep(&self) {
        self.services.values().for_each(|offered| offered.upstream.sweep());
    }

    pub(crate) fn status(&self) -> Vec<ServiceStatus> {
        let status = |(name, offered): (&ServiceName, &Offered)| ServiceStatus {
            name: name.to_string(),
            upstream: offered.url.clone(),
            mode: offered.mode.as_str(),
            counted: offered.counters.read(),
        };
        self.all().map(status).collect()
    }

    /// Every service, in the order of the file.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&ServiceName, &Offered)> {
        self.names.iter().filter_map(|name| Some((name, self.services.get(name)?)))
    }
}
