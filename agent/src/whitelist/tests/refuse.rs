//! "Refuse, never repair", line by line.

use http::header::HOST;
use proto::wire::{FailureCode, ServiceName};

use super::{EVERYTHING, admit, head, headers, whitelist};
use crate::whitelist::{Host, Reason, Service, Whitelist, limits};

/// The whitelist allows everything it can, and still refuses these, at this step and with this code.
fn refused(step: u8, code: FailureCode, method: &str, targets: &[&[u8]]) {
    for target in targets {
        let shown = target.escape_ascii();
        let denied = admit(&EVERYTHING, method, target).expect_err(&format!("{method} {shown}"));
        assert_eq!((denied.step.number(), denied.code), (Some(step), code), "{method} {shown}: {denied}");
    }
}

fn allowed(method: &str, targets: &[&str]) {
    for target in targets {
        let admitted = admit(&EVERYTHING, method, target).unwrap_or_else(|denied| panic!("{target}: {denied}"));
        assert_eq!(admitted.path_and_query().as_str(), *target);
    }
}

#[test]
fn step_1_origin_form_only() {
    refused(
        1,
        FailureCode::BadRequest,
        "GET",
        &[
            b"",
            b"*",
            b"http://127.0.0.1/",
            b"HTTP://x",
            b"x",
            b"example.com:443",
            b"orders",
            b"?a",
            b"#a",
            b" /orders",
            b"\\orders",
            b"%2Forders",
            b".",
            b"../etc",
            b"\xEF\xBB\xBF/orders",
            b"**",
            b"*/a",
        ],
    );
    refused(1, FailureCode::BadRequest, "OPTIONS", &[b"**", b"*?a", b"* ", b"http://x/"]);
    allowed("GET", &["/", "/orders", "/*", "/http:"]);
    allowed("OPTIONS", &["*", "/*"]);
    let denied = admit(&EVERYTHING[..2], "OPTIONS", "*").unwrap_err();
    assert_eq!((denied.reason, denied.code), (Reason::NoRule, FailureCode::Denied));
}

#[test]
fn step_2_bytes_of_path_and_query() {
    for byte in 0..=255_u8 {
        let path = [b"/a".as_slice(), &[byte], b"b"].concat();
        let in_path = b"-._~!$&'()*+,=:@/?".contains(&byte) || byte.is_ascii_alphanumeric();
        match byte {
            b'%' => refused(3, FailureCode::BadRequest, "GET", &[&path]),
            b';' => refused(7, FailureCode::Denied, "GET", &[&path]),
            _ if in_path => allowed("GET", &[std::str::from_utf8(&path).unwrap()]),
            _ => refused(2, FailureCode::BadRequest, "GET", &[&path]),
        }
        let query = [b"/a?b".as_slice(), &[byte], b"c"].concat();
        match byte {
            0..=b' ' | b'#' | b'"' | b'<' | b'>' | 0x7F.. => refused(2, FailureCode::BadRequest, "GET", &[&query]),
            _ => allowed("GET", &[std::str::from_utf8(&query).unwrap()]),
        }
    }
    allowed("GET", &["/a?", "/a??", "/a?q=%", "/a?q=%zz", "/a?/../", "/a?next=http://x/", "/a?f[x]={y}|z^`\\"]);
}

#[test]
fn step_3_triplets() {
    refused(
        3,
        FailureCode::BadRequest,
        "GET",
        &[
            b"/%",
            b"/a%",
            b"/%2",
            b"/%2/a",
            b"/%zz",
            b"/%u002e",
            b"/%%32%65",
            b"/%2%65",
            b"/100%",
            b"/a%?b=%20",
            b"/%-1",
        ],
    );
    allowed("GET", &["/%20", "/a%7Eb", "/%7e?%", "/100%25"]);
}

#[test]
fn step_4_decoded_once() {
    let denied = FailureCode::Denied;
    refused(
        4,
        denied,
        "GET",
        &[b"/%00", b"/a%00.png", b"/%0d%0aX:%20y", b"/%0A", b"/%1f", b"/%7F", b"/%09", b"/%C2%85"],
    );
    refused(4, denied, "GET", &[b"/%5c", b"/..%5C..%5Cetc", b"/a%5Cb"]);
    // Invalid UTF-8: overlong, surrogate, cut short, stray, beyond Unicode.
    refused(
        4,
        denied,
        "GET",
        &[
            b"/%c0%ae%c0%ae/a",
            b"/%c0%af",
            b"/%e0%80%af",
            b"/%f0%80%80%af",
            b"/%ed%a0%80",
            b"/%e2%82",
            b"/%C3/%A9",
            b"/%80",
            b"/%ff",
            b"/%f5%80%80%80",
            b"/%E9",
        ],
    );
    // Double encoding, also put together from encoded parts.
    refused(
        4,
        denied,
        "GET",
        &[b"/%252e%252e/a", b"/%252f", b"/%255c", b"/%25%32%65", b"/%25aa", b"/%25%30%30", b"/%252525", b"/a%2541"],
    );
    refused(4, denied, "GET", &[b"/a%3bb", b"/..%3B/a", b"/%3B"]);
    let look_alikes = "\u{FF0E}\u{2024}\u{2025}\u{2026}\u{FE52}\u{FF0F}\u{FF3C}\u{FE68}\u{FF1B}\u{FF05}\u{FE6A}\u{FE30}\u{FE19}\u{FE54}\u{FE14}\u{37E}\
        \u{2044}\u{2215}\u{2216}\u{A5}\u{20A9}\u{66A}\u{2022}\u{29F5}\u{29F8}\u{2100}";
    for character in look_alikes.chars() {
        let mut bytes = [0; 4];
        let encoded: String = character.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect();
        refused(4, denied, "GET", &[format!("/a{encoded}b").as_bytes()]);
    }
    allowed(
        "GET",
        &[
            "/100%25",
            "/100%25/a",
            "/%25",
            "/%25%25",
            "/a%25zz",
            "/%20",
            "/%7E",
            "/caf%C3%A9",
            "/cafe%CC%81",
            "/%E2%82%AC",
            "/%F0%9F%A6%80",
            "/%3F",
            "/%23",
            "/%22%3C%3E",
            "/%7B%7D",
            "/%2B+%2b",
            "/%41%42",
            "/%E3%80%82",
            "/a%3Ab",
            "/%C2%A0x",
        ],
    );
}

#[test]
fn step_5_dot_segments() {
    refused(
        5,
        FailureCode::Denied,
        "GET",
        &[
            b"/.",
            b"/..",
            b"/./",
            b"/../",
            b"/a/.",
            b"/a/..",
            b"/a/../b",
            b"/%2e",
            b"/%2e%2E/a",
            b"/.%2e",
            b"/%2e./a",
            b"/..;",
            b"/..;/a",
            b"/.;x=y/a",
            b"/%2e%2e;a/b",
            b"/%20..",
            b"/..%20/a",
            b"/.%20",
            b"/..%20;a",
            b"/%E3%80%80../a",
            b"//..",
        ],
    );
    allowed(
        "GET",
        &[
            "/...",
            "/..foo",
            "/foo..",
            "/a..b",
            "/.well-known/x",
            "/.git",
            "/%2ehidden",
            "/a.",
            "/..%25",
            "/.%20.",
            "/a?/../b",
        ],
    );
}

#[test]
fn step_6_empty_segments() {
    refused(
        6,
        FailureCode::Denied,
        "GET",
        &[b"//", b"//a", b"/a//b", b"/a//", b"/a///", b"//evil.example/a", b"/a//%20"],
    );
    allowed("GET", &["/", "/a/", "/a/b/", "/a?//", "/%20/"]);
}

#[test]
fn step_7_parameters_and_encoded_slashes() {
    refused(
        7,
        FailureCode::Denied,
        "GET",
        &[b"/a;b", b"/a;v=1/b", b"/;", b"/;/a", b"/a/b;", b"/%2f", b"/a%2Fb", b"/..%2f..%2Fa", b"/%2f%2e%2e", b"/a%2F"],
    );
    allowed("GET", &["/a,b", "/a?b;c", "/a?b=%2F", "/a?x=%3B"]);
}

#[test]
fn step_8_method_overrides_in_the_query() {
    for method in ["POST", "PUT", "OPTIONS"] {
        refused(8, FailureCode::Denied, method, &[b"/a?_method=DELETE", b"/a?x=1&%5Fmethod=PUT", b"/a?_method"]);
        allowed(method, &["/a?method=DELETE", "/a?x=_method", "/_method"]);
    }
    allowed("GET", &["/a?_method=DELETE"]);
    allowed("HEAD", &["/a?_method=DELETE"]);
}

#[test]
fn step_9_sizes() {
    let longest = format!("/{}", "a".repeat(limits::TARGET_BYTES - 1));
    let longest_query = format!("/a?{}", "b".repeat(limits::TARGET_BYTES - 3));
    allowed("GET", &[&longest, &longest_query]);
    refused(
        9,
        FailureCode::UriTooLong,
        "GET",
        &[format!("{longest}a").as_bytes(), format!("{longest_query}b").as_bytes()],
    );
    // The steps go in order: what is malformed stays so, however long.
    refused(3, FailureCode::BadRequest, "GET", &[format!("{longest}%").as_bytes()]);

    let check = |lines: &[(&str, &str)], expected: Result<(), Reason>| {
        let head = proto::wire::RequestHead { headers: headers(lines), ..head("GET", "/") };
        let verdict = whitelist(&EVERYTHING).admit(&head);
        assert_eq!(verdict.map(drop).map_err(|denied| denied.reason), expected);
    };
    check(&[("a", "b"); limits::HEADER_LINES], Ok(()));
    check(&[("a", "b"); limits::HEADER_LINES + 1], Err(Reason::TooManyHeaders));
    let value = "v".repeat(limits::HEADER_BYTES / 2 - 1);
    check(&[("a", &value), ("b", &value)], Ok(()));
    check(&[("a", &value), ("bb", &value)], Err(Reason::HeadersTooLong));
    let nominated = ["a"; limits::NOMINATED].join(",");
    check(&[("connection", &nominated)], Ok(()));
    check(&[("connection", &nominated), ("connection", "close")], Err(Reason::TooManyNominated));
}

#[test]
fn of_several_faults_the_lowest_step_counts() {
    for (step, target) in [
        (1, "x#%zz"),
        (2, "/%zz/#"),
        (2, "/%zz?#"),
        (3, "/%00/%zz"),
        (4, "//../%00"),
        (5, "//a;/.."),
        (6, "/a;/%2f//"),
        (7, "/a;?_method"),
    ] {
        let denied = admit(&EVERYTHING, "POST", target).unwrap_err();
        assert_eq!(denied.step.number(), Some(step), "{target}");
    }
}

#[test]
fn places_are_counted_in_the_raw_target() {
    for (target, at) in
        [("/%20/a/..", 7), ("/%20//b", 5), ("/a/%20%00", 3), ("/a/b;c", 4), ("/%20/a%2Fb", 5), ("/a?b#", 4)]
    {
        assert_eq!(admit(&EVERYTHING, "GET", target).unwrap_err().at, Some(at), "{target}");
    }
}

#[test]
fn a_preserved_host_is_one_host() {
    let rules = vec!["GET /".parse().unwrap()];
    let preserving = Whitelist::new([(ServiceName::new("orders").unwrap(), Service::new(rules, Host::Preserve))]);
    let check = |lines: &[(&str, &str)], expected: Result<&str, Reason>| {
        let head = proto::wire::RequestHead { headers: headers(lines), ..head("GET", "/") };
        let admitted = preserving.admit(&head).map_err(|denied| denied.reason);
        let sent = admitted.map(|admitted| admitted.headers()[HOST].to_str().unwrap().to_owned());
        assert_eq!(sent.as_deref().map_err(|reason| *reason), expected, "{lines:?}");
    };
    check(&[("host", "api.example:8080")], Ok("api.example:8080"));
    check(&[("host", "[::1]:80")], Ok("[::1]:80"));
    for lines in [&[][..], &[("host", "a"), ("host", "a")], &[("host", "")], &[("host", "a b")], &[("host", "a/b")]] {
        check(lines, Err(Reason::Host));
    }
}
