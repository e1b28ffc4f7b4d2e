//! What a life says of itself while it is lived, and that it ends with the first panic.

use std::{env, fmt};

use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

/// Set by whoever wants to see the logs of all machines.
pub(crate) const VARIABLE: &str = "REACHBACK_SIM_LOGS";

/// To be called first. A panic of any task ends the life: tokio would swallow it.
pub(crate) fn prepare() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        std::process::exit(101);
    }));
    if env::var_os(VARIABLE).is_some() {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt().with_env_filter(filter).with_timer(SimulatedTime).with_target(false).init();
    }
}

/// The time since the life began.
struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:10.3}", turmoil::sim_elapsed().unwrap_or_default().as_secs_f64())
    }
}
