//! The server beside an agent: answers every order, and says in the books that it has seen it.

use std::{cell::RefCell, convert::Infallible, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, time::sleep};

use crate::{app::echo, chance, ledger::Ledger, machine::UPSTREAM};

/// How long it thinks about an order, at most, …
const QUICK: Duration = Duration::from_millis(300);
/// … but about every tenth so long.
const SLOW: Duration = Duration::from_secs(8);

/// How long it keeps an idle connection: as common servers do. A POST that comes when it closes one is lost.
const IDLE: Duration = Duration::from_secs(75);

/// Serves for ever.
pub(crate) async fn run(ledger: Rc<RefCell<Ledger>>) -> turmoil::Result {
    let listener = TcpListener::bind(([0, 0, 0, 0], UPSTREAM).into()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let ledger = ledger.clone();
        let answer = service_fn(move |request| answer(request, ledger.clone()));
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(IDLE);
        tokio::task::spawn_local(server.serve_connection(TokioIo::new(stream), answer));
    }
}

async fn answer(request: Request<Incoming>, ledger: Rc<RefCell<Ledger>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let number = request.uri().path().rsplit('/').next().and_then(|number| number.parse().ok());
    let Some(number) = number else {
        let mut lost = Response::new(Full::default());
        *lost.status_mut() = StatusCode::NOT_FOUND;
        return Ok(lost);
    };
    ledger.borrow_mut().arrive(number);
    sleep(chance::up_to(if chance::below(10) == 0 { SLOW } else { QUICK })).await;
    Ok(Response::new(Full::new(echo(request.method(), number).into())))
}
