//! The JSON of heads and control frames as it is read; [`super::writer`] writes it.
//!
//! Every message is read into one *flat* struct with borrowed strings: an internally tagged enum would buffer every
//! field first and costs more than twice the time. The struct is filled in place: serde's derived code would move it,
//! and the headers in it, several times.
//! A byte of a target or header value travels as the code point of the same number, so that all 256 survive.

use std::{borrow::Cow, fmt, marker::PhantomData};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{head::HeaderSize, limits::SERVICES, plain};

/// Reads a JSON object into its fields, which are empty, and nothing after it.
pub(super) fn read<'a>(text: &'a str, fields: &mut Fields<'a>) -> Result<(), serde_json::Error> {
    if plain::read(text, fields).is_some() {
        return Ok(());
    }
    *fields = Fields::default();
    read_any(text, fields)
}

/// Reads any JSON.
pub(super) fn read_any<'a>(text: &'a str, fields: &mut Fields<'a>) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(FieldsVisitor(fields))?;
    json.end()
}

/// A field that not every frame has. The inner `None` is null, which says no more than nothing but, like any other
/// value, comes only once.
pub(super) type Field<T> = Option<Option<T>>;

/// Every field of every frame.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) kind: Option<Str<'a>>,
    pub(super) id: Field<u32>,
    pub(super) service: Field<Str<'a>>,
    pub(super) method: Field<Str<'a>>,
    pub(super) target: Field<Str<'a>>,
    pub(super) headers: Field<Headers>,
    pub(super) end: Field<bool>,
    pub(super) request_id: Field<Str<'a>>,
    pub(super) deadline_ms: Field<u64>,
    pub(super) upgrade: Field<bool>,
    pub(super) status: Field<u16>,
    pub(super) error: Field<Object<ErrorFields<'a>>>,
    pub(super) bytes: Field<u32>,
    pub(super) code: Field<Str<'a>>,
    pub(super) message: Field<Str<'a>>,
    pub(super) reason: Field<Str<'a>>,
    pub(super) last_id: Field<u32>,
    pub(super) retry_after_ms: Field<u64>,
    pub(super) agent: Field<Str<'a>>,
    pub(super) instance: Field<Str<'a>>,
    pub(super) services: Field<Names<'a>>,
    pub(super) version: Field<Str<'a>>,
    pub(super) gateway: Field<Str<'a>>,
    pub(super) window: Field<u32>,
    pub(super) streams: Field<u32>,
    pub(super) heartbeat_ms: Field<u64>,
    pub(super) credential: Field<Str<'a>>,
}

struct FieldsVisitor<'f, 'a>(&'f mut Fields<'a>);

impl<'de> Visitor<'de> for FieldsVisitor<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    /// Takes the keys in any order, each known one once. Unknown ones are skipped without recursion, so that they cost
    /// no more than the message is long.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(fields) = self;
        while let Some(Str(key)) = map.next_key()? {
            match &*key {
                "type" => once("type", &mut fields.kind, &mut map),
                "id" => once("id", &mut fields.id, &mut map),
                "service" => once("service", &mut fields.service, &mut map),
                "method" => once("method", &mut fields.method, &mut map),
                "target" => once("target", &mut fields.target, &mut map),
                "headers" => once("headers", &mut fields.headers, &mut map),
                "end" => once("end", &mut fields.end, &mut map),
                "request_id" => once("request_id", &mut fields.request_id, &mut map),
                "deadline_ms" => once("deadline_ms", &mut fields.deadline_ms, &mut map),
                "upgrade" => once("upgrade", &mut fields.upgrade, &mut map),
                "status" => once("status", &mut fields.status, &mut map),
                "error" => once("error", &mut fields.error, &mut map),
                "bytes" => once("bytes", &mut fields.bytes, &mut map),
                "code" => once("code", &mut fields.code, &mut map),
                "message" => once("message", &mut fields.message, &mut map),
                "reason" => once("reason", &mut fields.reason, &mut map),
                "last_id" => once("last_id", &mut fields.last_id, &mut map),
                "retry_after_ms" => once("retry_after_ms", &mut fields.retry_after_ms, &mut map),
                "agent" => once("agent", &mut fields.agent, &mut map),
                "instance" => once("instance", &mut fields.instance, &mut map),
                "services" => once("services", &mut fields.services, &mut map),
                "version" => once("version", &mut fields.version, &mut map),
                "gateway" => once("gateway", &mut fields.gateway, &mut map),
                "window" => once("window", &mut fields.window, &mut map),
                "streams" => once("streams", &mut fields.streams, &mut map),
                "heartbeat_ms" => once("heartbeat_ms", &mut fields.heartbeat_ms, &mut map),
                "credential" => once("credential", &mut fields.credential, &mut map),
                _ => map.next_value().map(|IgnoredAny| ()),
            }?;
        }
        if fields.kind.is_none() { Err(A::Error::missing_field("type")) } else { Ok(()) }
    }
}

/// Reads the value of a key that has not come before.
fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    key: &'static str,
    field: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    if field.is_some() {
        return Err(A::Error::duplicate_field(key));
    }
    *field = Some(map.next_value()?);
    Ok(())
}

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
                let mut lines = Lines::default();
                while pairs.next_element_seed(&mut lines)?.is_some() {}
                Ok(lines.into())
            }
        }
        from.deserialize_seq(HeadersVisitor)
    }
}

/// Header lines while they are read.
#[derive(Default)]
pub(super) struct Lines {
    headers: HeaderMap,
    size: HeaderSize,
    /// What decoded values are cut from.
    values: BytesMut,
}

impl From<Lines> for Headers {
    fn from(lines: Lines) -> Self {
        Self(lines.headers)
    }
}

/// One more `[name, value]` pair.
impl<'de> DeserializeSeed<'de> for &mut Lines {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Lines {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tuple of size 2")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        let Str(name) = pair.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let Str(value) = pair.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        if self.values.capacity() == 0 {
            self.values.reserve(EXPECTED_BYTES);
        }
        if !extend_latin1(&mut self.values, &value) {
            return Err(A::Error::custom("a header value holds a code point above 255"));
        }
        let value = self.values.split().freeze();
        self.append(&name, value).map_err(A::Error::custom)
    }
}

impl Lines {
    pub(super) fn append(&mut self, name: &str, value: Bytes) -> Result<(), &'static str> {
        if !self.size.add(name.len(), value.len()) {
            return Err("too many or too long headers");
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header name is not a token")?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| "a header value holds a control byte")?;
        self.headers.append(name, value);
        Ok(())
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

#[derive(Debug, Deserialize)]
pub(super) struct ErrorFields<'a> {
    #[serde(borrow)]
    pub(super) code: Str<'a>,
    #[serde(borrow)]
    pub(super) message: Str<'a>,
    pub(super) retry_safe: bool,
}
