//! Documentation that keeps up: with the failure codes, the configuration's keys, the metrics, and itself.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use proto::wire::FailureCode;

use super::{Source, files, read, top};

#[test]
fn every_code_has_its_section() {
    let page = read("docs/errors.md");
    let readme = read("README.md");
    let table = read("gateway/src/failure.rs");
    let mut wrong = String::new();
    for code in FailureCode::all() {
        let name = code.as_str();
        let section = page.split("\n## ").find(|section| section.lines().next() == Some(&format!("`{name}`")));
        // The row of the gateway's own test: check(FailureCode::Denied, 403, "http_request_denied").
        let row = table.split_once(&format!("check(FailureCode::{code:?}, ")).expect("the gateway tests every code").1;
        let (status, row) = row.split_once(", \"").expect("a status stands before the type");
        let kind = row.split('"').next().unwrap_or_default();
        match section {
            None => writeln!(wrong, "docs/errors.md has no section `{name}`"),
            Some(section) if !section.contains(status) || !section.contains(kind) => {
                writeln!(wrong, "docs/errors.md: `{name}` is {status} {kind}, and its section does not say so")
            }
            Some(_) if !readme.contains(&format!("[`{name}`](docs/errors.md#{name})")) => {
                writeln!(wrong, "README.md does not link to the section of `{name}`")
            }
            Some(_) => Ok(()),
        }
        .expect("writing to a String cannot fail");
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_key_is_documented() {
    let page = read("docs/configuration.md");
    let raw = ["gateway/src/config/raw.rs", "agent/src/config/raw.rs", "settings/src/limits.rs", "settings/src/net.rs"];
    let mut wrong = String::new();
    for path in raw {
        let code = Source::new(path.to_owned()).code;
        let structs = code.split("struct Raw").skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
        let fields = structs.flat_map(|fields| fields.lines().filter_map(|line| line.split_once(": ")));
        for (field, _) in fields {
            let key = field.trim().rsplit(' ').next().unwrap_or_default();
            if !page.contains(&format!("`{key}`")) {
                let _ = writeln!(wrong, "docs/configuration.md does not explain `{key}` of {path}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The recipe for two hosts and its units: who may write where, and who may read what.
#[test]
fn the_units_fit_the_recipe() {
    let recipe = read("deploy/README.md");
    let unit = |side: &str| read(&format!("deploy/systemd/reachback-{side}.service"));
    let value = |unit: &str, key: &str| unit.lines().find_map(|line| Some(line.strip_prefix(key)?.to_owned()));
    for side in ["agent", "gateway"] {
        let state = value(&unit(side), "StateDirectory=").expect("a folder that survives");
        assert!(recipe.contains(&format!("/var/lib/{state}/")), "{side}");
        assert_eq!(value(&unit(side), "StateDirectoryMode=").as_deref(), Some("0700"), "{side}");
    }
    let facade = value(&unit("gateway"), "Group=").expect("a group for sockets");
    assert!(recipe.contains(&format!("groupadd --system {facade}\n")), "{facade}");
    assert!(recipe.contains("-g reachback -m 0640") && facade != "reachback", "applications would read keys");
    assert_eq!(value(&unit("gateway"), "SupplementaryGroups=").as_deref(), Some("reachback"), "it reads them");
}

#[test]
fn every_metric_is_documented() {
    let page = read("docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let names = rows.flat_map(|names| names.split('`').skip(1).step_by(2));
    let documented: BTreeSet<_> = names.map(str::to_owned).collect();
    let of_ours = |word: &str| word.starts_with("reachback_") || word.starts_with("process_");
    let sources = ["metrics/src/sidecar.rs", "gateway/src/admin/metrics.rs", "agent/src/probes/metrics.rs"];
    let words = sources.map(read).join("\n");
    let written: BTreeSet<_> = words.split('"').filter(|word| of_ours(word)).map(str::to_owned).collect();
    assert!(written.len() > 40, "the metrics were not found: {written:?}");
    let difference: Vec<_> = written.symmetric_difference(&documented).collect();
    assert!(difference.is_empty(), "docs/operations.md and the code differ in {difference:?}");
    let alerts = page.split("\n## ").find(|section| section.starts_with("Alerts")).unwrap_or_default();
    let used = alerts.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| word.starts_with("reachback_"));
    let suffixes = |name: &str| written.contains(name) || written.contains(name.trim_end_matches("_bucket"));
    let unknown: Vec<_> = used.filter(|name| !suffixes(name)).collect();
    assert!(unknown.is_empty(), "the alerts speak of {unknown:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = String::new();
    for page in files().iter().filter(|path| path.ends_with(".md")) {
        for target in read(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            let folder = Path::new(page).parent().unwrap_or(Path::new(""));
            if !path.contains("://") && !top().join(folder).join(path).exists() {
                let _ = writeln!(wrong, "{page}: {target} leads nowhere");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
