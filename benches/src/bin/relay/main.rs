//! A TCP relay that makes a long or a narrow link out of loopback, for kernels without netem.
//!
//! Every connection has two directions, and every direction two threads: one reads, waits for its turn at the shared
//! rate, and puts the bytes on a delay line; the other takes them off when they are due and writes them. Throughput is
//! therefore bounded by the rate and by what the delay line holds, never by one wait for each chunk.

mod line;
mod pace;
mod units;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use socket2::{Domain, Socket, Type};

use line::DelayLine;
use pace::Pace;

/// What a router's queue holds, about: the socket buffers when a rate is set. Without a rate the kernel's own
/// auto-tuning stays on, since then the relay must not be the bottleneck.
const ROUTER_QUEUE_BYTES: usize = 256 * 1024;

/// What the delay line holds without a rate: 25 ms at 2.6 GB/s, more than loopback carries through a relay.
const UNRATED_LINE_BYTES: usize = 64 * 1024 * 1024;

/// Read at once with a rate: under a millisecond of 20 MB/s, so that connections take turns finely.
const RATED_CHUNK_BYTES: usize = 16 * 1024;

/// Read at once without a rate.
const UNRATED_CHUNK_BYTES: usize = 128 * 1024;

/// Relays TCP with a delay and a rate.
#[derive(Clone, Parser)]
struct Args {
    /// Where to listen, such as 127.0.0.1:7300
    #[arg(long)]
    listen: SocketAddr,
    /// Where to connect for each connection accepted
    #[arg(long)]
    to: SocketAddr,
    /// How long each byte travels, one way, such as 25ms
    #[arg(long, value_parser = units::delay, default_value = "0ms")]
    delay: Duration,
    /// Bytes a second in each direction, all connections together, such as 20MB/s; unlimited by default
    #[arg(long, value_parser = units::rate)]
    rate: Option<f64>,
}

/// What all connections share in one direction.
#[derive(Clone)]
struct Lane {
    pace: Option<Arc<Pace>>,
    delay: Duration,
    line_bytes: usize,
    chunk_bytes: usize,
}

impl Lane {
    fn new(args: &Args) -> Self {
        let in_flight = args.rate.map(|rate| rate * args.delay.as_secs_f64());
        Self {
            pace: args.rate.map(|rate| Arc::new(Pace::new(rate))),
            delay: args.delay,
            line_bytes: in_flight.map_or(UNRATED_LINE_BYTES, |bytes| bytes as usize + ROUTER_QUEUE_BYTES),
            chunk_bytes: if args.rate.is_some() { RATED_CHUNK_BYTES } else { UNRATED_CHUNK_BYTES },
        }
    }
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let (there, back) = (Lane::new(&args), Lane::new(&args));
    let listener = listen(&args)?;
    loop {
        let (near, _) = listener.accept()?;
        let (args, there, back) = (args.clone(), there.clone(), back.clone());
        thread::spawn(move || {
            let far = match connect(&args) {
                Ok(far) => far,
                Err(error) => return eprintln!("relay: cannot connect to {}: {error}", args.to),
            };
            if let Err(error) = join(&near, &far, there, back) {
                eprintln!("relay: {error}");
            }
        });
    }
}

fn listen(args: &Args) -> io::Result<TcpListener> {
    let socket = socket(args.listen, args.rate.is_some())?;
    socket.set_reuse_address(true)?;
    socket.bind(&args.listen.into())?;
    socket.listen(128)?;
    Ok(socket.into())
}

fn connect(args: &Args) -> io::Result<TcpStream> {
    let socket = socket(args.to, args.rate.is_some())?;
    socket.connect(&args.to.into())?;
    Ok(socket.into())
}

/// Buffers are set before the handshake: it fixes the window scale, and accepted sockets inherit the listener's.
fn socket(address: SocketAddr, rated: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if rated {
        socket.set_recv_buffer_size(ROUTER_QUEUE_BYTES)?;
        socket.set_send_buffer_size(ROUTER_QUEUE_BYTES)?;
    }
    Ok(socket)
}

fn join(near: &TcpStream, far: &TcpStream, there: Lane, back: Lane) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    carry(near.try_clone()?, far.try_clone()?, there);
    carry(far.try_clone()?, near.try_clone()?, back);
    Ok(())
}

fn carry(from: TcpStream, to: TcpStream, lane: Lane) {
    let line = Arc::new(DelayLine::new(lane.line_bytes));
    let other_end = Arc::clone(&line);
    thread::spawn(move || {
        fill(&from, &line, &lane);
        line.close();
    });
    thread::spawn(move || {
        drain(&to, &other_end);
        other_end.close();
    });
}

/// Reads until the sender has finished or the receiver has gone.
fn fill(mut from: &TcpStream, line: &DelayLine, lane: &Lane) {
    let mut buffer = vec![0; lane.chunk_bytes];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if let Some(pace) = &lane.pace {
            sleep_until(pace.reserve(read, Instant::now()));
        }
        if !line.push(Instant::now() + lane.delay, &buffer[..read]) {
            break;
        }
    }
}

/// Writes until the line is closed and empty, then passes the end on.
fn drain(mut to: &TcpStream, line: &DelayLine) {
    while let Some((due, chunk)) = line.pop() {
        sleep_until(due);
        if to.write_all(&chunk).is_err() {
            // The receiver has gone: wake our reader's peer too, so that the other direction ends at once.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn sleep_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}
