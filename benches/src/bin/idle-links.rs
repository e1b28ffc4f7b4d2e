//! Holds many idle links to a gateway: raw WebSocket clients that say hello, answer heartbeats and nothing else.
//!
//! Prints `ready N` when every link has the gateway's hello, then holds them until its standard input ends.

use std::{
    error::Error,
    io::{self, Read},
    net::SocketAddr,
    time::Duration,
};

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use proto::wire::{self, AgentHello, Frame, Hello, Packet, ServiceName};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// The longest that one link may take until it has the gateway's hello.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Holds idle links to a gateway.
#[derive(Parser)]
struct Args {
    /// The gateway's tunnel address, such as 127.0.0.1:7100
    #[arg(long)]
    to: SocketAddr,
    /// How many links
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// The service that each link announces
    #[arg(long, default_value = "bench")]
    service: String,
    /// The path of the WebSocket endpoint
    #[arg(long, default_value = "/reachback/v1")]
    path: String,
}

type Link = WebSocketStream<TcpStream>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut links = JoinSet::new();
    for number in 0..args.count {
        let link = timeout(HANDSHAKE, dial(&args, number)).await??;
        links.spawn(hold(link));
    }
    println!("ready {}", args.count);
    let released = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        _ = released => Ok(()),
        ended = links.join_next() => Err(format!("a link ended early: {ended:?}").into()),
    }
}

async fn dial(args: &Args, number: usize) -> Result<Link, Box<dyn Error>> {
    let mut request = format!("ws://{}{}", args.to, args.path).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("reachback.v1"));
    let stream = TcpStream::connect(args.to).await?;
    stream.set_nodelay(true)?;
    let (mut link, _) = client_async(request, stream).await?;
    let Packet::Text(hello) = wire::encode(&hello(args, number)?) else { return Err("a hello is text".into()) };
    link.send(Message::text(hello)).await?;
    match link.next().await {
        Some(Ok(Message::Text(text))) => match wire::decode_text(&text)? {
            Frame::Hello(Hello::Gateway(_)) => Ok(link),
            other => Err(format!("the gateway said {other:?} in place of hello").into()),
        },
        other => Err(format!("the gateway said {other:?} in place of hello").into()),
    }
}

fn hello(args: &Args, number: usize) -> Result<Frame, Box<dyn Error>> {
    Ok(Frame::Hello(Hello::Agent(AgentHello {
        agent: format!("idle-{number}"),
        instance: format!("idle-{number}"),
        services: vec![ServiceName::new(&args.service)?],
        version: env!("CARGO_PKG_VERSION").to_owned(),
        window: 256 * 1024,
        streams: 256,
    })))
}

/// Reads, which is also what answers pings.
async fn hold(mut link: Link) -> String {
    loop {
        match link.next().await {
            Some(Ok(Message::Close(frame))) => return format!("closed: {frame:?}"),
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.to_string(),
            None => return "the end of the stream".to_owned(),
        }
    }
}
