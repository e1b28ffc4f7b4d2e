//! The demo: gateway, agent and a small REST server in one process.

use crate::exit::Exit;

pub(crate) async fn run() -> Result<(), Exit> {
    Err(Exit::failed("the demo is not built yet"))
}
