//! One dial: to an address or by a proxy, TLS, upgrade, greeting. It has no policy; the loop around it has nothing else.

use std::{error::Error as _, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use proto::{
    link::{
        GreetingError, Link, greet, tune,
        upgrade::{REGISTRATION_CODE, SUBPROTOCOL, accept_key, is_websocket, request_key},
    },
    wire::GatewayHello,
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tracing::warn;

use super::{
    backoff::Outcome,
    proxy::{self, ProxyError},
    route::Way,
    standing::{Standing, sensitive},
    untrusted::{Unwanted, explain},
};
use crate::{
    config::GatewayUrl,
    limits::{DIAL, GREETING, HELD, REFUSAL_BYTES},
    secrets::Secrets,
};

/// What a dial needs.
pub(super) struct Dialer {
    pub(super) url: GatewayUrl,
    pub(super) way: Way,
    pub(super) standing: Arc<Standing>,
    /// Whatever is shown is added.
    pub(super) secrets: Arc<Secrets>,
}

pub(super) type GatewayLink = Link<TokioIo<Upgraded>>;

/// Why a dial made no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("the agent's own certificate cannot be used: {0}")]
    Certificate(String),
    #[error("the TLS handshake failed: {}", explain(_0))]
    Tls(io::Error),
    #[error(transparent)]
    Unwanted(Unwanted),
    #[error("the gateway answered {status}{}{detail}", if detail.is_empty() { "" } else { ": " })]
    Refused { status: StatusCode, detail: String, retry_after: Option<Duration> },
    #[error("the gateway does not answer in HTTP: does it speak TLS? Then write wss:// ({0})")]
    NotHttp(hyper::Error),
    #[error("the upgrade failed: {0}")]
    Upgrade(String),
    #[error("what answers there is no Reachback gateway")]
    NoGateway,
    #[error(transparent)]
    Greeting(#[from] GreetingError),
    #[error("no answer to the upgrade within {} s", DIAL.as_secs())]
    TimedOut,
    #[error("no answer to the hello within {} s", GREETING.as_secs())]
    NotGreeted,
}

impl DialError {
    /// What it means for the next dial.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Away,
            Self::Proxy(error) => error.outcome(),
            Self::Refused { status, retry_after, .. } => outcome_of(*status, *retry_after),
            Self::Unwanted(_) => Outcome::Rejected(None),
            Self::Greeting(GreetingError::Rejected(reject)) => Outcome::Rejected(Some(reject.retry_after)),
            _ => Outcome::Failed,
        }
    }
}

/// What a refusal means for the next dial.
pub(super) fn outcome_of(status: StatusCode, retry_after: Option<Duration>) -> Outcome {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Rejected(retry_after),
        _ if retry_after.is_some() => Outcome::Rejected(retry_after),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Outcome::Away,
        _ => Outcome::Failed,
    }
}

impl Dialer {
    /// Dials once. Calls `held` if the gateway has taken the upgrade, and its hello does not come at once.
    pub(super) async fn dial(&self, held: impl FnOnce()) -> Result<(GatewayLink, GatewayHello), DialError> {
        let credential = self.credential().await?;
        let upgrade = self.upgrade(&credential);
        let upgraded = timeout(DIAL, upgrade).await.unwrap_or(Err(DialError::TimedOut))?;
        let greeting = greet(TokioIo::new(upgraded), self.standing.hello.clone(), self.standing.limits);
        let mut greeting = pin!(timeout(GREETING, greeting));
        let greeted = match timeout(HELD, &mut greeting).await {
            Ok(greeted) => greeted,
            Err(_) => {
                held();
                greeting.await
            }
        };
        Ok(greeted.map_err(|_| DialError::NotGreeted)??)
    }

    /// Shows the gateway a one-time code, and the token that the agent is to be known by. The name that it is known by
    /// from then on.
    pub(super) async fn register(&self, code: &str) -> Result<String, DialError> {
        let credential = self.credential().await?;
        self.secrets.learn(code);
        let registered = async {
            let request = Request::post(&self.url.path).header(REGISTRATION_CODE, sensitive(code));
            let response = self.ask(request, &credential).await?;
            if !response.status().is_success() {
                return Err(refused(response).await);
            }
            let body = Limited::new(response.into_body(), REFUSAL_BYTES).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            let Registered { agent } = serde_json::from_slice(&body).map_err(|_| DialError::NoGateway)?;
            // It is shown to somebody: nothing in it steers a terminal.
            settings::net::name(&agent).map_err(|_| DialError::NoGateway)
        };
        timeout(DIAL, registered).await.unwrap_or(Err(DialError::TimedOut))
    }

    /// Reads what the gateway is shown. It takes none of the gateway's time.
    async fn credential(&self) -> Result<Credential, DialError> {
        let tls =
            if self.url.tls { Some(self.standing.tls.client().await.map_err(DialError::Certificate)?) } else { None };
        let authorization = self.standing.token().await.map(|token| {
            self.secrets.learn(token.expose());
            sensitive(&format!("Bearer {}", token.expose()))
        });
        Ok(Credential { authorization, tls })
    }

    /// Sends the first request of a new connection to the gateway.
    async fn ask(&self, request: request::Builder, credential: &Credential) -> Result<Response<Incoming>, DialError> {
        let mut request = request.header(header::HOST, self.url.authority());
        if let Some(authorization) = credential.authorization.clone() {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|error| DialError::Upgrade(error.to_string()))?;
        let tls = credential.tls.clone();
        match &self.way {
            Way::Address(address) => {
                let stream = TcpStream::connect(address).await.map_err(DialError::Connect)?;
                tune(&stream).map_err(DialError::Connect)?;
                self.secure(stream, tls, request).await
            }
            Way::Proxy(proxy) => {
                proxy.secrets().for_each(|secret| self.secrets.learn(secret));
                self.secure(proxy::connect(proxy, &self.url, &self.standing).await?, tls, request).await
            }
        }
    }

    async fn secure<S>(
        &self,
        stream: S,
        tls: Option<Arc<ClientConfig>>,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, DialError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Some(tls) = tls else {
            let failed =
                |error: hyper::Error| if error.is_parse() { DialError::NotHttp(error) } else { not_asked(&error) };
            return ask(stream, request).await.map_err(failed);
        };
        let name =
            ServerName::try_from(self.url.host.clone()).map_err(|error| DialError::Upgrade(error.to_string()))?;
        if self.standing.tls.is_insecure() {
            warn!("insecure_skip_verify: whoever answers is taken for the gateway");
        }
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(not_secured)?;
        ask(stream, request).await.map_err(|error| not_asked(&error))
    }

    async fn upgrade(&self, credential: &Credential) -> Result<Upgraded, DialError> {
        let key = request_key();
        let request = Request::get(&self.url.path)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let response = self.ask(request, credential).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(response).await);
        }
        check(response.headers(), &key)?;
        hyper::upgrade::on(response).await.map_err(|error| DialError::Upgrade(error.to_string()))
    }
}

fn not_secured(error: io::Error) -> DialError {
    Unwanted::by(&error).map_or(DialError::Tls(error), DialError::Unwanted)
}

/// By TLS 1.3 the first reading says whether the gateway has taken the agent's certificate.
fn not_asked(error: &hyper::Error) -> DialError {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let unwanted = io.and_then(Unwanted::by).map(DialError::Unwanted);
    unwanted.unwrap_or_else(|| DialError::Upgrade(io.map_or_else(|| error.to_string(), |io| format!("{error}: {io}"))))
}

/// What the agent proves itself with, as the files held it at the beginning of the dial.
struct Credential {
    authorization: Option<HeaderValue>,
    /// For `wss://`.
    tls: Option<Arc<ClientConfig>>,
}

/// A gateway's answer to a code.
#[derive(serde::Deserialize)]
struct Registered {
    agent: String,
}

/// Sends the first request on a connection, which may become something else by it.
pub(super) async fn ask<S, B>(stream: S, request: Request<B>) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the upgrade, or with the connection.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

/// RFC 6455 §4.1.
fn check(headers: &HeaderMap, key: &str) -> Result<(), DialError> {
    let is = |name, expected: &str| headers.get(name).is_some_and(|value| value == expected);
    if is_websocket(headers)
        && is(header::SEC_WEBSOCKET_ACCEPT, &accept_key(key.as_bytes()))
        && is(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
    {
        return Ok(());
    }
    Err(DialError::Upgrade("the answer to the upgrade is not that of a Reachback gateway".to_owned()))
}

/// A refusal may come from any proxy on the way.
async fn refused(response: Response<Incoming>) -> DialError {
    let (status, retry_after) = (response.status(), retry_after(response.headers()));
    let body = Limited::new(response.into_body(), REFUSAL_BYTES).collect().await;
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
    DialError::Refused { status, detail: text, retry_after }
}

/// When to ask again, if it is said in seconds (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
