//! Frames to packets and back. Pure; every cap is checked before anything is allocated for what it bounds.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use super::{
    AgentHello, Credential, Failure, FailureCode, Frame, GatewayHello, Hello, Reject, RequestHead, RequestId,
    ResetCode, ResponseHead, ServiceName, StreamId,
    json::{self, ErrorFields, Field, Fields, Headers, Names, Object, Str, latin1_bytes},
    limits::{CHUNK_BYTES, DATA_PREFIX, MESSAGE_TEXT_BYTES, METHOD_BYTES, NAME_BYTES, TARGET_BYTES, TEXT_BYTES},
    writer,
};

/// One message as it travels, free of any WebSocket library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A head or control frame: JSON.
    Text(String),
    /// A data frame: stream id, flags, payload.
    Data(Bytes),
    /// A heartbeat.
    Ping,
}

/// A message that is not a frame of this protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

const FLAG_END: u8 = 1;

/// Encodes a frame. Never fails: what a [`Frame`] can hold can be written. The peer reads it if its heads are not
/// [oversize](RequestHead::oversize) and its names keep to the spelling; texts for people are cut to fit.
#[must_use]
pub fn encode(frame: &Frame) -> Packet {
    if let Frame::Data { id, end, chunk } = frame {
        debug_assert!(chunk.len() <= CHUNK_BYTES, "a chunk is cut to size before it is framed");
        let mut message = BytesMut::with_capacity(DATA_PREFIX + chunk.len());
        message.put_u32(id.0);
        message.put_u8(if *end { FLAG_END } else { 0 });
        message.put_slice(chunk);
        return Packet::Data(message.freeze());
    }
    Packet::Text(writer::text(frame))
}

/// Decodes a binary message.
///
/// # Errors
/// [`Malformed`] if it is shorter than its prefix, longer than a chunk, sets an unknown flag, or is empty without
/// being the last of its half.
pub fn decode_data(mut message: Bytes) -> Result<Frame, Malformed> {
    if message.len() < DATA_PREFIX {
        return Err(malformed("a data frame is shorter than its prefix"));
    }
    let id = StreamId(message.get_u32());
    let flags = message.get_u8();
    if message.len() > CHUNK_BYTES {
        return Err(malformed("a data frame holds more than 64 KiB"));
    }
    if flags & !FLAG_END != 0 {
        return Err(malformed("a data frame sets an unknown flag"));
    }
    let end = flags & FLAG_END != 0;
    if message.is_empty() && !end {
        return Err(malformed("a data frame is empty and not the last"));
    }
    Ok(Frame::Data { id, end, chunk: message })
}

/// Decodes a text message.
///
/// # Errors
/// [`Malformed`] if it is too long, not JSON, of an unknown type, holds a key twice, lacks a field, or a field is
/// past its cap. The reason is short and never repeats a header value or a credential.
pub fn decode_text(text: &str) -> Result<Frame, Malformed> {
    if text.len() > TEXT_BYTES {
        return Err(malformed("a text message is too long"));
    }
    let mut fields = Fields::default();
    json::read(text, &mut fields).map_err(|error| unreadable(&error))?;
    let kind = fields.kind.take();
    match kind.as_ref().map_or("", |kind| &*kind.0) {
        "request" => request(&mut fields),
        "response" => response(&mut fields),
        "window" => Ok(Frame::Window { id: id(&fields)?, bytes: required(fields.bytes, "bytes")? }),
        "reset" => Ok(Frame::Reset {
            id: id(&fields)?,
            code: ResetCode::from_wire(&required(fields.code.take(), "code")?.0),
            message: fields.message.take().flatten().map(message_text).transpose()?.unwrap_or_default(),
        }),
        "interim" => interim(&mut fields),
        "trailers" => Ok(Frame::Trailers { id: id(&fields)?, headers: headers(fields.headers.take())? }),
        "hello" => hello(&mut fields),
        "reject" => Ok(Frame::Reject(Reject {
            code: name(fields.code.take(), "code")?,
            message: message_text(required(fields.message.take(), "message")?)?,
            retry_after: Duration::from_millis(required(fields.retry_after_ms, "retry_after_ms")?),
        })),
        "go-away" => Ok(Frame::GoAway {
            last_id: StreamId(required(fields.last_id, "last_id")?),
            reason: message_text(required(fields.reason.take(), "reason")?)?,
        }),
        "services" => Ok(Frame::Services(services(fields.services.take())?)),
        "renew" => Ok(Frame::Renew(Credential(required(fields.credential.take(), "credential")?.0.into_owned()))),
        _ => Err(malformed("a text message is of an unknown type")),
    }
}

fn request(fields: &mut Fields<'_>) -> Result<Frame, Malformed> {
    let id = id(fields)?;
    let method = required(fields.method.take(), "method")?.0;
    if method.len() > METHOD_BYTES {
        return Err(malformed("a method is too long"));
    }
    let target = latin1_bytes(&required(fields.target.take(), "target")?.0)
        .ok_or_else(|| malformed("a target holds a code point above 255"))?;
    if target.len() > TARGET_BYTES {
        return Err(malformed("a target is too long"));
    }
    let head = RequestHead {
        service: service(&required(fields.service.take(), "service")?)?,
        method: Method::from_bytes(method.as_bytes()).map_err(|_| malformed("a method is not a token"))?,
        target,
        headers: headers(fields.headers.take())?,
        request_id: RequestId::new(&required(fields.request_id.take(), "request_id")?.0)
            .ok_or_else(|| malformed("a request id is not 1 to 128 visible ASCII bytes"))?,
        deadline: fields.deadline_ms.flatten().map(Duration::from_millis),
        upgrade: is_true(fields.upgrade),
    };
    Ok(Frame::Request { id, head: Arc::new(head), end: is_true(fields.end) })
}

fn response(fields: &mut Fields<'_>) -> Result<Frame, Malformed> {
    let id = id(fields)?;
    if let Some(Object(ErrorFields { code, message, retry_safe })) = fields.error.take().flatten() {
        let failure = Failure {
            code: FailureCode::from_wire(&code.0),
            message: message_text(message)?.into(),
            retry_safe,
            retry_after: fields.retry_after_ms.flatten().map(Duration::from_millis),
        };
        return Ok(Frame::Failure { id, failure });
    }
    let status = status(fields.status)?;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(malformed("a response is informational"));
    }
    let head = ResponseHead { status, headers: headers(fields.headers.take())? };
    Ok(Frame::Response { id, head, end: is_true(fields.end) })
}

fn interim(fields: &mut Fields<'_>) -> Result<Frame, Malformed> {
    let status = status(fields.status)?;
    if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(malformed("an interim response is not informational"));
    }
    Ok(Frame::Interim { id: id(fields)?, status, headers: headers(fields.headers.take())? })
}

fn hello(fields: &mut Fields<'_>) -> Result<Frame, Malformed> {
    let window = required(fields.window, "window")?;
    let streams = required(fields.streams, "streams")?;
    if matches!(fields.agent, Some(Some(_))) {
        return Ok(Frame::Hello(Hello::Agent(AgentHello {
            agent: name(fields.agent.take(), "agent")?,
            instance: name(fields.instance.take(), "instance")?,
            services: services(fields.services.take())?,
            version: name(fields.version.take(), "version")?,
            window,
            streams,
        })));
    }
    Ok(Frame::Hello(Hello::Gateway(GatewayHello {
        gateway: name(fields.gateway.take(), "gateway")?,
        window,
        streams,
        heartbeat: Duration::from_millis(required(fields.heartbeat_ms, "heartbeat_ms")?),
    })))
}

fn malformed(why: &'static str) -> Malformed {
    Malformed(why.to_owned())
}

/// What serde says, without the string that it quotes where none belongs: that may be a secret, and long.
fn unreadable(error: &serde_json::Error) -> Malformed {
    let text = error.to_string();
    Malformed(match (text.split_once('"'), text.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}…{after}"),
        _ => text,
    })
}

fn required<T>(field: Field<T>, name: &str) -> Result<T, Malformed> {
    field.flatten().ok_or_else(|| Malformed(format!("the field {name:?} is missing")))
}

fn is_true(flag: Field<bool>) -> bool {
    flag.flatten().unwrap_or(false)
}

fn id(fields: &Fields<'_>) -> Result<StreamId, Malformed> {
    required(fields.id, "id").map(StreamId)
}

fn headers(headers: Field<Headers>) -> Result<HeaderMap, Malformed> {
    required(headers, "headers").map(|headers| headers.0)
}

fn status(status: Field<u16>) -> Result<StatusCode, Malformed> {
    StatusCode::from_u16(required(status, "status")?).map_err(|_| malformed("a status is not between 100 and 999"))
}

fn service(name: &Str<'_>) -> Result<ServiceName, Malformed> {
    ServiceName::new(&name.0).map_err(|error| Malformed(error.to_string()))
}

fn services(names: Field<Names<'_>>) -> Result<Vec<ServiceName>, Malformed> {
    required(names, "services")?.0.iter().map(service).collect()
}

/// A short text for logs: bounded, and without control characters that could forge a log line.
fn name(field: Field<Str<'_>>, which: &str) -> Result<String, Malformed> {
    bounded_text(required(field, which)?, NAME_BYTES)
}

fn message_text(text: Str<'_>) -> Result<String, Malformed> {
    bounded_text(text, MESSAGE_TEXT_BYTES)
}

fn bounded_text(text: Str<'_>, most: usize) -> Result<String, Malformed> {
    if text.0.len() > most || text.0.chars().any(char::is_control) {
        return Err(malformed("a text is too long or holds a control character"));
    }
    Ok(text.0.into_owned())
}
