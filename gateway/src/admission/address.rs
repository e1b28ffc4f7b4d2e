//! Where a connection to the tunnel comes from, if an ingress stands before it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use crate::listener::Peer;

/// What the header says that the ingress sets, or else the connection's own address. Of a list the last entry counts:
/// that one was added by the ingress, and those before it could be anybody's. Its port is 0.
pub(crate) fn address_of(headers: &HeaderMap, header: Option<&HeaderName>, peer: Peer) -> Peer {
    let said = header.and_then(|header| headers.get_all(header).iter().next_back()?.to_str().ok());
    let said = said.and_then(|said| said.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    said.map_or(peer, |ip| Peer::Tcp((ip, 0).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_last() {
        let header = HeaderName::from_static("x-forwarded-for");
        let check = |lines: &[&str], expected: &str| {
            let headers = lines.iter().map(|line| (header.clone(), line.parse().unwrap())).collect();
            let peer = Peer::Tcp("192.0.2.9:9".parse().unwrap());
            assert_eq!(address_of(&headers, Some(&header), peer).to_string(), expected, "{lines:?}");
            assert_eq!(address_of(&headers, None, peer), peer, "{lines:?}");
        };
        check(&["192.0.2.1"], "192.0.2.1:0");
        check(&["192.0.2.1, 192.0.2.2"], "192.0.2.2:0");
        check(&["192.0.2.1", "192.0.2.2,2001:db8::1"], "[2001:db8::1]:0");
        check(&["unknown"], "192.0.2.9:9");
        check(&["192.0.2.1,"], "192.0.2.9:9");
        check(&[], "192.0.2.9:9");
    }
}
