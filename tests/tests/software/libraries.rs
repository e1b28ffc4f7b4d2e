//! HTTP libraries of Python and Node, each put through its paces by a script of its own, which prints what it sees.

use std::path::PathBuf;

use crate::{program, world::World};

async fn check(interpreter: Option<PathBuf>, script: &str) {
    let Some(interpreter) = interpreter else { return };
    let Some(world) = World::start().await else { return };
    let ended = world.compare(script, true, |base, home| {
        let mut command = program::command(&interpreter, home);
        command.arg(program::script(script)).arg(base);
        command
    });
    let (code, said) = ended.await;
    assert_eq!(code, Some(0), "{script}: {said:#?}");
    assert_eq!(said.last().map(String::as_str), Some("that is all"), "{said:#?}");
}

#[tokio::test]
async fn python_requests() {
    check(program::python("requests", "python3-requests"), "with_requests.py").await;
}

#[tokio::test]
async fn python_httpx() {
    check(program::python("httpx", "python3-httpx"), "with_httpx.py").await;
}

#[tokio::test]
async fn node_fetch() {
    check(program::node(), "with_fetch.mjs").await;
}
