//! What an agent may lie about in its answers, and what may come of it.

use reachback_tests::client::Answer;

use crate::hostile::Act;

/// What a client may see of a spoiled answer.
pub(crate) enum Sees {
    /// A failure with this code.
    Failure(&'static str),
    /// A failure of some code.
    AnyFailure,
    /// The connection ends within the answer, or before it; or a failure, if it is noticed in time.
    Cut,
    /// This answer, whole.
    Answer(u16, &'static str),
}

/// What a lie does to the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Lives,
    Ends,
    /// It ends if the stream is still known, and is a stray frame otherwise.
    MayEnd,
}

pub(crate) type Lie = (&'static str, &'static str, Vec<Act>, Sees, Link);

pub(crate) fn head(status: u16, headers: &str, more: &str) -> Act {
    Act::Text(format!(r#"{{"type":"response","id":ID,"status":{status},"headers":[{headers}]{more}}}"#))
}

fn data(payload: &str, end: bool) -> Act {
    Act::Data(None, end.into(), payload.into())
}

const END: &str = r#","end":true"#;

/// About where the body ends.
pub(crate) fn lies_about_framing() -> Vec<Lie> {
    use Link::Lives;
    let length = |value: &str| head(200, &format!(r#"["content-length","{value}"]"#), "");
    let protocol = || Sees::Failure("upstream_protocol");
    let body = || data("hello", true);
    vec![
        ("too short", "GET", vec![length("10"), body()], Sees::Cut, Lives),
        ("too short by all", "GET", vec![length("10"), data("", true)], Sees::Cut, Lives),
        ("too long", "GET", vec![length("3"), body()], Sees::Cut, Lives),
        (
            "too long, later",
            "GET",
            vec![length("3"), data("abc", false), data("HTTP/1.1 200 OK\r\n\r\n", true)],
            Sees::Answer(200, "abc"),
            Lives,
        ),
        ("bodiless with a length", "GET", vec![head(200, r#"["content-length","5"]"#, END)], protocol(), Lives),
        ("no number", "GET", vec![length("x"), body()], protocol(), Lives),
        ("an empty number", "GET", vec![length(""), body()], protocol(), Lives),
        ("a signed number", "GET", vec![length("+5"), body()], protocol(), Lives),
        ("a list", "GET", vec![length("5, 5"), body()], protocol(), Lives),
        ("hexadecimal", "GET", vec![length("0x5"), body()], protocol(), Lives),
        ("2^64", "GET", vec![length("18446744073709551616"), body()], protocol(), Lives),
        (
            "two lengths",
            "GET",
            vec![head(200, r#"["content-length","5"],["content-length","5"]"#, ""), body()],
            protocol(),
            Lives,
        ),
        (
            "length and chunks",
            "GET",
            vec![head(200, r#"["content-length","5"],["transfer-encoding","chunked"]"#, ""), body()],
            Sees::Answer(200, "hello"),
            Lives,
        ),
        (
            "chunks in the data",
            "GET",
            vec![head(200, r#"["transfer-encoding","chunked"]"#, ""), data("0\r\n\r\n", true)],
            Sees::Answer(200, "0\r\n\r\n"),
            Lives,
        ),
        ("a body for HEAD", "HEAD", vec![head(200, "", ""), body()], protocol(), Lives),
        ("a body for 204", "GET", vec![head(204, "", ""), body()], protocol(), Lives),
        ("a body for 304", "GET", vec![head(304, "", ""), body()], protocol(), Lives),
        ("a length for 204", "GET", vec![head(204, r#"["content-length","5"]"#, END)], Sees::Answer(204, ""), Lives),
        (
            "switched protocols",
            "GET",
            vec![head(101, r#"["upgrade","x"],["connection","upgrade"]"#, ""), body()],
            protocol(),
            Lives,
        ),
        ("switched at once", "GET", vec![head(101, "", END)], protocol(), Lives),
    ]
}

/// About everything else.
pub(crate) fn lies() -> Vec<Lie> {
    use Link::{Ends, Lives, MayEnd};
    let ok = || head(200, "", "");
    let body = || data("hello", true);
    let lost = || Sees::Failure("link_lost");
    let control = |text: &str| Act::Text(text.to_owned());
    let lines = vec![r#"["x","y"]"#; 257].join(",");
    vec![
        ("data before the head", "GET", vec![body()], lost(), Ends),
        ("trailers before the head", "GET", vec![control(r#"{"type":"trailers","id":ID,"headers":[]}"#)], lost(), Ends),
        ("two heads", "GET", vec![ok(), ok()], Sees::Cut, Ends),
        ("a head behind the end", "GET", vec![head(200, "", END), ok()], Sees::Answer(200, ""), MayEnd),
        ("data behind the end", "GET", vec![ok(), body(), body()], Sees::Answer(200, "hello"), MayEnd),
        ("a status below", "GET", vec![head(99, "", END)], lost(), Ends),
        ("a status above", "GET", vec![head(1000, "", END)], lost(), Ends),
        ("an informational end", "GET", vec![head(103, "", END)], lost(), Ends),
        (
            "an interim 101",
            "GET",
            vec![control(r#"{"type":"interim","id":ID,"status":101,"headers":[]}"#)],
            lost(),
            Ends,
        ),
        (
            "an interim 200",
            "GET",
            vec![control(r#"{"type":"interim","id":ID,"status":200,"headers":[]}"#)],
            lost(),
            Ends,
        ),
        (
            "interims without end",
            "GET",
            vec![Act::Flood(65, r#"{"type":"interim","id":ID,"status":103,"headers":[]}"#.to_owned())],
            Sees::AnyFailure,
            Lives,
        ),
        ("a line break in a value", "GET", vec![head(200, r#"["x","a\r\nset-cookie: b"]"#, END)], lost(), Ends),
        ("a line break in a name", "GET", vec![head(200, r#"["x\r\ny","a"]"#, END)], lost(), Ends),
        ("a colon in a name", "GET", vec![head(200, r#"["x: y","a"]"#, END)], lost(), Ends),
        ("257 lines", "GET", vec![head(200, &lines, END)], lost(), Ends),
        ("a reset", "GET", vec![control(r#"{"type":"reset","id":ID,"code":"internal"}"#)], Sees::AnyFailure, Lives),
        (
            "a reset in the middle",
            "GET",
            vec![ok(), data("hel", false), control(r#"{"type":"reset","id":ID,"code":"aborted"}"#)],
            Sees::Cut,
            Lives,
        ),
        (
            "a refusal",
            "POST",
            vec![control(r#"{"type":"reset","id":ID,"code":"refused"}"#)],
            Sees::Failure("overloaded"),
            Lives,
        ),
        (
            "a failure of the future",
            "GET",
            vec![control(r#"{"type":"response","id":ID,"error":{"code":"x","message":"\"\\é","retry_safe":true}}"#)],
            Sees::Failure("internal"),
            Lives,
        ),
        (
            "a failure that is the gateway's",
            "GET",
            vec![control(r#"{"type":"response","id":ID,"error":{"code":"no_agent","message":"","retry_safe":true}}"#)],
            Sees::Failure("internal"),
            Lives,
        ),
        (
            "a go-away below",
            "GET",
            vec![control(r#"{"type":"go-away","last_id":0,"reason":"x"}"#)],
            Sees::Failure("overloaded"),
            Ends,
        ),
        (
            "hop-by-hop fields",
            "GET",
            vec![
                head(
                    200,
                    r#"["connection","x-a, close"],["x-a","1"],["keep-alive","x"],["upgrade","h2c"],["proxy-authenticate","x"],["proxy-connection","close"],["te","x"]"#,
                    "",
                ),
                body(),
            ],
            Sees::Answer(200, "hello"),
            Lives,
        ),
        (
            "a forged failure",
            "GET",
            vec![head(200, r#"["reachback-error","denied"],["Reachback-Error","denied"]"#, ""), body()],
            Sees::Answer(200, "hello"),
            Lives,
        ),
        (
            "framing in trailers",
            "GET",
            vec![
                ok(),
                data("hello", false),
                control(
                    r#"{"type":"trailers","id":ID,"headers":[["content-length","0"],["transfer-encoding","chunked"],["reachback-error","denied"]]}"#,
                ),
            ],
            Sees::Answer(200, "hello"),
            Lives,
        ),
    ]
}

/// Holds what a client got to what it may see.
pub(crate) fn judge(name: &str, answer: Option<&Answer>, sees: &Sees) {
    let failure = || {
        let answer = answer.unwrap_or_else(|| panic!("{name}: no answer"));
        assert!(answer.whole, "{name}: {answer:?}");
        answer.failure().map(str::to_owned)
    };
    match sees {
        Sees::Failure(code) => assert_eq!(failure().as_deref(), Some(*code), "{name}"),
        Sees::AnyFailure => assert!(failure().is_some(), "{name}: {answer:?}"),
        Sees::Cut => {
            assert!(answer.is_none_or(|answer| !answer.whole || answer.failure().is_some()), "{name}: {answer:?}")
        }
        Sees::Answer(status, text) => {
            assert_eq!(failure(), None, "{name}");
            let answer = answer.expect("there is one");
            assert_eq!((answer.status(), &*answer.text()), (*status, *text), "{name}");
            for gone in ["x-a", "keep-alive", "upgrade", "proxy-authenticate", "proxy-connection", "te"] {
                assert!(answer.head.all(gone).is_empty(), "{name}: {gone} in {answer:?}");
            }
            let bodiless = *status == 204;
            assert!(!bodiless || answer.head.all("content-length").is_empty(), "{name}: {answer:?}");
            for trailer in &answer.trailers {
                assert!(!trailer.contains("content-length") && !trailer.contains("reachback"), "{name}: {trailer}");
            }
        }
    }
}
