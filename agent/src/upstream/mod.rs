//! The replay: an admitted request becomes a plain HTTP call to the configured upstream, and its answer a response.
//!
//! Only an [`Admitted`] gets here. No redirects, no proxy variables, no cookies, no decompression. A request
//! is sent once; what little is sent on a second connection is in `again`.

mod again;
mod connections;
mod conversation;
mod download;
mod failures;
mod http1;
mod http2;
mod outgoing;
mod pool;
mod upgrade;
mod upload;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use metrics::Outcome;
use proto::{
    hop::{self, is_plainly_framed, remove_hop_by_hop},
    link::{Body, Responder},
    session::Stopped,
    wire::{Failure, FailureCode, RequestId, ResponseHead},
};
use tokio::{
    net::TcpStream,
    time::{Instant, error::Elapsed, timeout_at},
};

pub(crate) use self::again::Judge;
use self::{
    again::Again,
    connections::Connections,
    conversation::{Answer, Conversation, SendError},
    download::download,
    failures::{NotOpened, no_answer, not_opened, overdue, too_late},
    upload::{Activity, Upload},
};
use crate::{
    config,
    whitelist::{Admitted, Times},
};

/// One service's server, and the connections to it.
pub(crate) struct Upstream {
    settings: config::Service,
    connections: Arc<Connections>,
}

/// How a replay ended, for the log.
#[derive(Debug)]
pub(crate) enum Replayed {
    /// The whole answer was passed on.
    Answered(StatusCode),
    /// It was cut short, by the upstream or because nobody wanted the rest.
    Cut(StatusCode),
    /// The upstream gave none.
    Failed(FailureCode),
    /// Nobody wanted one any more.
    Cancelled,
    /// The request's body came to be longer than the rule allows: there was no answer, or one that had begun was cut.
    TooLarge(Option<StatusCode>),
}

impl Replayed {
    /// The same, of a request whose body has come to be longer than the rule allows.
    fn too_large(self) -> Self {
        match self {
            Self::Cut(status) => Self::TooLarge(Some(status)),
            Self::Failed(FailureCode::BodyTooLarge) => Self::TooLarge(None),
            other => other,
        }
    }

    /// Whether an answer had begun and was cut.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::TooLarge(Some(_)))
    }

    /// As it is counted.
    pub(crate) fn counted(&self) -> Outcome {
        match *self {
            Self::Answered(status) | Self::Cut(status) | Self::TooLarge(Some(status)) => Outcome::Answered(status),
            Self::Failed(code) => Outcome::Failed(code),
            Self::TooLarge(None) => Outcome::Failed(FailureCode::BodyTooLarge),
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {}", status.as_u16()),
            Self::Cut(status) | Self::TooLarge(Some(status)) => write!(f, "cut {}", status.as_u16()),
            Self::TooLarge(None) => write!(f, "failed {}", FailureCode::BodyTooLarge.as_str()),
            Self::Failed(code) => write!(f, "failed {}", code.as_str()),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// Why there is no answer.
enum NoAnswer {
    Failed(Failure),
    Cancelled,
}

impl Upstream {
    /// Takes over the connections of an earlier one for the same server.
    pub(crate) fn new(settings: config::Service, earlier: Option<&Self>) -> Self {
        let server = |settings: &config::Service| (settings.upstream.clone(), settings.protocol);
        let same = earlier.filter(|earlier| server(&earlier.settings) == server(&settings));
        let connections = match same {
            Some(same) => same.connections.clone(),
            None => Arc::new(Connections::new(settings.protocol)),
        };
        Self { settings, connections }
    }

    /// Closes connections that have lain idle for too long.
    pub(crate) fn sweep(&self) {
        self.connections.sweep();
    }

    /// Replays a request and passes the answer on. `judge` gives the request again, if it has to be sent twice.
    pub(crate) async fn replay(
        &self,
        admitted: Admitted,
        judge: Judge<'_>,
        request_id: &RequestId,
        body: Body,
        responder: Responder,
    ) -> Replayed {
        let admitted = admitted.into_parts();
        let (body, raw) = upgrade::set_aside(&admitted, body);
        if admitted.content_length.is_some_and(|length| length > 0)
            && body.as_ref().is_none_or(http_body::Body::is_end_stream)
        {
            // The upstream would wait for the rest, and take the next request on its connection for it.
            let message = "the request has no body although its Content-Length declares one";
            return fail(responder, Failure::new(FailureCode::BadRequest, message));
        }
        if admitted.expects_continue {
            responder.inform(StatusCode::CONTINUE);
        }
        let times = admitted.limits.times;
        let ends = Ends::begun(&times);
        let bodiless = body.as_ref().is_none_or(http_body::Body::is_end_stream);
        let judge = Some(judge).filter(|_| self.settings.retry && bodiless);
        let again = Again::new(judge, &admitted, request_id, self.settings.protocol);
        let (request, activity) = match outgoing::build(admitted, request_id, body, self.settings.protocol) {
            Ok(built) => built,
            Err(failure) => return fail(responder, failure),
        };
        let patience = times.response;
        let exchanged = until(ends.usual, pin!(self.exchange(request, again, &activity, patience, &responder))).await;
        let exchanged =
            exchanged.unwrap_or_else(|_| Err(NoAnswer::Failed(too_late(times.usual().unwrap_or_default()))));
        let replayed = match exchanged {
            Ok((response, conversation)) => match raw.filter(|_| upgrade::is_made(&response)) {
                Some(raw) => Box::pin(self.switch(response, conversation, raw, ends, responder)).await,
                None => self.pass_on(response, conversation, ends, responder).await,
            },
            Err(NoAnswer::Cancelled) => Replayed::Cancelled,
            Err(NoAnswer::Failed(failure)) => fail(responder, failure),
        };
        if activity.is_too_large() { replayed.too_large() } else { replayed }
    }

    /// Sends a request and waits for the answer's head.
    async fn exchange(
        &self,
        mut request: Request<Upload>,
        mut again: Again<'_>,
        activity: &Activity,
        patience: Option<Duration>,
        responder: &Responder,
    ) -> Result<(Response<Incoming>, Conversation), NoAnswer> {
        let mut closed = false;
        loop {
            // Where one was closed under a request, others that lay idle are no better.
            let pooled = if closed { None } else { self.connections.take() };
            let reused = pooled.is_some();
            let mut conversation = match pooled {
                Some(conversation) => conversation,
                // Boxed, because it is seldom needed and would make every request's task larger.
                None => Box::pin(self.connect_while_wanted(patience, responder)).await?,
            };
            let answer = conversation.send(request);
            match self.wait(&mut conversation, answer, activity, patience, responder).await? {
                Ok(response) => return Ok((response, conversation)),
                // The server closed the idle connection just now, and not a byte was sent: this is no retry.
                Err(SendError::Failed { unsent: Some(unsent), .. }) if reused => request = *unsent,
                Err(SendError::Failed { error, .. }) => match again.request(&error).filter(|_| reused) {
                    Some(repeated) => (request, closed) = (repeated, true),
                    None => return Err(no_answer(&error, activity)),
                },
                Err(SendError::Flooded) => {
                    let message = "the upstream sends informational answers without end";
                    return Err(NoAnswer::Failed(Failure::new(FailureCode::UpstreamProtocol, message)));
                }
            }
        }
    }

    async fn connect_while_wanted(
        &self,
        patience: Option<Duration>,
        responder: &Responder,
    ) -> Result<Conversation, NoAnswer> {
        let mut connect = pin!(self.connect());
        poll_fn(|cx| {
            if let Poll::Ready(connected) = connect.as_mut().poll(cx) {
                return Poll::Ready(connected.map_err(NoAnswer::Failed));
            }
            responder.poll_stopped(cx).map(|stopped| match stopped {
                Stopped::Unwanted(_) => Err(NoAnswer::Cancelled),
                Stopped::Overdue => Err(NoAnswer::Failed(too_late(patience.unwrap_or_default()))),
            })
        })
        .await
    }

    async fn connect(&self) -> Result<Conversation, Failure> {
        let config::Upstream { host, port, .. } = &self.settings.upstream;
        let limit = self.settings.connect_timeout;
        let connect = async {
            let connect = TcpStream::connect((host.as_str(), *port));
            match tokio::time::timeout(limit, connect).await {
                Ok(connected) => {
                    let tuned = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
                    tuned.map_err(NotOpened::Refused)
                }
                Err(_) => Err(NotOpened::TooLate),
            }
        };
        self.connections.open(connect).await.map_err(|why| {
            if why.is_exhaustion() {
                self.connections.give_way();
            }
            not_opened(why, limit)
        })
    }

    /// Drives the conversation until the answer's head is there, nobody wants it, or it is too late.
    async fn wait(
        &self,
        conversation: &mut Conversation,
        mut answer: Answer,
        activity: &Activity,
        patience: Option<Duration>,
        responder: &Responder,
    ) -> Result<Result<Response<Incoming>, SendError>, NoAnswer> {
        let limit = patience.unwrap_or(Duration::MAX);
        if patience.is_some() {
            responder.set_deadline(limit);
        }
        poll_fn(|cx| {
            // First of all: what nobody wants any more is not sent.
            let stopped = responder.poll_stopped(cx);
            if !matches!(stopped, Poll::Ready(Stopped::Unwanted(_))) {
                conversation.drive(cx);
                if let Poll::Ready(answered) = answer.as_mut().poll(cx) {
                    return Poll::Ready(Ok(answered));
                }
            }
            match ready!(stopped) {
                Stopped::Unwanted(_) => Poll::Ready(Err(NoAnswer::Cancelled)),
                Stopped::Overdue => match activity.quiet_for().map(|quiet| limit.saturating_sub(quiet)) {
                    // The request was being sent until lately: the upstream's time began then.
                    Some(rest) if !rest.is_zero() => {
                        responder.set_deadline(rest);
                        responder.poll_stopped(cx).map(|_| Err(NoAnswer::Cancelled))
                    }
                    _ => Poll::Ready(Err(NoAnswer::Failed(overdue(limit, activity, self.settings.protocol)))),
                },
            }
        })
        .await
    }

    /// Passes an answer on, as fast as its reader reads.
    async fn pass_on(
        &self,
        response: Response<Incoming>,
        mut conversation: Conversation,
        ends: Ends,
        responder: Responder,
    ) -> Replayed {
        let (head, mut body) = response.into_parts();
        let head = match answer_head(head) {
            Ok(head) => head,
            Err(failure) => return fail(responder, failure),
        };
        let status = head.status;
        let bodiless = body.is_end_stream();
        let end = ends.usual.and_then(|end| if is_stream(&head) { ends.stream } else { Some(end) });
        let writer = responder.respond(head, bodiless);
        let whole = bodiless || {
            // If it is dropped before its end, the gateway learns that the body was cut.
            let download = pin!(download(&mut body, &mut conversation, writer, ends.idle));
            until(end, download).await.unwrap_or(false)
        };
        if !whole {
            return Replayed::Cut(status);
        }
        self.connections.put(conversation).await;
        Replayed::Answered(status)
    }
}

/// When an exchange has to be over.
#[derive(Clone, Copy)]
struct Ends {
    usual: Option<Instant>,
    /// For what may go on for ever.
    stream: Option<Instant>,
    /// When it stands still for so long.
    idle: Option<Duration>,
}

impl Ends {
    /// Of an exchange that begins now.
    fn begun(times: &Times) -> Self {
        let end = |limit: Option<Duration>| limit.map(|limit| Instant::now() + limit);
        Self { usual: end(times.usual()), stream: end(times.whole), idle: times.idle }
    }
}

/// Whether an answer may go on for ever: server-sent events, and gRPC, which has deadlines of its own.
fn is_stream(head: &ResponseHead) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let begins = |with: &str| content_type.get(..with.len()).is_some_and(|t| t.eq_ignore_ascii_case(with.as_bytes()));
    begins("text/event-stream") || begins("application/grpc")
}

/// Waits no longer than to the end, if there is one. What is waited for stays where it is: requests' tasks are small.
async fn until<T>(end: Option<Instant>, what: Pin<&mut impl Future<Output = T>>) -> Result<T, Elapsed> {
    match end {
        Some(end) => timeout_at(end, what).await,
        None => Ok(what.await),
    }
}

fn fail(responder: Responder, failure: Failure) -> Replayed {
    let code = failure.code;
    responder.fail(failure);
    Replayed::Failed(code)
}

/// The answer's head as it travels, or why it must not.
fn answer_head(head: http::response::Parts) -> Result<ResponseHead, Failure> {
    let wrong = |message: &'static str| Err(Failure::new(FailureCode::UpstreamProtocol, message));
    let mut headers = head.headers;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return wrong("the upstream switched protocols although nobody asked for it");
    }
    if !is_plainly_framed(&headers) {
        return wrong("the upstream's answer has a transfer coding other than chunked");
    }
    let Ok(length) = hop::content_length(&headers) else {
        return wrong("the upstream's answer has a Content-Length that is not one number");
    };
    if head.status == StatusCode::NO_CONTENT && length.is_some_and(|length| length > 0) {
        // Which of the two is true nobody can say (RFC 9110 §8.6). A length of 0 says the same twice.
        return wrong("the upstream's answer is a 204, and declares a body");
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // The chunks say where the body ends; a length beside them is void (RFC 9112 §6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    remove_hop_by_hop(&mut headers);
    let head = ResponseHead { status: head.status, headers };
    if head.oversize().is_some() {
        return wrong("the upstream's answer has too many or too long headers");
    }
    Ok(head)
}
