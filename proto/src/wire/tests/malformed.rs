//! What is not a frame: each mistake is named, and none costs more than the message is long.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::SAMPLES;
use crate::wire::{Packet, decode_data, decode_text, encode};

fn check(text: &str, why: &str) {
    let error = match decode_text(text) {
        Ok(frame) => panic!("{text} was read as {frame:?}"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(why), "{text}: {error}");
    assert!(error.len() < 300, "a reason is short: {error}");
}

/// Every sample as a map of its fields.
fn samples() -> impl Iterator<Item = Map<String, Value>> {
    SAMPLES.iter().map(|sample| serde_json::from_str(sample).unwrap())
}

const OPTIONAL: &[&str] = &["end", "deadline_ms", "upgrade"];

#[test]
fn a_field_that_is_missing() {
    for fields in samples() {
        for key in fields.keys() {
            let mut less = fields.clone();
            less.remove(key);
            let text = Value::Object(less.clone()).to_string();
            let kind = fields["type"].as_str().unwrap();
            match key.as_str() {
                key if OPTIONAL.contains(&key) => assert!(decode_text(&text).is_ok(), "{text}"),
                "retry_after_ms" if kind == "response" => assert!(decode_text(&text).is_ok(), "{text}"),
                "message" if kind == "reset" => assert!(decode_text(&text).is_ok(), "{text}"),
                "type" => check(&text, "missing field `type`"),
                "error" => check(&text, r#"the field "status" is missing"#),
                "agent" => check(&text, r#"the field "gateway" is missing"#),
                key => check(&text, &format!("the field {key:?} is missing")),
            }
            // Null says no more than nothing.
            less.insert(key.clone(), Value::Null);
            let null = Value::Object(less).to_string();
            if key == "type" {
                check(&null, "invalid type: null");
            } else {
                assert_eq!(decode_text(&null), decode_text(&text), "{null}");
            }
        }
    }
    for key in ["code", "message", "retry_safe"] {
        let mut error = json!({"code": "denied", "message": "", "retry_safe": true});
        error.as_object_mut().unwrap().remove(key);
        check(&json!({"type": "response", "id": 1, "error": error}).to_string(), &format!("missing field `{key}`"));
    }
}

#[test]
fn a_field_of_the_wrong_type() {
    let values = [json!(-1), json!(1.5), json!("secret"), json!(true), json!([["secret"]]), json!({"secret": 1})];
    for fields in samples() {
        for (key, right) in &fields {
            let is_other = |wrong: &&Value| {
                right.is_number() || std::mem::discriminant(right) != std::mem::discriminant(*wrong) || right.is_array()
            };
            for wrong in values.iter().filter(is_other) {
                let mut changed = fields.clone();
                changed.insert(key.clone(), wrong.clone());
                let text = Value::Object(changed).to_string();
                check(&text, "");
                assert!(!decode_text(&text).unwrap_err().to_string().contains("secret"), "{text}");
            }
        }
    }
}

#[test]
fn a_key_that_comes_twice() {
    for fields in samples() {
        for (key, value) in &fields {
            let text = Value::Object(fields.clone()).to_string();
            let twice = text.replacen('{', &format!("{{{key:?}:{value},"), 1);
            check(&twice, &format!("duplicate field `{key}`"));
        }
    }
    check(r#"{"type":"window","id":1,"\u0069d":2,"bytes":1}"#, "duplicate field `id`");
    check(r#"{"type":"window","id":null,"id":1,"bytes":1}"#, "duplicate field `id`");
    let error = r#"{"code":"a","code":"b","message":"","retry_safe":true}"#;
    check(&format!(r#"{{"type":"response","id":1,"error":{error}}}"#), "duplicate field `code`");
}

#[test]
fn fields_of_the_future_are_ignored() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(30_000), "}".repeat(30_000));
    for sample in SAMPLES {
        let expected = decode_text(sample);
        for unknown in ["1", "null", r#"{"a":[1,{"b":"\u00e9"}]}"#, &deep, &objects] {
            let text = sample.replacen('{', &format!(r#"{{"from_the_future":{unknown},"#), 1);
            assert_eq!(decode_text(&text), expected, "{sample}");
        }
    }
}

#[test]
fn depth_that_never_ends_is_no_overflow() {
    for (open, why) in [("[", "EOF while parsing"), (r#"{"a":"#, "EOF while parsing")] {
        for key in ["from_the_future", "headers", "services", "error", "id"] {
            let text = format!(r#"{{"type":"window","{key}":{}"#, open.repeat(50_000));
            let why = if key == "from_the_future" { why } else { "" };
            check(&text, why);
        }
    }
}

#[test]
fn numbers_out_of_range() {
    let window = |id: &str| format!(r#"{{"type":"window","id":{id},"bytes":1}}"#);
    assert!(decode_text(&window("4294967295")).is_ok() && decode_text(&window("0")).is_ok());
    for id in ["-1", "4294967296", "18446744073709551616", "1.0", "1e3", "\"1\"", "01", "0x1", "NaN"] {
        check(&window(id), "");
    }
    let status = |status: &str| format!(r#"{{"type":"response","id":1,"status":{status},"headers":[]}}"#);
    for number in ["0", "99", "1000", "65535"] {
        check(&status(number), "a status is not between 100 and 999");
    }
    check(&status("65536"), "invalid value");
    check(&status("103"), "a response is informational");
    check(r#"{"type":"interim","id":1,"status":200,"headers":[]}"#, "an interim response is not informational");
    check(r#"{"type":"interim","id":1,"status":101,"headers":[]}"#, "an interim response is not informational");
}

#[test]
fn heads_that_http_does_not_know() {
    let trailers = |headers: &str| format!(r#"{{"type":"trailers","id":1,"headers":{headers}}}"#);
    for (headers, why) in [
        (r#"[["","v"]]"#, "a header name is not a token"),
        (r#"[["a b","v"]]"#, "a header name is not a token"),
        (r#"[["a:","v"]]"#, "a header name is not a token"),
        (r#"[["é","v"]]"#, "a header name is not a token"),
        (r#"[["a","\r\n"]]"#, "a header value holds a control byte"),
        (r#"[["a","\u0000"]]"#, "a header value holds a control byte"),
        (r#"[["a","\u007f"]]"#, "a header value holds a control byte"),
        (r#"[["a","\u0100"]]"#, "a header value holds a code point above 255"),
        (r#"[["a","€"]]"#, "a header value holds a code point above 255"),
        (r#"[["a","\ud800"]]"#, "hex escape"),
        (r#"[["a"]]"#, "invalid length 1"),
        (r#"[["a","b","c"]]"#, ""),
        (r#"[{"a":"b"}]"#, "invalid type: map"),
        (r#"{"a":"b"}"#, "invalid type: map"),
        (r#"["ab"]"#, "invalid type: string"),
    ] {
        check(&trailers(headers), why);
    }
    let request = |method: &str, target: &str, service: &str, request_id: &str| {
        format!(
            r#"{{"type":"request","id":1,"service":"{service}","method":"{method}","target":"{target}","headers":[],"request_id":"{request_id}"}}"#
        )
    };
    assert!(decode_text(&request("GET", "", "a", "r")).is_ok(), "a target is judged elsewhere");
    check(&request("", "/", "a", "r"), "a method is not a token");
    check(&request("G T", "/", "a", "r"), "a method is not a token");
    check(&request("GÉT", "/", "a", "r"), "a method is not a token");
    check(&request("GET", "/€", "a", "r"), "a target holds a code point above 255");
    check(&request("GET", "/", "A", "r"), "is not a name");
    check(&request("GET", "/", "", "r"), "is not a name");
    check(&request("GET", "/", "a:80", "r"), "is not a name");
    check(&request("GET", "/", "a", ""), "a request id is not");
    check(&request("GET", "/", "a", "r r"), "a request id is not");
}

#[test]
fn text_that_is_no_object() {
    for text in ["", " ", "null", "1", "\"x\"", "[]", "{", "{}x", "nonsense", "\u{feff}{}"] {
        check(text, "");
    }
    check("{}", "missing field `type`");
    check(r#"{"type":"window","id":1,"bytes":1}{"#, "trailing characters");
    check(r#"{"type":"Window","id":1,"bytes":1}"#, "unknown type");
    check(r#"{"type":"data","id":1}"#, "unknown type");
    // Serde would take the values of a struct in their order.
    let positional = format!("[\"window\",1{},5{}]", ",null".repeat(10), ",null".repeat(14));
    check(&positional, "expected an object");
    check(r#"{"type":"response","id":1,"error":["denied","",true]}"#, "expected an object");
}

#[test]
fn a_text_with_a_control_character() {
    for text in [
        r#"{"type":"reset","id":1,"code":"aborted","message":"a\nb"}"#,
        r#"{"type":"go-away","last_id":1,"reason":"\u001b[31m"}"#,
        r#"{"type":"reject","code":"\u0085","message":"","retry_after_ms":1}"#,
    ] {
        check(text, "a text is too long or holds a control character");
    }
}

#[test]
fn a_reason_never_repeats_what_may_be_a_secret() {
    let secret = "Bearer s3cret".repeat(1000);
    for text in [
        format!(r#"{{"type":"window","id":"{secret}"}}"#),
        format!(r#"{{"type":"{secret}"}}"#),
        format!(r#"{{"type":"trailers","id":1,"headers":"{secret}"}}"#),
        format!(r#"{{"type":"trailers","id":1,"headers":["{secret}"]}}"#),
        format!(r#"{{"type":"trailers","id":1,"headers":[["authorization","{secret}\u0000"]]}}"#),
        format!(r#"{{"type":"trailers","id":1,"headers":[["authorization",{{"{secret}":1}}]]}}"#),
        format!(r#"{{"type":"renew","credential":{{"{secret}":1}}}}"#),
        format!(r#"{{"type":"response","id":1,"error":"{secret}"}}"#),
        format!(r#"{{"type":"request","end":"{secret}\"x\", expected \"{secret}"}}"#),
        format!(r#"{{"{secret}""#),
    ] {
        check(&text, "");
        assert!(!decode_text(&text).unwrap_err().to_string().contains("s3cret"));
    }
}

#[test]
fn data_that_is_none() {
    for (message, why) in [
        (&[][..], "shorter than its prefix"),
        (&[0, 0, 0, 1], "shorter than its prefix"),
        (&[0, 0, 0, 1, 0], "empty and not the last"),
        (&[0, 0, 0, 1, 2, 7], "an unknown flag"),
        (&[0, 0, 0, 1, 3, 7], "an unknown flag"),
        (&[0, 0, 0, 1, 0x80, 7], "an unknown flag"),
    ] {
        let error = decode_data(Bytes::copy_from_slice(message)).unwrap_err().to_string();
        assert!(error.contains(why), "{message:?}: {error}");
    }
    assert!(decode_data(Bytes::from_static(&[0, 0, 0, 1, 1])).is_ok());
}

#[test]
fn any_prefix_of_a_frame_is_refused() {
    for sample in SAMPLES {
        for end in 0..sample.len() {
            check(&sample[..end], "");
        }
        let Packet::Text(text) = encode(&decode_text(sample).unwrap()) else { panic!("text") };
        assert_eq!(&text, sample);
    }
}
