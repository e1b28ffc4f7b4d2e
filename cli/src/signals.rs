//! SIGTERM and SIGINT: the first begins the drain, the second ends the process at once. SIGHUP: look again where there is
//! a file to look at; otherwise the terminal is gone, and the drain begins.

use std::{fs, io, process, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A token that the first signal cancels. From now on neither signal kills the process by itself.
///
/// # Errors
/// If the handlers cannot be installed.
pub(crate) fn shutdown() -> io::Result<CancellationToken> {
    ending(None)
}

/// The same for a process without a file, which SIGHUP ends as well. It counts once: whoever closes a terminal may send
/// it twice. Where it is ignored, as under `nohup`, it stays so.
///
/// # Errors
/// As [`shutdown`].
pub(crate) fn shutdown_or_hangup() -> io::Result<CancellationToken> {
    ending(if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) })
}

fn ending(mut hangup: Option<Signal>) -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let begun = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = next(&mut terminate, &mut interrupt) => {}
            Some(()) = async { hangup.as_mut()?.recv().await } => {}
        }
        begun.cancel();
        next(&mut terminate, &mut interrupt).await;
        warn!("second signal: ending at once");
        process::exit(1);
    });
    Ok(shutdown)
}

/// Notified at each SIGHUP. From now on it does not kill the process.
///
/// # Errors
/// If the handler cannot be installed.
pub(crate) fn hangup() -> io::Result<Arc<Notify>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let notify = Arc::new(Notify::new());
    let notified = notify.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            notify.notify_one();
        }
    });
    Ok(notified)
}

/// Whether the process was started with SIGHUP ignored (proc(5): `SigIgn`, whose lowest bit is the first signal's).
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
