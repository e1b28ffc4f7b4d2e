//! WebSockets: Node's ws at both ends, and a browser's.

use crate::{browser, program, world::World};

async fn world() -> Option<World> {
    program::find(&["node"], &["-e", "require('ws')"], "nodejs node-ws")?;
    World::with("sockets.mjs").await
}

#[tokio::test]
async fn node_ws() {
    let (Some(node), Some(world)) = (program::node(), world().await) else { return };
    let ended = world.compare("with_ws.mjs", false, |base, home| {
        let mut command = program::command(&node, home);
        command.arg(program::script("with_ws.mjs")).arg(base);
        command
    });
    let (code, said) = ended.await;
    assert_eq!((code, said.last().map(String::as_str)), (Some(0), Some("that is all")), "{said:#?}");
    assert_eq!(said.iter().filter(|line| *line == "in order 10000").count(), 2, "{said:#?}");
}

#[tokio::test]
async fn in_a_browser() {
    let (Some(browser), Some(world)) = (browser::find(), world().await) else { return };
    let page = |base: &str, home: &std::path::Path| browser::load(&browser, &format!("{base}/page/socket.html"), home);
    let (code, said) = world.compare("chromium", true, page).await;
    assert_eq!(code, Some(0), "{said:#?}");
    for done in [
        "/socket gold heard 1048576, closed 3001 enough true",
        "/socket/close/4001  heard 0, closed 4001 as told: 4001 true",
    ] {
        assert!(said.iter().any(|line| line.contains(&format!("<li>{done}</li>"))), "{done}: {said:#?}");
    }
}
