//! The routes to a gateway: straight to each address that its name has, or by a proxy, which resolves the name itself.
//! Behind a firewall only the proxy may know it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use tokio::time::timeout;
use tracing::field::{DisplayValue, display};

use super::standing::Standing;
use crate::{
    config::{GatewayUrl, Proxy},
    limits::{ADDRESSES, DIAL},
};

/// What a lane keeps to from dial to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    Address(SocketAddr),
    /// Whichever proxy is configured at the moment of a dial.
    Proxy,
}

impl Route {
    /// For the log.
    pub(super) fn address(self) -> Option<DisplayValue<SocketAddr>> {
        match self {
            Self::Address(address) => Some(display(address)),
            Self::Proxy => None,
        }
    }
}

/// What one dial goes by, and what the link that it makes has gone by.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Address(SocketAddr),
    Proxy(Proxy),
}

impl Way {
    /// For the log.
    pub(super) fn proxy(&self) -> Option<DisplayValue<&Proxy>> {
        match self {
            Self::Address(_) => None,
            Self::Proxy(proxy) => Some(display(proxy)),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Proxy(proxy) => write!(f, "by {proxy}"),
        }
    }
}

impl Standing {
    /// The routes to a gateway, at most [`ADDRESSES`].
    pub(super) async fn routes(&self, url: &GatewayUrl) -> Result<Vec<Route>, String> {
        if self.proxies.contains_key(url) {
            return Ok(vec![Route::Proxy]);
        }
        Ok(resolve(url).await?.into_iter().map(Route::Address).collect())
    }

    /// The way that a route means now; `None` if gateways of this URL are not dialled by such a route any more.
    pub(super) fn way(&self, url: &GatewayUrl, route: Route) -> Option<Way> {
        match (route, self.proxies.get(url)) {
            (Route::Address(address), None) => Some(Way::Address(address)),
            (Route::Proxy, Some(proxy)) => Some(Way::Proxy(proxy.clone())),
            (Route::Address(_), Some(_)) | (Route::Proxy, None) => None,
        }
    }
}

async fn resolve(url: &GatewayUrl) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, url.port)]);
    }
    let found = timeout(DIAL, tokio::net::lookup_host((url.host.as_str(), url.port))).await;
    let addresses: Vec<SocketAddr> =
        found.map_err(|_| "timed out".to_owned())?.map_err(|error| error.to_string())?.take(ADDRESSES).collect();
    if addresses.is_empty() { Err("the name has no addresses".to_owned()) } else { Ok(addresses) }
}
