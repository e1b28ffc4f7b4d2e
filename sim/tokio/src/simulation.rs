//! What a simulation can say of its network beyond turmoil, and learn from it. All of it is the thread's own.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

thread_local! {
    static NAMES: RefCell<BTreeMap<String, Vec<IpAddr>>> = RefCell::default();
    static DIALS: RefCell<Vec<Dial>> = RefCell::default();
}

/// A connection that somebody tried to make.
#[derive(Clone, Copy, Debug)]
pub struct Dial {
    /// When, since the simulation began.
    pub at: Duration,
    /// Where to.
    pub to: SocketAddr,
}

/// Gives a name these addresses, instead of those that it had. One without any is known no more.
pub fn set_name(name: &str, addresses: Vec<IpAddr>) {
    NAMES.with_borrow_mut(|names| names.insert(name.to_owned(), addresses));
}

/// Every dial so far, in order.
#[must_use]
pub fn dials() -> Vec<Dial> {
    DIALS.with_borrow(Clone::clone)
}

pub(crate) fn note_dial(to: SocketAddr) {
    let at = turmoil::sim_elapsed().unwrap_or_default();
    DIALS.with_borrow_mut(|dials| dials.push(Dial { at, to }));
}

/// The addresses of a name: those that were set, or that of turmoil's host.
pub(crate) fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    match NAMES.with_borrow(|names| names.get(name).cloned()) {
        Some(none) if none.is_empty() => Err(io::ErrorKind::NotFound.into()),
        Some(addresses) => Ok(addresses),
        None => at_once(turmoil::net::lookup_host((name, 0))).map(|found| found.map(|address| address.ip()).collect()),
    }
}

/// What turmoil offers as a future, because tokio does, and does at once.
pub(crate) fn at_once<T>(what: impl Future<Output = T>) -> T {
    match pin!(what).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("turmoil does it without waiting"),
    }
}
