//! Which gateways are dialled: those of the configuration, which may change.

use std::{collections::HashMap, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Dialling;
use crate::{config::GatewayUrl, links::Up};

/// The gateways that are dialled, each with what ends that.
pub(crate) struct Gateways {
    dialling: Dialling,
    dialled: HashMap<GatewayUrl, CancellationToken>,
}

impl Gateways {
    pub(crate) fn new(dialling: Dialling) -> Self {
        Self { dialling, dialled: HashMap::new() }
    }

    /// Dials these and no others. Links to others finish what is in flight, within `grace`.
    pub(crate) fn follow(&mut self, urls: &[GatewayUrl], grace: Duration) {
        let Self { dialling, dialled } = self;
        dialled.retain(|url, stop| {
            let wanted = urls.contains(url);
            if !wanted {
                info!(gateway = %url, "the gateway is configured no more");
                stop.cancel();
                dialling.leave(url, grace);
            }
            wanted
        });
        for url in urls {
            dialled.entry(url.clone()).or_insert_with(|| {
                let stop = dialling.stop.child_token();
                let dialling = Dialling { stop: stop.clone(), ..dialling.clone() };
                dialling.links.expect(url);
                dialling.tasks.clone().spawn(dialling.keep_gateway(url.clone()));
                stop
            });
        }
    }
}

impl Dialling {
    fn leave(&self, url: &GatewayUrl, grace: Duration) {
        self.links.forget(url);
        let gateway = url.to_string();
        let links: Vec<Up> = self.links.up().into_iter().filter(|up| up.gateway == gateway).collect();
        links.iter().for_each(|up| up.connection.drain("the agent leaves this gateway"));
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            links.iter().for_each(|up| up.connection.close());
        });
    }
}
