//! What holds for single services, checked: how much of each may be in flight, and what may be sent again.

use std::{collections::BTreeMap, time::Duration};

use proto::wire::ServiceName;
use settings::{
    Entries, Findings,
    report::one_of,
    units::{count_within, duration_within},
};

use super::{
    MAX_IN_FLIGHT, QUEUE, QUEUE_TIMEOUT, Service, check::MOST_REQUESTS, facade::service_name, raw::RawService,
};

/// Longest wait in a queue; whoever waits longer has been forgotten by the client.
const LONGEST_QUEUE: Duration = Duration::from_secs(300);

pub(super) fn check_all(raw: &Entries<RawService>, found: &mut Findings<'_>) -> Option<BTreeMap<ServiceName, Service>> {
    let checked: Vec<_> = raw
        .0
        .iter()
        .map(|(name, raw)| {
            let name = found.parsed(name, service_name);
            let service = check(raw, found);
            Some((name?, service?))
        })
        .collect();
    checked.into_iter().collect()
}

fn check(raw: &RawService, found: &mut Findings<'_>) -> Option<Service> {
    let switch = |word: &str| one_of(word, &[("on", true), ("off", false)]);
    let retry = found.or(raw.retry.as_ref(), true, switch);
    let max_in_flight = found.or(raw.max_in_flight.as_ref(), MAX_IN_FLIGHT, count_within(1..=MOST_REQUESTS));
    let queue = found.or(raw.queue.as_ref(), QUEUE, count_within(0..=MOST_REQUESTS));
    let waits = duration_within(Duration::ZERO..=LONGEST_QUEUE);
    let queue_timeout = found.or(raw.queue_timeout.as_ref(), QUEUE_TIMEOUT, waits);
    Some(Service { retry: retry?, max_in_flight: max_in_flight?, queue: queue?, queue_timeout: queue_timeout? })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use settings::Source;

    use super::*;
    use crate::Config;

    #[test]
    fn services() {
        let config = |services: &str| {
            let facades = "listen: 127.0.0.1:1\nfacades: [ { listen: 127.0.0.1:2, route: path } ]\n";
            let text = format!("{facades}services:\n  {services}\n");
            Config::from_source(&Source::file("gateway.yaml", &text, Path::new("")))
        };
        let good =
            config("orders: { retry: off, max_in_flight: 8, queue: 0, queue_timeout: 100ms }\n  a.b: {}").unwrap();
        let orders = Service { retry: false, max_in_flight: 8, queue: 0, queue_timeout: Duration::from_millis(100) };
        assert_eq!(good.services[&ServiceName::new("orders").unwrap()], orders);
        assert_eq!(good.services[&ServiceName::new("a.b").unwrap()], Service::default());
        let wrong = |services: &str, fragments: &[&str]| {
            let report = config(services).unwrap_err().to_string();
            for fragment in fragments {
                assert!(report.contains(fragment), "{services}\nlacks {fragment:?}:\n{report}");
            }
        };
        wrong("orders: { retry: never }", &["gateway.yaml:4:20", "write `on` or `off`"]);
        wrong("orders: { max_in_flight: 0 }", &["from 1 to 1000000"]);
        wrong("orders: { queue_timeout: 6m }", &["write 0s to 5m"]);
        wrong("Orders: {}", &["gateway.yaml:4:3", "is not a service name"]);
        wrong("orders: { upstream: http://127.0.0.1:3 }", &["upstream"]);
    }
}
