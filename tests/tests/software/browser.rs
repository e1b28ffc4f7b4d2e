//! A browser without a screen loads a page with all that belongs to it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{program, world::World};

/// The browser.
pub(crate) fn find() -> Option<PathBuf> {
    let names = ["chromium-headless-shell", "chromium", "google-chrome"];
    program::find(&names, &["--version"], "chromium-headless-shell")
}

/// Loads a page, and says what is in it then.
pub(crate) fn load(browser: &Path, page: &str, home: &Path) -> Command {
    // It has much to say about what is not there, with the time. On a busy machine it may crash before it asks for
    // anything, and is started once more then; if it had asked, it is seen to ask twice.
    let mut command = program::command("/bin/sh".as_ref(), home);
    command
        .args(["-c", "\"$0\" \"$@\" 2>/dev/null || [ $? -lt 128 ] && exit; exec \"$0\" \"$@\" 2>/dev/null"])
        .arg(browser);
    // Without a sandbox because containers lack what it is made of; the page is ours.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--log-level=3", "--disable-logging", "--dump-dom", "--user-data-dir=profile"]).arg(page);
    command
}

#[tokio::test]
async fn loads_a_page() {
    let Some(browser) = find() else { return };
    let Some(world) = World::start().await else { return };
    let page = |base: &str, home: &Path| load(&browser, &format!("{base}/page/index.html"), home);
    let (code, said) = world.compare("chromium", true, page).await;
    assert_eq!(code, Some(0), "{said:#?}");
    for done in ["styled", "drawn", "fetched", "heard 20 events", "sent", "cookie a=1", "aborted", "cut"] {
        assert!(said.iter().any(|line| line.contains(&format!("<li>{done}</li>"))), "{done}: {said:#?}");
    }
}
