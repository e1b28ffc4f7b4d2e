//! Documents good and bad, and what becomes of them.

use std::path::{Path, PathBuf};

use settings::Source;

use super::import;
use crate::{allow::args::ImportArgs, exit::Exit};

fn args() -> ImportArgs {
    ImportArgs {
        document: PathBuf::new(),
        tags: Vec::new(),
        service: None,
        upstream: "http://127.0.0.1:8080".to_owned(),
        base_path: None,
    }
}

fn imported(args: &ImportArgs, document: &str) -> Result<(String, Vec<String>), Exit> {
    import(args, &Source::file("openapi.yaml", document, Path::new("")))
}

/// The rules that a document makes, without comments.
fn rules(document: &str) -> Vec<String> {
    let (text, _) = imported(&args(), document).unwrap_or_else(|exit| panic!("{document}\n{exit:?}"));
    let items = text.lines().filter_map(|line| line.trim_start().strip_prefix("- "));
    items.map(|item| item.split("  #").next().unwrap_or_default().trim_end().to_owned()).collect()
}

fn with_paths(paths: &str) -> String {
    format!("openapi: 3.1.0\ninfo: {{ title: T, version: '1' }}\npaths:\n{paths}\n")
}

#[test]
fn operations_become_rules() {
    let check = |paths: &str, expected: &[&str]| assert_eq!(rules(&with_paths(paths)), expected, "{paths}");
    check("  /a: { get: {} }", &["GET /a"]);
    check("  /: { get: {} }", &["GET /"]);
    check("  /a/: { get: {} }\n  /a: { put: {} }", &["GET /a/", "PUT /a"]);
    check("  /a: { patch: {}, head: {}, get: {}, post: {} }", &["GET,HEAD,POST,PATCH /a"]);
    check("  /a/{id}: { get: {} }\n  /a/{key}: { put: {}, get: {} }", &["GET,PUT /a/{id}"]);
    check("  /{a}.json: { get: {} }\n  /{b}-{c}: { get: {} }", &["GET /{a}.json", "GET /{b}-{c}"]);
    check("  '/{order-id}/{x.y}/{z z}/{p+}/{*q}/{r/s}': { get: {} }", &["GET /{order-id}/{x.y}/{z_z}/{p_}/{_q}/{r_s}"]);
    check("  /jobs/{id}:cancel: { post: {} }", &["POST /jobs/{id}:cancel"]);
    check("  /a/*: { get: {} }\n  /b/**: { get: {} }", &["GET /a/%2A", "GET /b/%2A%2A"]);
    check("  /caf\u{e9}: { get: {} }\n  /100%25: { get: {} }", &["GET /caf%C3%A9", "GET /100%25"]);
    check("  /a:\n  /b: { get: {} }\n  x-c: { get: {} }\n  /d: { x-get: {} }", &["GET /b"]);
    check("  /a: { get: { tags: ~, servers: ~, responses: { 200: {} } } }", &["GET /a"]);
}

#[test]
fn what_no_rule_can_say_is_named() {
    let check = |paths: &str, expected: &str| {
        let (text, left_out) = imported(&args(), &with_paths(paths)).unwrap();
        assert_eq!(left_out, [expected], "{paths}");
        assert!(text.contains(&format!("\n      # left out: {expected}\n")), "{text}");
        assert!(text.contains("allow: []\n") && !text.contains("\n      - "), "{text}");
    };
    check("  /a: { trace: {} }", "TRACE /a: TRACE never passes");
    check(
        "  /a/{x}{y}: { get: {} }",
        "GET /a/{x}{y}: two wildcards side by side: `**` stands alone, as the last segment",
    );
    check("  /a//b: { get: {} }", "GET /a//b: `//` never passes: remove one slash");
    check("  a: { get: {} }", "GET a: a path begins with '/'");
    check("  \"/a\\n- GET /**\": { get: {} }", "GET /a\\n- GET /**: a control character never passes");
    check(
        "  /a: { get: { servers: [ { url: https://other.example } ] } }",
        "GET /a: it is at another server, https://other.example",
    );
}

#[test]
fn a_base_path_makes_no_path_of_what_is_none() {
    let document = format!("servers: [ {{ url: /v2 }} ]\n{}", with_paths("  a: { get: {} }\n  /b: { get: {} }"));
    let (text, left_out) = imported(&args(), &document).unwrap();
    assert_eq!(left_out, ["GET a: a path begins with '/'"]);
    assert!(text.contains("- GET /v2/b\n") && !text.contains("/v2a"), "{text}");
}

#[test]
fn servers_make_a_prefix() {
    let document = |servers: &str| format!("servers: {servers}\n{}", with_paths("  /a: { get: {} }"));
    let check = |servers: &str, rule: &str| assert_eq!(rules(&document(servers)), [rule], "{servers}");
    check("[]", "GET /a");
    check("[ { url: /v2/ }, { url: /v3 } ]", "GET /v2/a");
    check("[ { url: 'https://x/{v}', variables: { v: { default: v4 } } } ]", "GET /v4/a");
    check("[ { url: https://x/a*b } ]", "GET /a%2Ab/a");
    let own = "servers: [ { url: https://x/v1 } ]\n".to_owned()
        + &with_paths(
            "  /a: { servers: [ { url: https://x/v2 } ], get: {}, put: { servers: [ { url: https://X/v3 } ] } }",
        );
    assert_eq!(rules(&own), ["GET /v2/a", "PUT /v3/a"]);
    let given = ImportArgs { base_path: Some("/mine/".to_owned()), ..args() };
    assert!(imported(&given, &document("[ { url: relative } ]")).unwrap().0.contains("- GET /mine/a\n"));
    let given = ImportArgs { base_path: Some("mine".to_owned()), ..args() };
    assert!(
        matches!(imported(&given, &document("[]")), Err(Exit::Usage(text)) if text.contains("begins with a slash"))
    );
}

#[test]
fn tags_choose() {
    let document =
        with_paths("  /a: { get: { tags: [x, y] }, put: { tags: [y] }, post: {} }\n  /b: { get: { tags: [z] } }");
    let check = |tags: &[&str], expected: Result<&str, &str>| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        match (imported(&ImportArgs { tags, ..args() }, &document), expected) {
            (Ok((text, _)), Ok(rules)) => assert!(text.ends_with(rules), "{text}"),
            (Err(Exit::Usage(text)), Err(piece)) => assert!(text.contains(piece), "{text}"),
            (outcome, _) => panic!("{outcome:?}"),
        }
    };
    check(&["x"], Ok("allow:\n      - GET /a\n"));
    check(&["y", "z"], Ok("allow:\n      - GET,PUT /a\n      - GET /b\n"));
    check(&["w"], Err("its tags are x, y, z"));
}

#[test]
fn references_within_the_document_are_followed() {
    let document = |reference: &str| {
        with_paths(&format!(
            "  /a: {{ $ref: '{reference}', get: {{ operationId: own }} }}\n  /b/{{c}}: {{ put: {{}} }}"
        )) + "components: { pathItems: { One: { $ref: '#/components/pathItems/Two', head: {} }, Two: { get: {} }, \
               Loop: { $ref: '#/components/pathItems/Loop' } } }\n"
    };
    assert_eq!(rules(&document("#/components/pathItems/One")), ["GET,HEAD /a", "PUT /b/{c}"]);
    assert_eq!(rules(&document("#/paths/~1b~1%7Bc%7D")), ["GET,PUT /a", "PUT /b/{c}"]);
    let check = |reference: &str, piece: &str| {
        let Err(Exit::Usage(text)) = imported(&args(), &document(reference)) else { panic!("{reference} is followed") };
        assert!(text.contains(piece), "{text}");
        assert!(text.contains("openapi.yaml:"), "{text}");
    };
    check("other.yaml#/paths/~1a", "`other.yaml#/paths/~1a` is another file");
    check("https://x/y#/components/pathItems/Two", "is another file");
    check("#/components/pathItems/Three", "is no path item of this document");
    check("#/components/schemas/Two", "is no path item of this document");
    check("#", "is no path item of this document");
    check("#/components/pathItems/Loop", "back to itself");
    check("#/paths/~1a", "back to itself");
}

#[test]
fn what_is_no_openapi_document_is_refused() {
    let check = |document: &str, pieces: &[&str]| {
        let Err(Exit::Usage(text)) = imported(&args(), document) else { panic!("{document} is taken") };
        assert!(pieces.iter().all(|piece| text.contains(piece)), "{document}\n{text}");
    };
    check("swagger: '2.0'\npaths: {}\n", &["Swagger 2.0", "openapi.yaml:1:10", "convert it"]);
    check("openapi: 3.2.0\npaths: {}\n", &["OpenAPI 3.2.0 cannot be read", ":1:10"]);
    check("openapi: 3.10.0\npaths: {}\n", &["OpenAPI 3.10.0 cannot be read"]);
    check("openapi: 2\npaths: {}\n", &["OpenAPI 2 cannot be read"]);
    check("paths: {}\n", &["it has no `openapi`"]);
    check("services: {}\n", &["it has no `openapi`"]);
    check("", &["the file is empty"]);
    check("{\"openapi\": \"3.0.0\", ", &["not valid YAML"]);
    check("openapi: 3.0.0\n", &["no operations"]);
    check("openapi: 3.1.0\nwebhooks: { a: { post: {} } }\n", &["no operations"]);
    check("openapi: 3.0.0\npaths: [ a ]\n", &[":2:8", "keys and values"]);
    check("openapi: 3.0.0\npaths: { /a: { get: [] } }\n", &[":2:", "keys and values"]);
    check("openapi: 3.0.0\npaths: { /a: { get: {} }, /a: { put: {} } }\n", &["`/a` stands here a second time"]);
    check("openapi: 3.0.0\nservers: [ { url: v2 } ]\npaths: { /a: { get: {} } }\n", &[":2:19", "--base-path"]);
    check("openapi: 3.0.0\nx: &x [ *x ]\npaths: {}\n", &["openapi.yaml"]);
}

/// Neither nesting, nor aliases, nor mere length can keep it busy or fill the memory.
#[test]
fn bombs_do_not_go_off() {
    let deep = format!("openapi: 3.0.0\nx: {}\n", "[".repeat(100_000));
    let mut laughs = "openapi: 3.0.0\nx0: &x0 [ a ]\n".to_owned();
    for level in 1..40 {
        laughs.push_str(&format!("x{level}: &x{level} [ *x{0}, *x{0}, *x{0} ]\n", level - 1));
    }
    let same = "{ get: {}, put: {} }, ".repeat(3);
    let faults: String = (0..1000).map(|n| format!("  /{n}: {{ $ref: other.yaml }}\n")).collect();
    for document in [&deep, &laughs, &with_paths(&format!("  /a: [ {same} ]")), &with_paths(&faults)] {
        let Err(Exit::Usage(text)) = imported(&args(), document) else { panic!("it is taken") };
        assert!(text.len() < 10_000, "{text}");
    }
}

/// A document can come from anywhere.
#[test]
fn nothing_in_a_document_can_steer_a_terminal() {
    let steering = [
        "openapi: \"\\e[2J\"",
        "swagger: \"\\e[2J\"",
        "openapi: 3.0.0\npaths: { /a: { $ref: \"\\e[2J\" }, /b: { $ref: \"#\\e[2J\" } }",
        "openapi: 3.0.0\nservers: [ { url: \"\\e[2J\" } ]",
        "openapi: 3.0.0\nservers: [ { url: \"{\\e[2J}\" } ]",
        "openapi: 3.0.0\npaths: { /a: { get: { tags: [ \"\\e[2J\" ] } } }",
    ];
    for document in steering {
        let Err(Exit::Usage(text)) = imported(&ImportArgs { tags: vec!["x".to_owned()], ..args() }, document) else {
            panic!("{document} is taken")
        };
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}[2J"), "{text}");
    }
}

#[test]
fn names_and_titles_cannot_break_out() {
    let title = "openapi: 3.0.0\ninfo: { title: \"A\\n  x:\\n\\u202e B\", version: \"1\\n2\" }\npaths: { /a: { get: { operationId: \"g\\n- GET /**\" } } }\n";
    let (text, _) = imported(&args(), title).unwrap();
    let expected = "# 1 operation of A\\n  x:\\n\\u{202e} B, 1\\n2\nservices:\n  a-x-b:\n    upstream: http://127.0.0.1:8080\n    allow:\n      - GET /a  # g\\n- GET /**\n";
    assert_eq!(text, expected);
    let untitled = "openapi: 3.0.0\npaths: { /a: { get: {} } }\n";
    assert!(imported(&args(), untitled).unwrap().0.contains("\n  untitled:\n"));
    for (service, upstream) in [("Bad Name", "http://127.0.0.1:1"), ("good", "http://x/path"), ("a\nb: {}", "http://x")]
    {
        let args = ImportArgs { service: Some(service.to_owned()), upstream: upstream.to_owned(), ..args() };
        assert!(matches!(imported(&args, untitled), Err(Exit::Usage(_))), "{service} {upstream}");
    }
}
