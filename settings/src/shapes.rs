//! The shapes that a raw configuration is made of, beside structs and lists: values that know their places, mappings
//! with keys of the user's own, and what may be one thing or another.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_saphyr::{Location, Spanned};

use crate::source::{At, Place, Source, Text};

/// A mapping whose keys are the user's own, in the order of the file.
#[derive(Clone, Debug)]
pub struct Entries<T>(pub Vec<(Text, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { value, place: place(referenced) })
    }
}

/// Keys and values, and not the list of its values that serde would take for a struct as well.
#[derive(Clone, Debug)]
pub struct Keys<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keys<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mapping<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Mapping<T> {
            type Value = Keys<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Keys)
            }
        }

        deserializer.deserialize_map(Mapping(PhantomData))
    }
}

/// A scalar where there may be a list or a mapping instead.
#[derive(Clone, Debug)]
pub enum TextOr<T> {
    /// A text.
    Text(Text),
    /// What YAML takes for a number, a truth value or nothing. `written` is where it stands, `place` where it is used:
    /// at an alias they differ.
    Plain {
        /// Where it is used.
        place: Place,
        /// Where it stands.
        written: Place,
    },
    /// The other.
    Other(At<T>),
}

impl<T> TextOr<T> {
    /// The scalar as it was written, if it is one.
    #[must_use]
    pub fn text(&self, source: &Source) -> Option<Text> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Plain { place, written } => {
                let line = source.line(*written).chars();
                Some(At { value: line.skip(written.column - 1).take(written.width).collect(), place: *place })
            }
            Self::Other(_) => None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Text(text) => text.place,
            Self::Plain { place, .. } => *place,
            Self::Other(other) => other.place,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::<Node<T>>::deserialize(deserializer)?;
        let at = place(referenced);
        Ok(match value {
            Node::Text(value) => Self::Text(At { value, place: at }),
            Node::Plain => Self::Plain { place: at, written: place(defined) },
            Node::Other(value) => Self::Other(At { value, place: at }),
        })
    }
}

/// What YAML makes of a node before we know what we want.
enum Node<T> {
    Text(String),
    Plain,
    Other(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Node<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Node<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a list or a mapping")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Node::Plain)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Node::Plain)
            }

            fn visit_i128<E>(self, _: i128) -> Result<Self::Value, E> {
                Ok(Node::Plain)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Node::Plain)
            }

            fn visit_u128<E>(self, _: u128) -> Result<Self::Value, E> {
                Ok(Node::Plain)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Node::Plain)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Node::Plain)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                T::deserialize(SeqAccessDeserializer::new(list)).map(Node::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Node::Other)
            }
        }

        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// A place as the reader gives it.
pub(crate) fn place(location: Location) -> Place {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let span = location.span();
    let width = if span == serde_saphyr::Span::UNKNOWN { 1 } else { size(span.len()).max(1) };
    Place { line: size(location.line()), column: size(location.column()), width }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::yaml::read;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        one: Option<Text>,
        any: Vec<TextOr<Keys<Inner>>>,
        words: Option<TextOr<Vec<Text>>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        leaf: Option<Text>,
    }

    #[test]
    fn a_scalar_or_something_else() {
        let text = "one: &n 007\nany:\n  - plain\n  - 1.10\n  - true\n  - ~\n  - *n\n  - leaf: x\n  - 'quo''ted'\n";
        let source = Source::file("f.yaml", text, Path::new(""));
        let outer: Outer = read(&source).unwrap();
        assert_eq!(outer.one.as_ref().unwrap().value, "007");
        assert!(outer.words.is_none());
        let texts: Vec<_> = outer.any.iter().map(|any| any.text(&source).map(|text| text.value)).collect();
        let expected = [Some("plain"), Some("1.10"), Some("true"), Some("~"), Some("007"), None, Some("quo'ted")];
        assert_eq!(texts, expected.map(|text| text.map(str::to_owned)));
        assert_eq!(outer.any[4].place(), Place { line: 7, column: 5, width: 2 });
        let TextOr::Other(At { value: Keys(Inner { leaf: Some(leaf), .. }), place }) = &outer.any[5] else {
            panic!("keys and values: {:?}", outer.any[5])
        };
        assert_eq!((place.line, place.column, leaf.place), (8, 5, Place { line: 8, column: 11, width: 1 }));

        let check = |text: &str, fragments: &[&str]| {
            let report = read::<Outer>(&Source::file("f.yaml", text, Path::new(""))).unwrap_err().to_string();
            for fragment in fragments {
                assert!(report.contains(fragment), "{text:?}\nlacks {fragment:?}:\n{report}");
            }
        };
        check("any:\n  - leef: x\n", &["f.yaml:2:5", "unknown key `leef`", "^^^^"]);
        check("any:\n  - [ a ]\n", &["f.yaml:2:5", "keys and values are needed here"]);
        check("words: { a: b }\n", &["f.yaml:1:8", "a list is needed here"]);
        check("any:\n  - leaf: [ x ]\n", &["f.yaml:2:11", "a single value is needed"]);
    }
}
