//! curl: what its flags do.

use reachback_tests::{
    bridge::{Bridge, Setup},
    scratch::Scratch,
    tls,
};

use crate::{
    program::{self, Ended},
    world::{HEADS, World},
};

/// What is told of each transfer, in order.
const TOLD: &str = "%{http_code} %{http_version} %{method} %{num_redirects} %{size_download} %{size_upload} \
                    %{content_type} %{redirect_url} %{url_effective} %{exitcode}\n";

/// Arguments, `BASE` being the URL of the site; and how curl ends.
type Row = (&'static str, i32);

const PLAIN: [Row; 17] = [
    ("BASE/bytes/100", 0),
    ("BASE/bytes/5000000 -o big", 0),
    ("-I BASE/bytes/1000", 0),
    ("-X DELETE BASE/echo", 0),
    ("-X PROPFIND -H Depth:1 BASE/echo", 0),
    ("-X OPTIONS BASE/echo", 0),
    ("-g BASE/echo?a[]=1&b={2}", 0),
    ("-G --data-urlencode q=a&b/ü BASE/echo", 0),
    ("--url-query a=b BASE/echo", 0),
    ("-A agent/1 -e http://from/ -H X-Empty; -H Accept: BASE/echo", 0),
    ("-H Connection:close BASE/bytes/100", 0),
    ("BASE/bytes/1 BASE/bytes/2 BASE/bytes/3 -w %{num_connects}", 0),
    ("-N BASE/events/20", 0),
    ("--tr-encoding BASE/bytes/100", 0),
    ("-H TE:trailers BASE/trailers", 0),
    ("--ignore-content-length -H Connection:close BASE/events/2", 0),
    ("-OJ BASE/attachment", 0),
];

const UPLOADS: [Row; 10] = [
    ("-d a=1 -d b=2 BASE/echo", 0),
    ("--json {\"a\":1} BASE/echo", 0),
    ("--data-binary @input BASE/sink", 0),
    ("-H Expect:100-continue --data-binary @input BASE/sink", 0),
    ("-H Transfer-Encoding:chunked --data-binary @input BASE/sink", 0),
    ("-F name=value -F file=@input;type=text/x-gold BASE/sink", 0),
    ("-T input BASE/sink", 0),
    ("-T input --expect100-timeout 60 -H Expect:100-continue BASE/sink", 0),
    ("-X PATCH -d x BASE/echo", 0),
    ("-d x -H Content-Type:application/octet-stream -H Content-Encoding:gzip BASE/echo", 0),
];

const STATUSES: [Row; 22] = [
    ("BASE/status/204", 0),
    ("BASE/status/304", 0),
    ("BASE/status/404", 0),
    ("-f BASE/status/404", 22),
    ("--fail-with-body BASE/status/500", 22),
    ("BASE/redirect/302/1", 0),
    ("-L BASE/redirect/301/2", 0),
    ("-L -d x BASE/redirect/302/1", 0),
    ("-L -d x BASE/redirect/303/1", 0),
    ("-L -d x BASE/redirect/307/1", 0),
    ("-L --post301 -d x BASE/redirect/301/1", 0),
    ("-L --max-redirs 2 BASE/redirect/308/5", 47),
    ("-L -b none -c jar BASE/cookies/set", 0),
    ("-b a=1;b=2 BASE/cookies", 0),
    ("-u ada:lovelace BASE/basic", 0),
    ("-u ada:wrong BASE/basic", 0),
    ("--anyauth -u ada:lovelace BASE/basic", 0),
    ("--compressed BASE/gzip", 0),
    ("--compressed BASE/br", 0),
    ("--compressed BASE/deflate", 0),
    ("BASE/gzip -o raw", 0),
    ("--retry 1 BASE/retry", 0),
];

const PARTS: [Row; 9] = [
    ("-r 0-99 BASE/bytes/1000", 0),
    ("-r -10 BASE/bytes/1000", 0),
    ("-r 2000- BASE/bytes/1000", 0),
    ("-C 5 -o rest BASE/bytes/1000", 0),
    ("-z 2026-03-03 BASE/bytes/1000", 0),
    ("-z 2026-03-01 BASE/bytes/1000", 0),
    ("-H If-None-Match:\"e1\" BASE/bytes/1000", 0),
    ("--max-filesize 99 BASE/bytes/100", 63),
    ("--limit-rate 10M BASE/bytes/100000", 0),
];

/// How much came, and when, is chance.
const FAILURES: [Row; 3] = [
    ("-m 1 --no-show-error BASE/silent", 28),
    ("-w %{exitcode} --no-show-error -o /dev/null BASE/cut", 18),
    ("-w %{exitcode} --no-show-error -o /dev/null BASE/cut/chunks", 18),
];

async fn check(rows: &[Row]) {
    let Some(curl) = program::find(&["curl"], &["--version"], "curl") else { return };
    let Some(world) = World::start().await else { return };
    for (arguments, code) in rows {
        let ended = world.compare(arguments, false, |base, home| {
            std::fs::write(home.join("input"), "All that is gold does not glitter\n".repeat(60_000)).unwrap();
            let mut command = program::command(&curl, home);
            command.args(["-q", "-s", "-S", "-D", HEADS, "-w", TOLD]);
            command.args(arguments.split(' ').map(|argument| argument.replace("BASE", base)));
            command
        });
        assert_eq!(ended.await.0, Some(*code), "curl {arguments}");
    }
}

#[tokio::test]
async fn plain_requests() {
    check(&PLAIN).await;
}

#[tokio::test]
async fn uploads() {
    check(&UPLOADS).await;
}

#[tokio::test]
async fn statuses_and_what_they_lead_to() {
    check(&STATUSES).await;
}

#[tokio::test]
async fn parts() {
    check(&PARTS).await;
}

/// Over TLS a facade speaks the version that curl and it agree on.
#[tokio::test]
async fn over_tls() {
    let Some(curl) = program::find(&["curl"], &["--version"], "curl") else { return };
    let folder = Scratch::new();
    let (facades, _) = tls::facade(&folder, "");
    let bridge = Bridge::with(Setup { facades: &facades, ..Setup::default() }).await;
    let port = bridge.facade().port();
    for (version, expected) in [("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1"), ("--http1.0", "1")] {
        let mut command = program::command(&curl, folder.path());
        command.args(["-q", "-s", "-S", "-w", " %{http_version} %{http_code}", "--cacert", "cert.pem", version]);
        command.args(["--resolve", &format!("localhost:{port}:127.0.0.1"), "-d", "hello"]);
        command.arg(format!("https://localhost:{port}/echo"));
        let Ended { code, stdout, stderr } = program::run(command).await;
        let said = (code, String::from_utf8_lossy(&stdout).into_owned());
        assert_eq!(said, (Some(0), format!("hello {expected} 200")), "{version}: {}", stderr.escape_ascii());
    }
}

#[tokio::test]
async fn failures() {
    check(&FAILURES).await;
}
