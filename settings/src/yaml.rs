//! From YAML to raw structs whose leaves know their places; what the reader refuses is said in our words.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location, MessageFormatter as _, Options, UserMessageFormatter};

use crate::{
    report::{Fault, Findings, Invalid, did_you_mean, listed},
    shapes::{Entries, place},
    source::{Place, Source},
};

/// Most nodes that aliases may repeat: enough for any list shared between services, too few for a bomb.
const REPEATED_NODES: usize = 100_000;

/// Most nodes of a configuration: values, keys, lists and mappings.
const NODES: usize = 250_000;

/// Reads the one document of a file.
///
/// # Errors
/// [`Invalid`] with the first thing that is not YAML or does not fit the keys of `T`.
pub fn read<T: DeserializeOwned>(source: &Source) -> Result<T, Invalid> {
    read_within(source, NODES)
}

/// Reads a document of at most so many nodes. JSON can be read so as well: it is YAML.
///
/// # Errors
/// As [`read`].
pub fn read_within<T: DeserializeOwned>(source: &Source, nodes: usize) -> Result<T, Invalid> {
    let read: Result<Option<T>, Error> = serde_saphyr::from_str_with_options(source.text(), options(nodes));
    match read {
        Ok(Some(raw)) => Ok(raw),
        Ok(None) => Err(empty(source)),
        Err(error) => Err(refused(source, &error)),
    }
}

/// The keys of a file's outermost mapping, to tell what it configures.
///
/// # Errors
/// [`Invalid`] if it is not YAML or not a mapping.
pub fn keys(source: &Source) -> Result<Vec<String>, Invalid> {
    let entries: Entries<serde::de::IgnoredAny> = read(source)?;
    Ok(entries.0.into_iter().map(|(key, _)| key.value).collect())
}

fn options(nodes: usize) -> Options {
    serde_saphyr::options! {
        // Beginnings and ends of mappings and lists are events as well.
        budget: serde_saphyr::budget! { max_nodes: nodes, max_events: nodes.saturating_mul(2) },
        with_snippet: false,
        reject_unsupported_tags: true,
        // A rule must read as it is judged: nothing hides in base64.
        ignore_binary_tag_for_string: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED_NODES },
    }
}

fn empty(source: &Source) -> Invalid {
    Findings::new(source).fail(None, Fault::new("the file is empty", "write the configuration into it"))
}

/// The reader's error in our words.
fn refused(source: &Source, error: &Error) -> Invalid {
    let error = innermost(error);
    let place = error.location().filter(|location| *location != Location::UNKNOWN).map(place);
    let found = Findings::new(source);
    if source.text().trim().is_empty() {
        return empty(source);
    }
    found.fail(place.map(|place| single_line(source, place)), explain(error))
}

fn innermost(error: &Error) -> &Error {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => innermost(error),
        error => error,
    }
}

/// A caret below a mapping of many lines would say nothing; it points at the start.
fn single_line(source: &Source, place: Place) -> Place {
    let left = source.line(place).chars().count().saturating_sub(place.column - place.column.min(1));
    Place { width: if place.width > left { 1 } else { place.width }, ..place }
}

fn explain(error: &Error) -> Fault {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        Error::DuplicateMappingKey { key, .. } => Fault::new(
            format!(
                "the key {} stands here a second time",
                key.as_ref().map_or(String::new(), |key| format!("`{key}`"))
            ),
            "keep one of the two",
        ),
        Error::Unexpected { expected, .. } => unexpected(expected),
        Error::SerdeInvalidType { expected, .. } => unexpected(expected),
        Error::NullIntoString { .. } => Fault::new("there is no value here", "write one, or remove the key"),
        Error::MultipleDocuments { .. } => {
            Fault::new("a second document begins here", "keep one configuration in one file")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => Fault::new(
            "the file is long, nested or repeated beyond reason",
            "write it without so many values, levels or aliases",
        ),
        Error::UnknownAnchor { .. } => Fault::new(
            "`*` begins an alias here, and no `&` names its target",
            "put the value into quotes if it is meant literally, as in \"*.acme\"",
        ),
        other => not_yaml(&UserMessageFormatter.format_message(other)),
    }
}

fn not_yaml(why: &str) -> Fault {
    let remedy = if why.contains("mapping values are not allowed") {
        "check the indentation, or put a text that holds `: ` into quotes"
    } else if why.contains("found a tab") {
        "indent with spaces: YAML takes no tabs"
    } else if why.contains("anchor or alias") {
        "put a text that begins with `*` or `&` into quotes, as in \"*.acme\""
    } else if why.contains("flow") {
        "put a text that holds `{`, `}`, `[`, `]` or `,` into quotes, as in \"GET /orders/{id}\"; check the brackets"
    } else {
        "check quotes, brackets and indentation here and on the line above"
    };
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Fault::new(format!("this is not valid YAML: {why}"), remedy)
}

fn unknown_key(key: &str, known: &[&'static str]) -> Fault {
    let guess = did_you_mean(key, known).map(|known| format!("did you mean `{known}`? ")).unwrap_or_default();
    let remedy = format!("{guess}the keys possible here are {}", listed(known).replace(" or ", " and "));
    // Whoever writes `token: …` has written a secret behind it.
    Fault::new(format!("unknown key `{key}`"), remedy).hide_rest()
}

fn unexpected(expected: &str) -> Fault {
    let (what, remedy) = if expected.contains("sequence") {
        ("a list is needed here", "write [ one, two ], or one `- item` a line")
    } else if expected.contains("mapping") || expected.contains("struct") || expected.contains("map") {
        ("keys and values are needed here", "write { key: value }, or one `key: value` a line, indented")
    } else {
        ("a single value is needed here, not a list or keys", "write one word, number or quoted text")
    };
    Fault::new(what, remedy)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde::Deserialize;

    use super::*;
    use crate::source::{At, Text};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        one: Option<Text>,
        #[serde(default)]
        list: Vec<At<Inner>>,
        #[serde(default)]
        map: Entries<At<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        leaf: Option<Text>,
        #[serde(default)]
        words: Vec<Text>,
    }

    fn source(text: &str) -> Source {
        Source::file("f.yaml", text, Path::new(""))
    }

    #[test]
    fn every_leaf_knows_its_place() {
        let text =
            "one: 017\nlist:\n  - leaf: 'a b'\n  - { leaf: x, words: [ p, \"q\" ] }\nmap:\n  key.k:\n    leaf: yes\n";
        let outer: Outer = read(&source(text)).unwrap();
        let check = |text: &Text, value: &str, line, column, width| {
            assert_eq!((text.value.as_str(), text.place), (value, Place { line, column, width }));
        };
        check(outer.one.as_ref().unwrap(), "017", 1, 6, 3);
        check(outer.list[0].value.leaf.as_ref().unwrap(), "a b", 3, 11, 5);
        check(outer.list[1].value.leaf.as_ref().unwrap(), "x", 4, 13, 1);
        check(&outer.list[1].value.words[1], "q", 4, 28, 3);
        assert_eq!((outer.list[1].place.line, outer.list[1].place.column), (4, 5));
        let (key, inner) = &outer.map.0[0];
        check(key, "key.k", 6, 3, 5);
        check(inner.value.leaf.as_ref().unwrap(), "yes", 7, 11, 3);
        assert_eq!(keys(&source(text)).unwrap(), ["one", "list", "map"]);
    }

    #[test]
    fn refusals_are_in_our_words() {
        let check = |text: &str, fragments: &[&str]| {
            let report = read::<Outer>(&source(text)).unwrap_err().to_string();
            for fragment in fragments {
                assert!(report.contains(fragment), "{text:?}\nlacks {fragment:?}:\n{report}");
            }
        };
        check("", &["the file is empty"]);
        check("# only a comment\n", &["the file is empty"]);
        check("one: a\nlits: []\n", &["f.yaml:2:1", "unknown key `lits`", "did you mean `list`?", "^^^^"]);
        check("list:\n  - leef: a\n", &["f.yaml:2:5", "unknown key `leef`", "`leaf` and `words`"]);
        check("one: a\none: b\n", &["f.yaml:2:1", "`one` stands here a second time"]);
        check("map: { a: {}, a: {} }\n", &["f.yaml:1:15", "`a` stands here a second time"]);
        check("list: 5\n", &["f.yaml:1:7", "a list is needed here"]);
        check("map: 5\n", &["f.yaml:1:6", "keys and values are needed"]);
        check("list: [ 5 ]\n", &["f.yaml:1:9", "keys and values are needed"]);
        check("one: [ 5 ]\n", &["f.yaml:1:6", "a single value is needed"]);
        check("- 5\n", &["f.yaml:1:1", "keys and values are needed"]);
        check("just words\n", &["f.yaml:1:1", "keys and values are needed"]);
        check("list: [ { words: [ ~ ] } ]\n", &["f.yaml:1:20", "there is no value here"]);
        check("list: [ { words: [ *.acme ] } ]\n", &["f.yaml:1:20", "put the value into quotes"]);
        check("list: [ { words: [*] } ]\n", &["f.yaml:1:", "begins with `*`"]);
        check("one: a\n\tlist: []\n", &["f.yaml:1:", "no tabs"]);
        check("one: 'a\n", &["f.yaml:", "this is not valid YAML"]);
        check("list: [ a\n", &["f.yaml:", "this is not valid YAML"]);
        check("one: a\n two: b\n", &["f.yaml:2:", "this is not valid YAML"]);
        check("one:\ta: b\n", &["f.yaml:1:", "this is not valid YAML"]);
        check("one: a\n---\none: b\n", &["f.yaml:", "second document"]);
        check("one: !include /etc/passwd\n", &["f.yaml:1:"]);
    }

    #[test]
    fn nothing_hides_in_base64() {
        let outer: Outer = read(&source("one: !!binary aGVsbG8=\n")).unwrap();
        assert_eq!(outer.one.unwrap().value, "aGVsbG8=");
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = "x0: &x0 { leaf: a }\n".replace("x0: ", "map:\n  x0: ");
        for level in 1..30 {
            let twice = format!("*x{}", level - 1);
            text.push_str(&format!("  x{level}: &x{level} [ {twice}, {twice} ]\n"));
        }
        let error = read::<Entries<Entries<serde::de::IgnoredAny>>>(&source(&text)).unwrap_err();
        assert!(error.to_string().contains("beyond reason"), "{error}");
    }

    #[test]
    fn a_secret_behind_an_unknown_key_is_not_shown() {
        let report = read::<Outer>(&source("token: hunter2hunter2\n")).unwrap_err().to_string();
        assert!(report.contains("token: …") && !report.contains("hunter2"), "{report}");
    }
}
