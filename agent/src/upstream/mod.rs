//! The replay: an admitted request becomes a plain HTTP call to the configured upstream, and its answer a response.
//!
//! Only an [`Admitted`] gets here. No redirects, no proxy variables, no cookies, no decompression, no hidden retries.

mod conversation;
mod download;
mod pool;
mod upload;

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::Body as _;
use hyper::body::Incoming;
use proto::{
    hop::{self, is_plainly_framed, remove_hop_by_hop},
    link::{Body, BodyError, Responder},
    session::Stopped,
    wire::{Failure, FailureCode, RequestId, ResponseHead},
};
use tokio::{
    net::TcpStream,
    time::{Instant, error::Elapsed, timeout_at},
};

use self::{
    conversation::{Answer, Conversation, SendError},
    download::download,
    pool::Pool,
    upload::{Activity, Upload, UploadError},
};
use crate::{
    config,
    whitelist::{Admitted, Parts},
};

/// Carries the request id, the same in both logs.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One service's server, and the idle connections to it.
pub(crate) struct Upstream {
    settings: config::Service,
    pool: Arc<Pool>,
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
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {}", status.as_u16()),
            Self::Cut(status) => write!(f, "cut {}", status.as_u16()),
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
    /// Takes over the idle connections of an earlier one for the same server.
    pub(crate) fn new(settings: config::Service, earlier: Option<&Self>) -> Self {
        let same = earlier.filter(|earlier| earlier.settings.upstream == settings.upstream);
        let pool = same.map(|earlier| earlier.pool.clone()).unwrap_or_default();
        Self { settings, pool }
    }

    /// Closes connections that have lain idle for too long.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }

    /// Replays a request and passes the answer on.
    pub(crate) async fn replay(
        &self,
        admitted: Admitted,
        request_id: &RequestId,
        body: Body,
        responder: Responder,
    ) -> Replayed {
        let admitted = admitted.into_parts();
        if admitted.content_length.is_some_and(|length| length > 0) && body.is_end_stream() {
            // The upstream would wait for the rest, and take the next request on its connection for it.
            let message = "the request has no body although its Content-Length declares one";
            return fail(responder, Failure::new(FailureCode::BadRequest, message));
        }
        if admitted.expects_continue {
            responder.inform(StatusCode::CONTINUE);
        }
        let total = admitted.limits.timeout;
        let end = total.map(|total| Instant::now() + total);
        let (request, activity) = build(admitted, request_id, body);
        // The time of the rule takes the place of the service's: then only its end counts.
        let patience = if total.is_none() { Some(self.settings.response_timeout) } else { None };
        let exchanged = until(end, pin!(self.exchange(request, &activity, patience, &responder))).await;
        match exchanged.unwrap_or_else(|_| Err(NoAnswer::Failed(too_late(total.unwrap_or_default())))) {
            Ok((response, conversation)) => self.pass_on(response, conversation, end, responder).await,
            Err(NoAnswer::Cancelled) => Replayed::Cancelled,
            Err(NoAnswer::Failed(failure)) => fail(responder, failure),
        }
    }

    /// Sends a request and waits for the answer's head.
    async fn exchange(
        &self,
        mut request: Request<Upload>,
        activity: &Activity,
        patience: Option<Duration>,
        responder: &Responder,
    ) -> Result<(Response<Incoming>, Conversation), NoAnswer> {
        loop {
            let pooled = self.pool.take();
            let reused = pooled.is_some();
            let mut conversation = match pooled {
                Some(conversation) => conversation,
                // Boxed, because it is seldom needed and would make every request's task larger.
                None => Box::pin(self.connect_while_wanted(responder)).await?,
            };
            let answer = conversation.send(request);
            match self.wait(&mut conversation, answer, activity, patience, responder).await? {
                Ok(response) => return Ok((response, conversation)),
                // The server closed the idle connection just now, and not a byte was sent: this is no retry.
                Err(SendError::Failed { unsent: Some(unsent), .. }) if reused => request = *unsent,
                Err(SendError::Failed { error, .. }) => return Err(no_answer(&error)),
                Err(SendError::Flooded) => {
                    let message = "the upstream sends informational answers without end";
                    return Err(NoAnswer::Failed(Failure::new(FailureCode::UpstreamProtocol, message)));
                }
            }
        }
    }

    async fn connect_while_wanted(&self, responder: &Responder) -> Result<Conversation, NoAnswer> {
        let mut connect = pin!(self.connect());
        poll_fn(|cx| {
            if let Poll::Ready(connected) = connect.as_mut().poll(cx) {
                return Poll::Ready(connected.map_err(NoAnswer::Failed));
            }
            responder.poll_stopped(cx).map(|stopped| match stopped {
                Stopped::Unwanted(_) => Err(NoAnswer::Cancelled),
                Stopped::Overdue => Err(NoAnswer::Failed(too_late(self.settings.response_timeout))),
            })
        })
        .await
    }

    async fn connect(&self) -> Result<Conversation, Failure> {
        let config::Upstream { host, port, .. } = &self.settings.upstream;
        let limit = self.settings.connect_timeout;
        let connected = tokio::time::timeout(limit, TcpStream::connect((host.as_str(), *port))).await;
        let stream = match connected {
            Ok(connected) => connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
            Err(_) => {
                let message = format!("the upstream did not accept a connection within {limit:?}");
                return Err(Failure::retry_safe(FailureCode::UpstreamConnectTimeout, message));
            }
        };
        let stream = stream.map_err(|error| {
            if is_exhaustion(&error) {
                self.pool.give_way();
            }
            refused(&error)
        })?;
        Conversation::new(stream).await.map_err(|error| {
            Failure::retry_safe(FailureCode::UpstreamRefused, format!("the upstream's connection failed: {error}"))
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
                    _ => Poll::Ready(Err(NoAnswer::Failed(too_late(limit)))),
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
        end: Option<Instant>,
        responder: Responder,
    ) -> Replayed {
        let (head, mut body) = response.into_parts();
        let head = match answer_head(head) {
            Ok(head) => head,
            Err(failure) => return fail(responder, failure),
        };
        let status = head.status;
        let bodiless = body.is_end_stream();
        let writer = responder.respond(head, bodiless);
        let idle = self.settings.idle_timeout;
        let whole = bodiless || {
            // If it is dropped before its end, the gateway learns that the body was cut.
            let download = pin!(download(&mut body, &mut conversation, writer, idle));
            until(end, download).await.unwrap_or(false)
        };
        if !whole {
            return Replayed::Cut(status);
        }
        if conversation.becomes_ready().await {
            self.pool.put(conversation);
        }
        Replayed::Answered(status)
    }
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

/// The request as the upstream gets it: the judged bytes, and framing that fits the actual body.
fn build(admitted: Parts, request_id: &RequestId, body: Body) -> (Request<Upload>, Activity) {
    let Parts { method, path_and_query, mut headers, content_length, limits, .. } = admitted;
    let bodiless = body.is_end_stream();
    let (upload, activity) = Upload::new(body.with_length(content_length), limits.max_body);
    if headers.contains_key(header::TE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    match content_length {
        Some(length) => headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length)),
        // Said explicitly: hyper assumes that a GET of unknown length has no body.
        None if !bodiless => headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        None => None,
    };
    let request_id = HeaderValue::from_str(request_id.as_str()).expect("a request id is visible ASCII");
    headers.insert(X_REQUEST_ID, request_id);
    let mut request = Request::new(upload);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path_and_query);
    *request.headers_mut() = headers;
    (request, activity)
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
    if hop::content_length(&headers).is_err() {
        return wrong("the upstream's answer has a Content-Length that is not one number");
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

fn too_late(limit: Duration) -> Failure {
    Failure::new(FailureCode::UpstreamTimeout, format!("the upstream did not begin to answer within {limit:?}"))
}

fn is_exhaustion(error: &io::Error) -> bool {
    // ENFILE and EMFILE.
    matches!(error.raw_os_error(), Some(23 | 24))
}

fn refused(error: &io::Error) -> Failure {
    Failure::retry_safe(FailureCode::UpstreamRefused, format!("cannot connect to the upstream: {error}"))
}

/// What it means that a request brought an error instead of an answer.
fn no_answer(error: &hyper::Error) -> NoAnswer {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<UploadError>());
    NoAnswer::Failed(match cause {
        Some(UploadError::Body(BodyError::Stream(_))) => return NoAnswer::Cancelled,
        Some(UploadError::TooLarge) => Failure::new(FailureCode::BodyTooLarge, UploadError::TooLarge.to_string()),
        Some(cause) => Failure::new(FailureCode::BadRequest, cause.to_string()),
        None if error.is_parse_too_large() => {
            Failure::new(FailureCode::UpstreamProtocol, "the upstream's answer has too many or too long headers")
        }
        None if !error.is_parse() => {
            Failure::new(FailureCode::UpstreamProtocol, "the upstream closed the connection without an answer")
        }
        None => Failure::new(FailureCode::UpstreamProtocol, format!("the upstream's answer is not HTTP: {error}")),
    })
}
