//! SIGTERM and SIGINT: the first begins the drain, the second ends the process at once. SIGHUP: look again.

use std::{io, process, sync::Arc};

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
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let begun = shutdown.clone();
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
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

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
