//! The server that the demo pretends to be firewalled: a few orders, and a stream of events.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    time::{Interval, interval},
};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request))));
        // A connection that fails concerns its client alone.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(request: &Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/orders") => json(StatusCode::OK, r#"[{"id":42,"item":"a book"},{"id":43,"item":"a pen"}]"#),
        (&Method::POST, "/orders") => json(StatusCode::CREATED, r#"{"id":44,"item":"as you wish"}"#),
        (&Method::GET, "/orders/events") => events(),
        (&Method::GET | &Method::HEAD, path) => match path.strip_prefix("/orders/").map(str::parse::<u32>) {
            Some(Ok(id)) => json(StatusCode::OK, &format!(r#"{{"id":{id},"item":"a book"}}"#)),
            _ => json(StatusCode::NOT_FOUND, r#"{"error":"no such order"}"#),
        },
        _ => json(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"no such method"}"#),
    }
}

fn json(status: StatusCode, text: &str) -> Answer {
    let mut response = Response::new(Full::from(format!("{text}\n")).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn events() -> Answer {
    let mut response = Response::new(Events { clock: interval(Duration::from_secs(1)), next: 1 }.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Server-sent events, one a second, for ever.
struct Events {
    clock: Interval,
    next: u64,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.clock.poll_tick(cx));
        let event = format!("event: tick\ndata: {{\"number\":{}}}\n\n", self.next);
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}
