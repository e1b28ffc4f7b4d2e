//! Shows a one-time code to every gateway.

use std::sync::Arc;

use super::{attempt::Dialer, standing::Standing};
use crate::{config::GatewayUrl, secrets::Secrets};

/// What has come of it at one address of a gateway.
pub(crate) struct Attempt {
    pub(crate) gateway: String,
    /// The name that the agent is known by there, or why it is not.
    pub(crate) outcome: Result<String, String>,
}

/// Asks each address of each gateway once.
pub(crate) async fn register_everywhere(urls: &[GatewayUrl], standing: Standing, code: &str) -> Vec<Attempt> {
    let (standing, secrets) = (Arc::new(standing), Arc::new(Secrets::default()));
    let mut attempts = Vec::new();
    for url in urls {
        let routes = match standing.routes(url).await {
            Ok(routes) => routes,
            Err(why) => {
                let why = format!("cannot resolve the gateway's name: {why}");
                attempts.push(Attempt { gateway: url.to_string(), outcome: Err(why) });
                continue;
            }
        };
        for way in routes.into_iter().filter_map(|route| standing.way(url, route)) {
            let gateway = format!("{url} ({way})");
            let dialer = Dialer { url: url.clone(), way, standing: standing.clone(), secrets: secrets.clone() };
            let outcome = dialer.register(code).await;
            let outcome = outcome.map(|name| secrets.shown(&name)).map_err(|error| secrets.shown(&error));
            attempts.push(Attempt { gateway, outcome });
        }
    }
    attempts
}
