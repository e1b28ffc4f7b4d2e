//! The tunnel listener: authenticates an agent before the upgrade, greets it, and keeps its link registered.

use std::{sync::Arc, time::SystemTime};

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use proto::{
    link::{
        Notice, Pending, receive_hello,
        upgrade::{REGISTRATION_CODE, SUBPROTOCOL, accept_key, has_token, is_websocket},
    },
    session,
    wire::{AgentHello, GatewayHello, Reject, ServiceName},
};
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info, info_span, warn};

use crate::{
    admission::{Admission, Applicant, Attempts, Failed, Pace, address_of},
    auth::{Credentials, KeySet, Proved, Refused, Shown, fingerprint},
    config::Config,
    expiry::Expiry,
    limits::{PACE, PACE_BURST, REFUSALS_LOGGED},
    listener::Peer,
    refusal::Refusal,
    registration::{NotRegistered, Registrar},
    registry::{Entry, Registry},
    rejects,
    serve::Arrival,
    turned_away::TurnedAway,
};

/// Everything that an agent's arrival needs.
#[derive(Debug)]
pub(crate) struct Tunnel {
    path: String,
    allowed_origins: Vec<String>,
    credentials: Arc<Credentials>,
    registrar: Arc<Registrar>,
    /// The header in which an ingress says where connections come from.
    address_header: Option<HeaderName>,
    attempts: Attempts,
    /// Refusals of any kind, by address: the log has the first ones.
    logged: Attempts,
    pace: Pace,
    turned_away: TurnedAway,
    admission: Arc<Admission>,
    hello: GatewayHello,
    limits: session::Limits,
    registry: Arc<Registry>,
    /// No agent is let in from then on.
    stop: CancellationToken,
    /// Every link is a task of this tracker.
    links: TaskTracker,
}

type Io = TokioIo<hyper::upgrade::Upgraded>;

impl Tunnel {
    pub(crate) fn new(
        config: &Config,
        registry: Arc<Registry>,
        admission: Arc<Admission>,
        stop: CancellationToken,
        links: TaskTracker,
    ) -> Self {
        let limits = session::Limits {
            streams: config.limits.streams,
            window: config.limits.window,
            growth: config.limits.growth(),
            ..session::Limits::default()
        };
        Self {
            path: config.path.clone(),
            allowed_origins: config.allowed_origins.clone(),
            credentials: Arc::new(Credentials::new(config, admission.clone())),
            registrar: Arc::new(Registrar::new(config, admission.clone())),
            address_header: config.address_header.clone(),
            attempts: Attempts::new(config.failed_attempts),
            logged: Attempts::new(REFUSALS_LOGGED),
            pace: Pace::new((PACE, PACE_BURST), Instant::now()),
            turned_away: TurnedAway::default(),
            admission,
            hello: GatewayHello {
                gateway: config.name.clone(),
                window: limits.window,
                streams: limits.streams,
                heartbeat: config.heartbeat,
            },
            limits,
            registry,
            stop,
            links,
        }
    }

    /// The keys of issuers, which have to be followed.
    pub(crate) fn key_sets(&self) -> &[Arc<KeySet>] {
        self.credentials.key_sets()
    }

    /// Who was not let in.
    pub(crate) fn turned_away(&self) -> &TurnedAway {
        &self.turned_away
    }

    /// Answers a request to the tunnel listener: 101, or plain HTTP that leaves no state behind.
    pub(crate) async fn answer(self: Arc<Self>, arrival: Arrival) -> Response<Body> {
        let Arrival { mut request, peer, certificate, deadline, busy, .. } = arrival;
        let peer = address_of(request.headers(), self.address_header.as_ref(), peer);
        if self.is_registration(&request) {
            return self.register(request.headers(), peer).await;
        }
        let shown = Shown { headers: request.headers(), certificate: certificate.as_deref() };
        let proved = match self.admit(&request, shown, peer) {
            Ok(proved) => proved,
            Err(refusal) => return self.turn_away(&refusal, peer),
        };
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY).map_or(&[][..], HeaderValue::as_bytes);
        let response = switching(&accept_key(key));
        let upgrade = hyper::upgrade::on(&mut request);
        let span = info_span!("link", %peer, agent = tracing::field::Empty);
        let (connection, link) = (busy.connection(), self.links.token());
        // Until it has said hello it stays in the place of those that knock.
        let greeting = async move {
            match tokio::time::timeout_at(deadline, greet(upgrade)).await {
                Ok(Ok(pending)) => {
                    let links = self.links.clone();
                    links.spawn(self.welcome(pending, proved, peer, certificate).in_current_span());
                }
                Ok(Err(error)) => warn!(error, "an agent's greeting failed"),
                Err(_) => warn!("an agent did not say hello in time"),
            }
            drop((busy, link));
        };
        connection.go_on_with(greeting.instrument(span));
        response
    }

    /// Settles credential and version before anything is promised.
    fn admit(&self, request: &Request<Incoming>, shown: Shown<'_>, peer: Peer) -> Result<Proved, Refusal> {
        let headers = request.headers();
        let refuse = |status, why| Err(Refusal::new(status, why));
        if request.uri().path() != self.path {
            return refuse(StatusCode::NOT_FOUND, "the tunnel is not offered at this path");
        }
        let may_verify = || self.attempts.may_verify(peer, Instant::now());
        let proved = self.credentials.identify(shown, SystemTime::now(), may_verify);
        let proved = proved.map_err(|refused| self.unproved(refused, peer))?;
        if !self.permits_origin(headers.get(header::ORIGIN)) {
            return Err(Refusal::browser());
        }
        if request.method() != Method::GET {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "an upgrade is a GET");
        }
        if !is_websocket(headers) || headers.get(header::SEC_WEBSOCKET_KEY).is_none_or(|key| key.len() != 24) {
            return refuse(StatusCode::BAD_REQUEST, "this endpoint speaks WebSocket with Reachback agents only");
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13")
            || !has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        {
            return refuse(StatusCode::UPGRADE_REQUIRED, "this gateway speaks reachback.v1 over WebSocket version 13");
        }
        if self.stop.is_cancelled() {
            return Err(Refusal::draining());
        }
        match self.pace.admit(Instant::now()) {
            Ok(()) => Ok(proved),
            Err(retry_after) => Err(Refusal::paced(retry_after)),
        }
    }

    fn is_registration(&self, request: &Request<Incoming>) -> bool {
        let is_ours = request.uri().path() == self.path && request.method() == Method::POST;
        is_ours && request.headers().contains_key(REGISTRATION_CODE)
    }

    /// Answers whoever shows a code with the name that it is known by from then on.
    async fn register(&self, headers: &HeaderMap, peer: Peer) -> Response<Body> {
        let refusal = if !self.permits_origin(headers.get(header::ORIGIN)) {
            Refusal::browser()
        } else if self.stop.is_cancelled() {
            Refusal::draining()
        } else {
            match self.registrar.register(headers, (SystemTime::now(), Instant::now())).await {
                Ok(registered) => return registered.response(),
                Err(NotRegistered::Refused(refusal)) => refusal,
                Err(NotRegistered::WrongCode) => match self.attempts.failed(peer, Instant::now()) {
                    Failed::Counted => Refusal::wrong_code(),
                    Failed::TooOften { .. } => Refusal::too_often(None),
                },
            }
        };
        self.turn_away(&refusal, peer)
    }

    fn turn_away(&self, refusal: &Refusal, peer: Peer) -> Response<Body> {
        match self.logged.failed(peer, Instant::now()) {
            Failed::Counted => refusal.log(peer, false),
            Failed::TooOften { first: true } => refusal.log(peer, true),
            Failed::TooOften { first: false } => {}
        }
        self.turned_away.count(refusal.status().as_str());
        refusal.response()
    }

    /// Whoever shows no good credential. A good one is never refused for what others of the same address did: behind
    /// an ingress they are everybody.
    fn unproved(&self, refused: Refused, peer: Peer) -> Refusal {
        match refused {
            Refused::NotYet(wait) => Refusal::not_yet(refused, wait),
            Refused::NotNow => Refusal::not_now(refused),
            Refused::Stranger(_) | Refused::UnknownKey => match self.attempts.failed(peer, Instant::now()) {
                Failed::Counted => Refusal::stranger(refused),
                Failed::TooOften { .. } => Refusal::too_often(Some(refused)),
            },
        }
    }

    fn permits_origin(&self, origin: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        let origin = origin.to_str().unwrap_or_default();
        self.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    /// From the agent's hello to the end of the link.
    async fn welcome(
        self: Arc<Self>,
        mut pending: Pending<Io>,
        proved: Proved,
        peer: Peer,
        certificate: Option<Arc<CertificateDer<'static>>>,
    ) {
        let identity = &proved.identity;
        let agent = identity.name(&pending.hello().agent).to_owned();
        tracing::Span::current().record("agent", &agent);
        if let Some(service) = identity.first_not_permitted(&pending.hello().services).cloned() {
            warn!(%service, "rejected an agent that claims a service it may not serve");
            return self.reject(pending, rejects::not_permitted(&service)).await;
        }
        let Some(_place) = self.registry.place(&agent) else {
            warn!("rejected a link of an agent that has too many");
            return self.reject(pending, rejects::too_many_links()).await;
        };
        let fingerprint = certificate.as_deref().map(fingerprint);
        match self.hold(&mut pending, &agent, peer, fingerprint.clone()).await {
            Ok(()) => self.run_link(pending, agent, &proved, (peer, fingerprint)).await,
            Err(Some(reject)) => {
                info!(code = reject.code, "sent an agent away");
                self.reject(pending, reject).await;
            }
            Err(None) => {}
        }
    }

    async fn reject(&self, pending: Pending<Io>, reject: Reject) {
        self.turned_away.count(&reject.code);
        pending.reject(reject).await;
    }

    /// Asks whether the agent is let in, which may take a while; the reason if it is not, unless it has gone.
    async fn hold(
        &self,
        pending: &mut Pending<Io>,
        agent: &str,
        address: Peer,
        fingerprint: Option<String>,
    ) -> Result<(), Option<Reject>> {
        let AgentHello { agent: calls_itself, instance, services, .. } = pending.hello().clone();
        let name = agent.to_owned();
        let applicant = Applicant { name, calls_itself, instance, address, services, fingerprint };
        tokio::select! {
            biased;
            verdict = self.admission.admit(applicant) => verdict.map_err(Some),
            error = pending.interrupted() => {
                info!(%error, "an agent left before it was let in");
                Err(None)
            }
            () = self.stop.cancelled() => Err(Some(rejects::draining())),
        }
    }

    async fn run_link(
        &self,
        pending: Pending<Io>,
        agent: String,
        proved: &Proved,
        (address, fingerprint): (Peer, Option<String>),
    ) {
        let (link, hello) = match pending.accept(self.hello.clone(), self.limits).await {
            Ok(accepted) => accepted,
            Err(error) => return warn!(%error, "an agent's greeting failed"),
        };
        let connection = link.connection();
        let AgentHello { instance, services, version, .. } = hello;
        let Proved { identity, by, .. } = proved;
        info!(instance, version, proof = %by, services = names(&services), "link up");
        let since = Instant::now();
        let (name, mut claimed) = (agent.clone(), services.clone());
        let may_stay = |services: &[ServiceName]| self.may_stay(&name, proved, services);
        let entry = Entry {
            agent,
            instance: instance.into(),
            version,
            address,
            proof: *by,
            fingerprint,
            since,
            services,
            connection: connection.clone(),
        };
        let registered = self.registry.add(entry);
        if !may_stay(&claimed) {
            // It was revoked between the verdict and now, and its link was not there to be closed.
            connection.close();
        }
        if self.stop.is_cancelled() {
            // It said hello while the others were told.
            connection.drain("the gateway shuts down");
        }
        let expiry = Expiry::new(connection.clone(), &self.credentials, proved);
        let end = link.run(|notice| match notice {
            Notice::Services(services) => match identity.first_not_permitted(&services) {
                None if !may_stay(&services) => {
                    warn!(
                        services = names(&services),
                        "closing the link of an agent that claims what was not approved"
                    );
                    connection.close();
                }
                None => {
                    info!(services = names(&services), "the agent's services changed");
                    claimed.clone_from(&services);
                    registered.replace_services(services);
                }
                Some(service) => {
                    warn!(%service, "closing the link of an agent that claims a service it may not serve");
                    connection.dismiss(rejects::NOT_PERMITTED);
                }
            },
            Notice::Renewed(_) if !may_stay(&claimed) => {
                warn!("closing the link of an agent that may not stay");
                connection.close();
            }
            Notice::Renewed(credential) => expiry.renew(credential),
            Notice::GoAway => info!("the agent is draining"),
            Notice::Request(_) => unreachable!("an agent opens no streams"),
        });
        let end = end.await;
        drop(registered);
        info!(%end, lasted_s = since.elapsed().as_secs(), "link down");
    }

    /// Whether an agent that was let in may still stay, with these services.
    fn may_stay(&self, name: &str, proved: &Proved, services: &[ServiceName]) -> bool {
        self.admission.permits(name, services) && self.credentials.is_still_good(proved)
    }
}

async fn greet(upgrade: OnUpgrade) -> Result<Pending<Io>, String> {
    let upgraded = upgrade.await.map_err(|error| error.to_string())?;
    receive_hello(TokioIo::new(upgraded)).await.map_err(|error| error.to_string())
}

fn names(services: &[ServiceName]) -> String {
    services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" ")
}

fn switching(accept: &str) -> Response<Body> {
    let accept = HeaderValue::from_str(accept).expect("base64 is visible ASCII");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    response
}
