//! `reachback register`: registers an agent with a code that somebody types, or that comes from a pipe.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    path::PathBuf,
};

use agent::register::{Code, RegisterError, Registered, awaits_registration, register};

use crate::{
    exit::Exit,
    print::{print, say},
    role::Role,
};

/// Longest line that is read in search of a code, in bytes.
const LINE_BYTES: u64 = 256;

pub(crate) async fn run(config: PathBuf) -> Result<(), Exit> {
    let refused = |error| match error {
        RegisterError::Invalid(invalid) => Role::Agent.refuses(&config, invalid),
        error => Exit::failed(error),
    };
    awaits_registration(&config).map_err(refused)?;
    let code = tokio::task::spawn_blocking(code).await.map_err(Exit::failed)??;
    let Registered { gateways, token_file, .. } = register(&config, &code).await.map_err(refused)?;
    for (gateway, name) in gateways {
        print(&format!("registered as {name} at {gateway}\n"))?;
    }
    print(&format!("the token is in {}\n", token_file.display()))
}

/// The first line of standard input. Not an argument: everybody on the machine sees those.
fn code() -> Result<Code, Exit> {
    if io::stdin().is_terminal() {
        say("Code: ");
    }
    let mut line = String::new();
    io::stdin().lock().take(LINE_BYTES).read_line(&mut line).map_err(Exit::failed)?;
    Code::parse(&line).map_err(Exit::usage)
}
