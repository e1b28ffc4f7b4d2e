//! git over smart HTTP, with git's own server behind the site.

use std::{fs, path::Path};

use crate::{
    program::{self, script},
    world::World,
};

#[tokio::test]
async fn clones_fetches_and_pushes() {
    if program::find(&["git"], &["--version"], "git").is_none() {
        return;
    }
    let Some(world) = World::start().await else { return };
    let repositories = world.folder.path().join("repositories");
    let ended = world.compare("git", false, |base, home| {
        let _ = fs::remove_dir_all(repositories.join("gold.git"));
        let mut command = program::command(Path::new("/bin/sh"), home);
        command.arg("-e").arg(script("with_git.sh")).arg(base).arg(&repositories);
        command
    });
    let (code, said) = ended.await;
    assert_eq!((code, said.last().map(String::as_str)), (Some(0), Some("that is all")), "{said:#?}");
}
