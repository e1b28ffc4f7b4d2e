//! A TCP relay that makes faults: delay, rate, slices, black holes in one direction or both, resets and cuts.
//!
//! Each direction of a connection reads a slice, waits for what the fault of the moment asks for, and passes it on. So
//! a black hole loses nothing: what is under way comes out when it heals, as retransmitted packets would.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

/// What a router's queue holds, about: the socket buffers of a narrow relay, two seconds at 64 kbit/s.
const ROUTER_QUEUE_BYTES: u32 = 16 * 1024;

/// Read at once.
const SLICE_BYTES: usize = 64 * 1024;

/// What happens to all connections at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Nothing passes towards the gateway.
    pub(crate) hole_there: bool,
    /// Nothing passes towards the agent.
    pub(crate) hole_back: bool,
    /// Each slice waits so long.
    pub(crate) delay: Duration,
    /// Bytes a second in each direction of all connections together; 0: unlimited.
    pub(crate) rate: u64,
    /// Most bytes passed on at once; 0: as they come.
    pub(crate) slice: usize,
    /// The number of the reset that ended every connection before it.
    resets: u64,
    /// How that was done.
    abrupt: bool,
}

/// The relay; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    fault: watch::Sender<Fault>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A relay to an address. `narrow`: with the small buffers without which a low rate would be hidden by queues.
    pub(crate) async fn start(to: SocketAddr, narrow: bool) -> io::Result<Self> {
        let socket = socket(narrow)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(1024)?;
        let address = listener.local_addr()?;
        let (fault, watched) = watch::channel(Fault::default());
        let task = tokio::spawn(run(listener, to, narrow, watched));
        Ok(Self { address, fault, task })
    }

    /// From now on this.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Fault)) {
        self.fault.send_modify(change);
    }

    /// Ends every connection with a reset.
    pub(crate) fn reset(&self) {
        self.set(|fault| (fault.resets, fault.abrupt) = (fault.resets + 1, true));
    }

    /// Ends every connection as if both sides had closed it, wherever in a frame that is.
    pub(crate) fn cut(&self) {
        self.set(|fault| (fault.resets, fault.abrupt) = (fault.resets + 1, false));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

/// When the link of one direction is free again.
#[derive(Clone, Debug, Default)]
struct Pace(Arc<Mutex<Option<Instant>>>);

impl Pace {
    fn reserve(&self, bytes: usize, rate: u64) -> Instant {
        let now = Instant::now();
        let mut free = self.0.lock().expect("nothing panics while it holds the pace");
        let begin = free.map_or(now, |free| free.max(now));
        let end = begin + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *free = Some(end);
        end
    }
}

fn socket(narrow: bool) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    if narrow {
        // Before the handshake: it fixes the window scale, and accepted sockets inherit the listener's.
        socket.set_recv_buffer_size(ROUTER_QUEUE_BYTES)?;
        socket.set_send_buffer_size(ROUTER_QUEUE_BYTES)?;
    }
    Ok(socket)
}

async fn run(listener: TcpListener, to: SocketAddr, narrow: bool, fault: watch::Receiver<Fault>) {
    let paces = (Pace::default(), Pace::default());
    while let Ok((near, _)) = listener.accept().await {
        let (fault, paces) = (fault.clone(), paces.clone());
        tokio::spawn(async move {
            // A gateway that is not there refuses: whoever dialled sees his connection end.
            let Ok(socket) = socket(narrow) else { return };
            let Ok(far) = socket.connect(to).await else { return };
            join(near, far, fault, paces).await;
        });
    }
}

/// Carries both directions until either has ended in error, both have ended, or a reset comes.
async fn join(near: TcpStream, far: TcpStream, mut fault: watch::Receiver<Fault>, paces: (Pace, Pace)) {
    let (Ok(()), Ok(())) = (near.set_nodelay(true), far.set_nodelay(true)) else { return };
    let resets = fault.borrow_and_update().resets;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut there = Lane { from: near_read, to: far_write, fault: fault.clone(), pace: paces.0, is_there: true };
    let mut back = Lane { from: far_read, to: near_write, fault: fault.clone(), pace: paces.1, is_there: false };
    let carried = async { tokio::try_join!(there.carry(), back.carry()) };
    let was_reset = tokio::select! {
        _ = carried => false,
        fault = fault.wait_for(|fault| fault.resets != resets) => fault.is_ok_and(|fault| fault.abrupt),
    };
    if was_reset {
        for half in [&there.to, &back.to] {
            let _ = half.as_ref().set_zero_linger();
        }
    }
}

/// One direction of a connection.
struct Lane {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    fault: watch::Receiver<Fault>,
    pace: Pace,
    /// Towards the gateway.
    is_there: bool,
}

impl Lane {
    async fn carry(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; SLICE_BYTES];
        loop {
            let fault = self.through().await?;
            let slice = if fault.slice > 0 { fault.slice.min(SLICE_BYTES) } else { SLICE_BYTES };
            // A slow link is shared finely: an eighth of a second at most.
            let slice = if fault.rate > 0 { slice.min((fault.rate / 8).max(1) as usize) } else { slice };
            let read = self.from.read(&mut buffer[..slice]).await?;
            let fault = self.through().await?;
            if read == 0 {
                return self.to.shutdown().await;
            }
            if fault.rate > 0 {
                sleep_until(self.pace.reserve(read, fault.rate)).await;
            }
            if !fault.delay.is_zero() {
                sleep(fault.delay).await;
            }
            self.to.write_all(&buffer[..read]).await?;
        }
    }

    /// The fault of the moment, once it is no black hole.
    async fn through(&mut self) -> io::Result<Fault> {
        let is_there = self.is_there;
        let open = |fault: &Fault| if is_there { !fault.hole_there } else { !fault.hole_back };
        self.fault.wait_for(open).await.map(|fault| *fault).map_err(io::Error::other)
    }
}
