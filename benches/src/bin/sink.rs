//! An upstream for what nginx does not do well: it reads an upload to its end and keeps nothing, and it can leave a
//! request waiting for ever.
//!
//! `PUT /sink` answers the number of bytes read, `GET /hang` never answers, `GET /hanging` says how many such wait.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Swallows uploads and holds requests.
#[derive(Parser)]
struct Args {
    /// Where to listen, such as 127.0.0.1:3001
    #[arg(long)]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await?;
    let hanging = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, Arc::clone(&hanging)));
    }
}

async fn serve(stream: TcpStream, hanging: Arc<AtomicUsize>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| answer(request, Arc::clone(&hanging)));
    // A client that hangs up in the middle is the ordinary end of a measurement, not an error.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, hanging: Arc<AtomicUsize>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match request.uri().path() {
        "/hang" => {
            let _one = Hanging::new(&hanging);
            std::future::pending().await
        }
        "/hanging" => hanging.load(Ordering::Relaxed).to_string(),
        _ => swallow(request.into_body()).await.to_string(),
    };
    Ok(Response::new(Full::from(text)))
}

async fn swallow(mut body: Incoming) -> u64 {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    bytes
}

/// One request that waits; dropped when its client is gone.
struct Hanging<'a>(&'a AtomicUsize);

impl<'a> Hanging<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
