//! The JSON shapes of heads and control frames.
//!
//! Decoding goes into one *flat* struct with borrowed strings: an internally tagged enum would buffer every field
//! first and costs more than twice the time. Encoding serialises the `HeaderMap` as it stands.
//! A byte of a target or header value travels as the code point of the same number, so that all 256 survive.

use std::{borrow::Cow, fmt, marker::PhantomData};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
    ser::SerializeSeq,
};

use super::{
    head::HeaderSize,
    limits::{MESSAGE_TEXT_BYTES, SERVICES},
};

/// A string that borrows from the message unless it holds an escape. (A plain `Cow` in a collection never borrows.)
#[derive(Debug)]
pub(super) struct Str<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct StrVisitor;
        impl<'de> Visitor<'de> for StrVisitor {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(StrVisitor)
    }
}

/// Bytes as a string of code points below 256.
pub(super) struct Latin1<'a>(pub(super) &'a [u8]);

impl Serialize for Latin1<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.is_ascii() {
            to.serialize_str(std::str::from_utf8(self.0).expect("ASCII is UTF-8"))
        } else {
            to.serialize_str(&self.0.iter().map(|&b| char::from(b)).collect::<String>())
        }
    }
}

/// A text for people as it may travel: cut to [`MESSAGE_TEXT_BYTES`], and without control characters. Whoever wrote it
/// may have quoted anything, and the peer would end the link over it.
pub(super) struct Prose<'a>(pub(super) &'a str);

impl Prose<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Prose<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut end = self.0.len().min(MESSAGE_TEXT_BYTES);
        while !self.0.is_char_boundary(end) {
            end -= 1;
        }
        let cut = &self.0[..end];
        if cut.contains(char::is_control) {
            // A control character takes one or two bytes: a space is never longer.
            to.serialize_str(&cut.replace(char::is_control, " "))
        } else {
            to.serialize_str(cut)
        }
    }
}

/// The bytes behind code points below 256, or `None` if one is larger.
pub(super) fn latin1_bytes(text: &str) -> Option<Bytes> {
    let mut bytes = BytesMut::with_capacity(text.len());
    extend_latin1(&mut bytes, text).then(|| bytes.freeze())
}

/// Appends the bytes behind code points below 256, or says that one is larger.
#[must_use]
fn extend_latin1(bytes: &mut BytesMut, text: &str) -> bool {
    if text.is_ascii() {
        bytes.extend_from_slice(text.as_bytes());
        return true;
    }
    text.chars().all(|c| u8::try_from(c).map(|byte| bytes.put_u8(byte)).is_ok())
}

/// Room made at once for the values of one head's headers: those of most fit.
const EXPECTED_BYTES: usize = 512;

/// Headers as a list of `[name, value]` pairs.
#[derive(Debug)]
pub(super) struct Headers(pub(super) HeaderMap);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of [name, value] pairs")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
                let mut headers = HeaderMap::new();
                // All values share one buffer: an allocation for each would cost more than the decoding.
                let mut values = BytesMut::with_capacity(EXPECTED_BYTES);
                let mut size = HeaderSize::default();
                while let Some((name, value)) = pairs.next_element::<(Str<'de>, Str<'de>)>()? {
                    if !extend_latin1(&mut values, &value.0) {
                        return Err(A::Error::custom("a header value holds a code point above 255"));
                    }
                    if !size.add(name.0.len(), values.len()) {
                        return Err(A::Error::custom("too many or too long headers"));
                    }
                    append(&mut headers, &name.0, values.split().freeze()).map_err(A::Error::custom)?;
                }
                Ok(Headers(headers))
            }
        }
        from.deserialize_seq(HeadersVisitor)
    }
}

fn append(headers: &mut HeaderMap, name: &str, value: Bytes) -> Result<(), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header name is not a token")?;
    let value = HeaderValue::from_maybe_shared(value).map_err(|_| "a header value holds a control byte")?;
    headers.append(name, value);
    Ok(())
}

/// Serialises headers as a list of pairs.
pub(super) struct HeaderPairs<'a>(pub(super) &'a HeaderMap);

impl Serialize for HeaderPairs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut pairs = to.serialize_seq(Some(self.0.len()))?;
        for (name, value) in self.0 {
            pairs.serialize_element(&(name.as_str(), Latin1(value.as_bytes())))?;
        }
        pairs.end()
    }
}

/// The announced service names, still unparsed, at most [`SERVICES`] of them.
#[derive(Debug)]
pub(super) struct Names<'a>(pub(super) Vec<Str<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of service names")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    if names.len() == SERVICES {
                        return Err(A::Error::custom("too many services"));
                    }
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        from.deserialize_seq(NamesVisitor)
    }
}

/// A JSON object, and not the array of its values that serde would take for one as well.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Every field of every frame. Serde rejects a key that comes twice and skips those it does not know, without
/// recursion, so that neither costs more than the message is long.
#[derive(Debug, Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    pub(super) id: Option<u32>,
    #[serde(borrow)]
    pub(super) service: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) method: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) target: Option<Str<'a>>,
    pub(super) headers: Option<Headers>,
    pub(super) end: Option<bool>,
    #[serde(borrow)]
    pub(super) request_id: Option<Str<'a>>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) upgrade: Option<bool>,
    pub(super) status: Option<u16>,
    #[serde(borrow)]
    pub(super) error: Option<Object<ErrorFields<'a>>>,
    pub(super) bytes: Option<u32>,
    #[serde(borrow)]
    pub(super) code: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) message: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) reason: Option<Str<'a>>,
    pub(super) last_id: Option<u32>,
    pub(super) retry_after_ms: Option<u64>,
    #[serde(borrow)]
    pub(super) agent: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) instance: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) services: Option<Names<'a>>,
    #[serde(borrow)]
    pub(super) version: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) gateway: Option<Str<'a>>,
    pub(super) window: Option<u32>,
    pub(super) streams: Option<u32>,
    pub(super) heartbeat_ms: Option<u64>,
    #[serde(borrow)]
    pub(super) credential: Option<Str<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorFields<'a> {
    #[serde(borrow)]
    pub(super) code: Str<'a>,
    #[serde(borrow)]
    pub(super) message: Str<'a>,
    pub(super) retry_safe: bool,
}

/// What is written: one shape a frame, so that the fields of each stand together.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Written<'a> {
    #[serde(rename = "hello")]
    AgentHello {
        agent: &'a str,
        instance: &'a str,
        services: Vec<&'a str>,
        version: &'a str,
        window: u32,
        streams: u32,
    },
    #[serde(rename = "hello")]
    GatewayHello {
        gateway: &'a str,
        window: u32,
        streams: u32,
        heartbeat_ms: u64,
    },
    Reject {
        code: &'a str,
        message: Prose<'a>,
        retry_after_ms: u64,
    },
    Request {
        id: u32,
        service: &'a str,
        method: &'a str,
        target: Latin1<'a>,
        headers: HeaderPairs<'a>,
        #[serde(skip_serializing_if = "is_false")]
        end: bool,
        request_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<u64>,
        #[serde(skip_serializing_if = "is_false")]
        upgrade: bool,
    },
    Response {
        id: u32,
        status: u16,
        headers: HeaderPairs<'a>,
        #[serde(skip_serializing_if = "is_false")]
        end: bool,
    },
    #[serde(rename = "response")]
    Failure {
        id: u32,
        error: WrittenError<'a>,
    },
    Interim {
        id: u32,
        status: u16,
        headers: HeaderPairs<'a>,
    },
    Trailers {
        id: u32,
        headers: HeaderPairs<'a>,
    },
    Window {
        id: u32,
        bytes: u32,
    },
    Reset {
        id: u32,
        code: &'a str,
        #[serde(skip_serializing_if = "Prose::is_empty")]
        message: Prose<'a>,
    },
    GoAway {
        last_id: u32,
        reason: Prose<'a>,
    },
    Services {
        services: Vec<&'a str>,
    },
    Renew {
        credential: &'a str,
    },
}

#[derive(Serialize)]
pub(super) struct WrittenError<'a> {
    pub(super) code: &'a str,
    pub(super) message: Prose<'a>,
    pub(super) retry_safe: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
