//! A browser without a screen loads a page with all that belongs to it.

use crate::{program, world::World};

#[tokio::test]
async fn loads_a_page() {
    let names = ["chromium-headless-shell", "chromium", "google-chrome"];
    let Some(browser) = program::find(&names, &["--version"], "chromium-headless-shell") else { return };
    let Some(world) = World::start().await else { return };
    let ended = world.compare("chromium", true, |base, home| {
        // It has much to say about what is not there, with the time.
        let mut command = program::command("/bin/sh".as_ref(), home);
        command.args(["-c", "exec \"$0\" \"$@\" 2>/dev/null"]).arg(&browser);
        // Without a sandbox because containers lack what it is made of; the page is ours.
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--log-level=3", "--disable-logging", "--dump-dom", "--user-data-dir=profile"]);
        command.arg(format!("{base}/page/index.html"));
        command
    });
    let (code, said) = ended.await;
    assert_eq!(code, Some(0), "{said:#?}");
    for done in ["styled", "drawn", "fetched", "heard 20 events", "sent", "cookie a=1", "aborted", "cut"] {
        assert!(said.iter().any(|line| line.contains(&format!("<li>{done}</li>"))), "{done}: {said:#?}");
    }
}
