//! Whose configuration a file is: seen from its keys, so that a command which wants the other one can say so.

use std::{fmt, path::Path};

use settings::{Invalid, Source, report::did_you_mean};

use crate::exit::Exit;

/// Whose configuration a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Gateway,
    Agent,
}

impl Role {
    /// `None`: its keys do not tell.
    ///
    /// # Errors
    /// [`Invalid`] if they cannot be read.
    pub(crate) fn of(source: &Source) -> Result<Option<Self>, Invalid> {
        settings::yaml::keys(source).map(|keys| seen_in(&keys))
    }

    /// What to say of a file that cannot be used as this role's: why, or that it is the other's.
    pub(crate) fn refuses(self, path: &Path, why: Invalid) -> Exit {
        match Source::read(path).and_then(|source| Self::of(&source)) {
            Ok(Some(role)) if role != self => {
                let file = path.display();
                Exit::usage(format_args!(
                    "{file} is {role} configuration, and {self} is wanted here\n = {}",
                    role.start(&file)
                ))
            }
            _ => why.into(),
        }
    }

    /// What is wrong with a file that was taken for this role's, and why it was, if it has keys of the other's as well.
    pub(crate) fn taken_for(self, source: &Source, why: Invalid) -> Exit {
        let keys = settings::yaml::keys(source).unwrap_or_default();
        let (gateways, agents) =
            (of_its_own(&keys, gateway::config::KEYS_OF_ITS_OWN), of_its_own(&keys, agent::config::KEYS_OF_ITS_OWN));
        let (own, other, whose) = match self {
            Self::Gateway => (gateways, agents, Self::Agent),
            Self::Agent => (agents, gateways, Self::Gateway),
        };
        match Exit::from(why) {
            Exit::Usage(report) if !own.is_empty() && !other.is_empty() => Exit::Usage(format!(
                "{report}\n\n{} was taken for {self} configuration because of {own}\n = {whose} has {other}: \
                 give each side a file of its own",
                source.name()
            )),
            exit => exit,
        }
    }

    fn start(self, file: impl fmt::Display) -> String {
        let command = if self == Self::Gateway { "gateway" } else { "agent" };
        format!("name the other file, or start this one: reachback {command} --config {file}")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Gateway { "a gateway's" } else { "an agent's" })
    }
}

/// Keys that both sides have. They tell nothing, not even as another key misspelt.
const OF_BOTH: &[&str] = &["name", "admin", "health", "services", "limits", "drain_grace"];

/// Those of the keys that are a role's own, for a sentence.
fn of_its_own(keys: &[String], own: &[&str]) -> String {
    let keys = keys.iter().filter(|key| own.contains(&key.as_str()));
    keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

/// The role whose own keys a file has more of; a misspelt key counts, but less than a correct one.
fn seen_in(keys: &[String]) -> Option<Role> {
    let score = |own: &[&str]| -> usize {
        let key = |key: &String| match did_you_mean(key, own) {
            Some(own) if own == key => 10,
            Some(_) => 1,
            None => 0,
        };
        keys.iter().filter(|key| !OF_BOTH.contains(&key.as_str())).map(key).sum()
    };
    let (gateway, agent) = (score(gateway::config::KEYS_OF_ITS_OWN), score(agent::config::KEYS_OF_ITS_OWN));
    match gateway.cmp(&agent) {
        std::cmp::Ordering::Greater => Some(Role::Gateway),
        std::cmp::Ordering::Less => Some(Role::Agent),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use settings::scratch::Scratch;

    use super::*;

    #[test]
    fn the_role_is_seen_from_the_keys() {
        let check = |keys: &[&str], expected| {
            let owned: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(seen_in(&owned), expected, "{keys:?}");
        };
        check(&["listen", "facades"], Some(Role::Gateway));
        check(&["name", "gateways", "services"], Some(Role::Agent));
        check(&["facade", "admin"], Some(Role::Gateway));
        check(&["gateway"], Some(Role::Agent));
        check(&["name", "admin", "limits"], None);
        check(&["unrelated"], None);
        check(&[], None);
        check(&["listen", "services"], Some(Role::Gateway));
        check(&["services"], None);
        check(&["listen", "gateways"], None);
    }

    #[test]
    fn the_other_sides_file_is_called_so() {
        let folder = Scratch::new();
        folder.write("gateway.yaml", "listen: 127.0.0.1:0\nfacades: []\n");
        folder.write("agent.yaml", "gateways: [ ws://127.0.0.1:1 ]\nservice: {}\n");
        let check = |role: Role, file: &str, expected: &str| {
            let path = folder.file(file);
            let why = match role {
                Role::Gateway => gateway::config::Config::load(&path).unwrap_err(),
                Role::Agent => agent::config::load_services(&path).unwrap_err(),
            };
            let Exit::Usage(said) = role.refuses(&path, why) else { panic!("the file is wrong") };
            assert!(said.contains(expected), "{said}");
        };
        check(Role::Agent, "gateway.yaml", "is a gateway's configuration, and an agent's is wanted here\n = ");
        check(Role::Agent, "gateway.yaml", "start this one: reachback gateway --config /");
        check(Role::Gateway, "agent.yaml", "start this one: reachback agent --config /");
        check(Role::Agent, "agent.yaml", "unknown key `service`");
        check(Role::Gateway, "gateway.yaml", "facade");
        check(Role::Agent, "none.yaml", "cannot be read");
    }
}
