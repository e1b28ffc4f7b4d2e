//! pip installs from an index that is the site.

use std::{fs, path::Path, process::Command};

use crate::{
    program::{self, run, script},
    world::World,
};

#[tokio::test]
async fn pip_installs() {
    let Some(python) = program::python("pip", "python3-pip") else { return };
    let Some(world) = World::start().await else { return };
    let index = world.folder.path().join("files/simple");
    let mut make = Command::new(&python);
    make.arg(script("make_index.py")).arg(&index);
    assert_eq!(run(make).await.code, Some(0));
    let pip = |base: &str, home: &Path, requirement: &str| {
        let mut command = program::command(&python, home);
        command.args([
            "-m",
            "pip",
            "--isolated",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "install",
            "--no-input",
        ]);
        command.args(["--root-user-action", "ignore", "--progress-bar", "off", "--no-compile", "--retries", "0"]);
        command.args(["--target", "installed", "--index-url", &format!("{base}/file/simple"), requirement]);
        command
    };
    let ended = world.compare("pip install", false, |base, home| pip(base, home, "gold==1.1")).await;
    assert_eq!(ended.0, Some(0), "{ended:?}");
    assert!(ended.1.iter().any(|line| line == "Successfully installed glitter-2.0 gold-1.1"), "{ended:?}");
    let ended = world.compare("pip install of nothing", false, |base, home| pip(base, home, "silver")).await;
    assert_eq!(ended.0, Some(1), "{ended:?}");
    fs::write(index.join("gold/gold-1.1-py3-none-any.whl"), "not what its hash says").unwrap();
    let ended = world.compare("pip install of another file", false, |base, home| pip(base, home, "gold==1.1")).await;
    assert_eq!(ended.0, Some(1), "{ended:?}");
}
