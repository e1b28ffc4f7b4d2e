//! `reachback allow`: the whitelist asked, shown and proposed, through the binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod folder;

use std::{fs, path::Path};

use folder::Folder;
use serde_json::{Value, json};

#[test]
fn test_says_which_rule_or_why_not() {
    let folder = Folder::new();
    // The secrets are not needed for it.
    fs::remove_file(folder.0.file("warehouse-7.token")).unwrap();
    let check = |args: &[&str], code, fragments: &[&str]| {
        folder.check(&[&["allow", "test", "--config", "agent.yaml"], args].concat(), code, fragments)
    };
    check(&["orders", "GET", "/orders/42"], 0, &["allowed by orders.allow[1] \"GET,HEAD /orders/{id}\"\n"]);
    check(&["orders", "DELETE", "/orders/42"], 1, &["refused", "nearest: orders.allow[1]"]);
    check(&["orders", "GET", "/orders/%2e%2e/admin"], 1, &["refused at step 5"]);
    check(&["invoices", "GET", "/"], 1, &["refused", "the services here are orders"]);
    check(&["Orders", "GET", "/"], 2, &["\"Orders\" is not a name"]);
    check(&["orders", "G T", "/"], 2, &["\"G T\" is not a method"]);
    check(
        &["orders", "GET", "/orders", "--header", "Accept: */*", "-H", "Host: h"],
        0,
        &["allowed by orders.allow[0]"],
    );
    check(&["orders", "POST", "/orders", "-H", "Content-Length: x"], 1, &["Content-Length is not a number"]);
    check(&["orders", "GET", "/orders", "--upgrade"], 1, &["no rule permits an upgrade"]);
    check(&["orders", "GET", "/orders", "-H", "Accept"], 2, &["\"Accept\" is not a header; write 'NAME: VALUE'"]);
    let output = check(&["orders", "GET", "/orders", "--json"], 0, &[]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["allowed"], &answer["rule"]["index"]), (&true.into(), &0.into()));
    let output = check(&["orders", "GET", "/orders//", "--json"], 1, &[]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["allowed"], &answer["step"], &answer["code"]), (&false.into(), &6.into(), &"denied".into()));
    folder.write("agent.yaml", "services: { orders: {} }\n");
    check(&["orders", "GET", "/"], 2, &["agent.yaml:1:13", "has no upstream"]);
}

#[test]
fn list_shows_what_is_in_force() {
    let folder = Folder::new();
    fs::remove_file(folder.0.file("warehouse-7.token")).unwrap();
    let list = |args: &[&str], code, fragments: &[&str]| {
        folder.check(&[&["allow", "list", "--config", "agent.yaml"], args].concat(), code, fragments)
    };
    let table = "orders at http://127.0.0.1:3000, mode enforce
  rule  methods   path
  0     GET       /orders
  1     GET,HEAD  /orders/{id}
  2     POST      /orders
";
    assert_eq!(String::from_utf8(list(&[], 0, &[]).stdout).unwrap(), table);
    assert_eq!(String::from_utf8(list(&["orders"], 0, &[]).stdout).unwrap(), table);
    let answer: Value = serde_json::from_slice(&list(&["--json"], 0, &[]).stdout).unwrap();
    assert_eq!((&answer[0]["service"], &answer[0]["rules"][1]["index"]), (&json!("orders"), &json!(1)));
    assert_eq!(answer[0]["rules"][1]["methods"], json!(["GET", "HEAD"]));
    folder.write(
        "long.yaml",
        "services: { o: { upstream: http://h, allow: [ GET /a, { path: '/{f}', methods: [PUT, POST], query: none, max_body: 1MiB, response_timeout: 5m } ] } }\n",
    );
    let table = "o at http://h:80, mode enforce
  rule  methods   path  conditions
  0     GET       /a
  1     PUT,POST  /{f}  no query; max_body 1MiB; response_timeout 5m
";
    assert_eq!(
        String::from_utf8(folder.check(&["allow", "list", "--config", "long.yaml"], 0, &[]).stdout).unwrap(),
        table
    );
    list(&["order"], 2, &["no service \"order\"", "did you mean `orders`?"]);
    folder.write(
        "agent.yaml",
        "services: { orders: { upstream: http://127.0.0.1:1 }, b: { upstream: http://h, mode: audit } }\n",
    );
    let both = "orders at http://127.0.0.1:1, mode enforce
  no rules: nothing is allowed

b at http://h:80, mode audit
  what no rule allows is SENT, and logged
  no rules: nothing is allowed
";
    assert_eq!(String::from_utf8(list(&[], 0, &[]).stdout).unwrap(), both);
    folder.check(&["allow", "test", "--config", "agent.yaml", "b", "GET", "/"], 1, &["refused", "SENT ALL THE SAME"]);
}

/// The documents beside the tests, what each becomes, and requests that must then pass and fail.
#[test]
fn what_import_writes_allows_each_operation_and_no_other() {
    let check = |document: &str, service: &str, allowed: &[(&str, &str)], denied: &[(&str, &str)]| {
        let folder = Folder::new();
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(document);
        let output = folder.check(&["allow", "import", document.to_str().unwrap(), "--service", service], 0, &[]);
        paste(&folder, &String::from_utf8(output.stdout).unwrap());
        for (requests, code) in [(allowed, 0), (denied, 1)] {
            for (method, target) in requests {
                folder.check(&["allow", "test", "--config", "agent.yaml", service, method, target], code, &[]);
            }
        }
    };
    let allowed = [
        ("GET", "/v2/pets?limit=3"),
        ("HEAD", "/v2/pets"),
        ("POST", "/v2/pets"),
        ("GET", "/v2/pets/7"),
        ("DELETE", "/v2/pets/rex"),
        ("GET", "/v2/pets/7/photos/front.png"),
        ("POST", "/v2/visits/9:cancel"),
        ("GET", "/v2/files/*"),
    ];
    let denied = [
        ("GET", "/pets"),
        ("TRACE", "/v2/pets"),
        ("PUT", "/v2/pets/7"),
        ("HEAD", "/v2/pets/7"),
        ("GET", "/v2/files/other"),
        ("POST", "/v2/uploads"),
        ("GET", "/v2/search?type=pets"),
        ("GET", "/admin"),
    ];
    check("pets.yaml", "pets", &allowed, &denied);
    let allowed = [
        ("GET", "/items"),
        ("POST", "/items"),
        ("GET", "/items/1"),
        ("PUT", "/items/1"),
        ("PATCH", "/items/1"),
        ("PATCH", "/legacy/items/1"),
        ("OPTIONS", "/caf%C3%A9/men%C3%BC"),
    ];
    check("warehouse.yaml", "stock.main", &allowed, &[("DELETE", "/items/1"), ("POST", "/restock"), ("GET", "/")]);
    let allowed = [("GET", "/tickets"), ("GET", "/tickets/1"), ("DELETE", "/tickets/1")];
    check("tickets.json", "tickets", &allowed, &[("HEAD", "/tickets"), ("POST", "/tickets")]);
}

/// Puts a service into an agent's configuration as it was printed, and checks that.
fn paste(folder: &Folder, services: &str) {
    folder.write("agent.yaml", &format!("gateways: [ws://127.0.0.1:7100]\ntoken_file: warehouse-7.token\n{services}"));
    folder.check(&["check", "--config", "agent.yaml"], 0, &["an agent's configuration, and good"]);
}

#[test]
fn import_says_what_it_leaves_out_and_what_it_cannot_use() {
    let folder = Folder::new();
    let document = "openapi: 3.0.0\npaths: { /a: { get: {}, trace: {} }, /b: { $ref: \"b.yaml\" } }\n";
    folder.write("api.yaml", document);
    let refused = ["error: `b.yaml` is another file", "--> api.yaml:2:50", "bundle the document"];
    let output = folder.check(&["allow", "import", "api.yaml"], 2, &refused);
    assert!(output.stdout.is_empty());
    folder.write("api.yaml", &document.replace("$ref: \"b.yaml\"", "put: { tags: [x] }"));
    let output = folder.check(&["allow", "import", "api.yaml", "--upstream", "http://h:9"], 0, &[]);
    let expected = "# 2 operations of untitled, of no version
services:
  untitled:
    upstream: http://h:9
    allow:
      - GET /a
      - PUT /b
      # left out: TRACE /a: TRACE never passes
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "warning: left out: TRACE /a: TRACE never passes\n");
    folder.check(&["allow", "import", "api.yaml", "--tag", "y"], 2, &["no operation of the document has the tag `y`"]);
    folder.check(&["allow", "import", "none.yaml"], 2, &["cannot be read", "none.yaml"]);
    folder.check(&["allow", "import", "agent.yaml"], 2, &["no OpenAPI document"]);
}

const AUDIT: &str = r#"{"time":"2026-01-31T10:00:00.000Z","request_id":"a","service":"orders","method":"GET","path":"/orders/42","verdict":"allowed","rule":1,"text":"GET,HEAD /orders/{id}"}
not a line
{"time":"2026-01-31T10:00:01.000Z","request_id":"b","service":"orders","method":"GET","path":"/orders/44/lines","verdict":"would_deny","code":"denied","step":"rules","reason":"no rule allows this method and path","query":["page"]}
{"time":"2026-01-31T10:00:02.000Z","request_id":"c","service":"orders","method":"DELETE","path":"/orders/44/lines","verdict":"would_deny","code":"denied","step":"rules","reason":"no rule allows this method and path"}
{"time":"2026-01-31T10:00:03.000Z","request_id":"d","service":"orders","method":"GET","path":"/orders/44/lines","verdict":"would_deny","code":"denied","step":"rules","reason":"no rule allows this method and path"}
{"time":"2026-01-31T10:00:04.000Z","request_id":"e","service":"orders","method":"GET","path":"/a;b","verdict":"would_deny","code":"denied","step":7,"reason":"the path holds ';', which no rule permits here"}
{"time":"2026-01-31T10:00:05.000Z","request_id":"f","service":"orders","method":"GET","path":"/admin","verdict":"denied","code":"denied","step":"rules","reason":"no rule allows this method and path"}
"#;

#[test]
fn what_learn_proposes_allows_what_was_seen() {
    let folder = Folder::new();
    folder.write("audit.jsonl", AUDIT);
    let output = folder.check(&["allow", "learn", "--config", "agent.yaml", "audit.jsonl"], 0, &[]);
    let expected = "services:
  orders:
    allow:
      - GET,DELETE /orders/{id}/lines  # 3 requests; GET 2, DELETE 1; such as /orders/44/lines; query: page
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let notes = "warning: audit.jsonl:2: it is not JSON
warning: audit.jsonl:6: the path holds ';', which no rule permits here (byte 2 of the target)
note: 1 request allowed by the rules there are
note: 1 request denied, and left out; --denied takes them in
";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), notes);

    let output = folder.check(&["allow", "learn", "audit.jsonl", "audit.jsonl"], 0, &["# 6 requests"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace("  orders:\n", "  orders:\n    upstream: http://127.0.0.1:3000\n");
    paste(&folder, &text);
    for (method, path, code) in [("GET", "/orders/42", 0), ("DELETE", "/orders/1/lines", 0), ("GET", "/admin", 1)] {
        folder.check(&["allow", "test", "--config", "agent.yaml", "orders", method, path], code, &[]);
    }
    // Nothing new is left to learn, in audit mode neither.
    folder.write("audit.yaml", &text.replace("3000\n", "3000\n    mode: audit\n"));
    folder.check(&["allow", "learn", "--config", "audit.yaml", "audit.jsonl"], 1, &["the rules allow all"]);
    let nothing = ["error: there is nothing to propose: the rules allow all"];
    folder.check(&["allow", "learn", "--config", "agent.yaml", "audit.jsonl"], 1, &nothing);
}

#[test]
fn learn_names_the_services_if_there_is_no_such() {
    let folder = Folder::new();
    let line =
        |service| format!("{}\n", json!({ "service": service, "method": "GET", "path": "/", "verdict": "denied" }));
    folder.write("audit.jsonl", &(line("orders") + &line("stock") + &line("orders")));
    let learn = |service, said: &[&str]| {
        folder.check(&["allow", "learn", "--service", service, "audit.jsonl"], 1, said);
    };
    learn("foo", &["nothing to propose: no line is for `foo`\n = there are lines for orders, stock\n"]);
    learn("order", &["no line is for `order`\n = did you mean `orders`? there are lines for orders, stock\n"]);
    learn("stock", &["no line tells of a request that was let through"]);
}

#[test]
fn learn_reads_standard_input_and_lives_through_garbage() {
    let folder = Folder::new();
    folder.write("garbage", "\0\u{1b}[2J\n[[[[\n{}\n");
    folder.check(&["allow", "learn", "garbage"], 1, &["garbage:1: it is not JSON", "garbage:3:", "nothing to propose"]);
    folder.check(&["allow", "learn", "none"], 2, &["none cannot be read"]);
    folder.check(&["allow", "learn"], 2, &["AUDIT.jsonl"]);
    folder.write("audit.jsonl", &AUDIT.repeat(20));
    let mut command = folder.command(&["allow", "learn", "-"]);
    let output = command.stdin(fs::File::open(folder.0.file("audit.jsonl")).unwrap()).output().unwrap();
    let (text, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(text.contains("- GET,DELETE /orders/{id}/lines  # 60 requests"), "{text}");
    assert_eq!(notes.matches("warning: standard input:").count(), 10, "{notes}");
    assert!(notes.contains("warning: 30 more lines are left out\n"), "{notes}");
}
