//! By a proxy to a gateway: connects to it, and has it connect further, by `CONNECT` (RFC 9110, section 9.3.6) or SOCKS5.

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use proto::link::tune;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    attempt::{ask, outcome_of, retry_after},
    backoff::Outcome,
    socks5,
    standing::Standing,
    untrusted::explain,
};
use crate::{
    config::{GatewayUrl, Proxy, ProxyKind},
    limits::PROXY,
};

/// What leads to a gateway.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why there is no way by a proxy: the proxy, and what it has done.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} {why}")]
pub(super) struct ProxyError {
    proxy: String,
    why: Why,
}

/// Continues "the proxy …".
#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    #[error("cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("failed the TLS handshake: {}", explain(_0))]
    Tls(io::Error),
    #[error("{0}")]
    Credentials(String),
    #[error("answered {status} instead of connecting to {gateway}{}{says}", if says.is_empty() { "" } else { ": " })]
    Refused { status: StatusCode, says: String, gateway: String, retry_after: Option<Duration> },
    #[error("has not connected to {gateway}: {reply}")]
    Socks { gateway: String, reply: socks5::Reply },
    #[error("does not speak {expected}: {error}")]
    Protocol { expected: &'static str, error: String },
    #[error("has not connected to {gateway} within {} s", PROXY.as_secs())]
    TimedOut { gateway: String },
}

impl ProxyError {
    /// What it means for the next dial. Whoever is refused by rule or for its credentials comes back after a hold-off:
    /// sooner, the account may be locked.
    pub(super) fn outcome(&self) -> Outcome {
        match &self.why {
            Why::Unreachable(error) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Away,
            Why::Credentials(_) => Outcome::Rejected(None),
            Why::Refused { status, retry_after, .. } => outcome_of(*status, *retry_after),
            Why::Socks { reply, .. } if reply.is_forbidden() => Outcome::Rejected(None),
            Why::Socks { .. } => Outcome::Away,
            Why::Unreachable(_) | Why::Tls(_) | Why::Protocol { .. } | Why::TimedOut { .. } => Outcome::Failed,
        }
    }
}

/// A connection to the gateway, made by the proxy.
pub(super) async fn connect(
    proxy: &Proxy,
    gateway: &GatewayUrl,
    standing: &Standing,
) -> Result<Box<dyn Stream>, ProxyError> {
    let timed_out = || Why::TimedOut { gateway: gateway.host_and_port() };
    let connected = tokio::time::timeout(PROXY, through(proxy, gateway, standing)).await;
    connected.unwrap_or_else(|_| Err(timed_out())).map_err(|why| ProxyError { proxy: proxy.to_string(), why })
}

async fn through(proxy: &Proxy, gateway: &GatewayUrl, standing: &Standing) -> Result<Box<dyn Stream>, Why> {
    let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await.map_err(Why::Unreachable)?;
    tune(&stream).map_err(Why::Unreachable)?;
    match &proxy.kind {
        ProxyKind::Http { tls: false, authorization } => tunnel(stream, proxy, authorization.as_ref(), gateway).await,
        ProxyKind::Http { tls: true, authorization } => {
            let name = ServerName::try_from(proxy.host.clone()).map_err(|error| Why::Tls(io::Error::other(error)))?;
            let tls = TlsConnector::from(standing.proxy_tls.clone());
            let stream = tls.connect(name, stream).await.map_err(Why::Tls)?;
            tunnel(stream, proxy, authorization.as_ref(), gateway).await
        }
        ProxyKind::Socks5 => {
            let asked = socks5::connect(&mut stream, &gateway.host, gateway.port, proxy.login.as_ref()).await;
            asked.map_err(|error| of_socks(error, proxy, gateway))?;
            Ok(Box::new(stream))
        }
    }
}

async fn tunnel<S: Stream + 'static>(
    stream: S,
    proxy: &Proxy,
    authorization: Option<&HeaderValue>,
    gateway: &GatewayUrl,
) -> Result<Box<dyn Stream>, Why> {
    let garbled = |error: &dyn fmt::Display| Why::Protocol { expected: "HTTP", error: error.to_string() };
    let target = gateway.host_and_port();
    let mut request = Request::connect(&target).header(header::HOST, &target);
    if let Some(authorization) = authorization {
        request = request.header(header::PROXY_AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| garbled(&error))?;
    let response = ask(stream, request).await.map_err(|error| garbled(&error))?;
    if !response.status().is_success() {
        return Err(refused(&response, proxy, target));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| garbled(&error))?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

fn refused(response: &Response<Incoming>, proxy: &Proxy, gateway: String) -> Why {
    let (status, headers) = (response.status(), response.headers());
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Why::Credentials(format!("{}{}", what_to_set(proxy), unless_basic(headers)));
    }
    // What a page for people says would fill the log; these two are meant for it.
    let says = ["proxy-status", "x-squid-error"].into_iter().find_map(|name| headers.get(name)?.to_str().ok());
    let says = says.unwrap_or_default().to_owned();
    Why::Refused { status, says, gateway, retry_after: retry_after(headers) }
}

fn of_socks(error: socks5::Error, proxy: &Proxy, gateway: &GatewayUrl) -> Why {
    match error {
        socks5::Error::Credentials => Why::Credentials(what_to_set(proxy)),
        socks5::Error::Reply(reply) => Why::Socks { gateway: gateway.host_and_port(), reply },
        socks5::Error::Protocol(error) => Why::Protocol { expected: "SOCKS5", error },
        socks5::Error::Io(error) => Why::Protocol { expected: "SOCKS5", error: error.to_string() },
    }
}

/// What somebody has to set whom a proxy asks for credentials.
fn what_to_set(proxy: &Proxy) -> String {
    let by = proxy.said_by;
    match (proxy.has_credentials(), by == "proxy") {
        (true, true) => "does not accept the credentials of proxy_credentials_file or proxy_credentials_env".to_owned(),
        (true, false) => format!("does not accept the credentials that stand in {by}"),
        (false, true) => {
            "wants credentials: write USER:PASSWORD into a file and name it with proxy_credentials_file".to_owned()
        }
        (false, false) => format!("wants credentials: write USER:PASSWORD@ before its host in {by}"),
    }
}

/// Some proxies take no name and password at all.
fn unless_basic(headers: &HeaderMap) -> String {
    let offers = headers.get_all(header::PROXY_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let schemes: Vec<&str> = offers.filter_map(|offer| offer.split([' ', ',']).next()).collect();
    if schemes.is_empty() || schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic")) {
        return String::new();
    }
    format!("; only Basic is supported, and it asks for {}", schemes.join(", "))
}
