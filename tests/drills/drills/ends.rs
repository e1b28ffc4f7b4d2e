//! Faults at the two ends: a client that does not read, and servers that do not answer as they should.

use std::time::Duration;

use reachback_tests::http1::{Left, Piece, Reader};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};

use super::Scale;
use crate::{
    body::Check,
    client::Call,
    ledger::Outcome,
    load::Load,
    report::Report,
    stage::{Plan, Stage},
};

/// One of 100 downloads is not read. The others do not notice; it is whole in the end.
pub(crate) async fn stalled(scale: Scale) -> Report {
    const LENGTH: u64 = 64 << 20;
    let stage = Stage::set(Plan::default()).await;
    let (id, mut stream) = stage.stall(LENGTH).await;
    let load = Load::start(&stage, 50);
    for _ in 0..scale.of(2, 40) {
        stage.calls(99, Call::get(256 * 1024)).await;
    }
    load.stop().await;
    let whole = read_on(id, &mut stream, LENGTH).await;
    drop(stream);
    let mut report = stage.finish("stalled").await;
    report.expect(whole, || "the stalled download was not whole in the end".to_owned());
    report.expect_no_failure();
    report
}

async fn read_on(id: u64, stream: &mut TcpStream, length: u64) -> bool {
    let mut reader = Reader::new(stream);
    let Some(head) = reader.head().await else { return false };
    let (mut left, mut check) = (head.framing(Left::UntilClose), Check::new(id));
    while let Piece::Data(data) = reader.piece(&mut left).await {
        check.add(&data);
    }
    check.is(length)
}

impl Stage {
    /// Asks for a download, and reads nothing of it.
    async fn stall(&self, length: u64) -> (u64, TcpStream) {
        let id = self.unread();
        let mut stream = TcpStream::connect(self.facades[0]).await.expect("the facade listens");
        let request = format!("GET /d/{id}/{length}/0 HTTP/1.1\r\nHost: orders\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the facade reads");
        (id, stream)
    }
}

/// What an upstream does, and what its clients are told.
pub(crate) async fn upstreams(scale: Scale) -> Report {
    let stage = Stage::set(Plan::default()).await;
    let client = &stage.client;
    let load = Load::start(&stage, 50);
    let refused = |code: &str| Outcome::Refused { code: code.to_owned(), retry_safe: false };
    let dribble = Call { pause: Duration::from_millis(50), ..Call::of("dribble", 40) };
    let cases = [
        (Call::of("never", 0), refused("upstream_timeout")),
        (dribble, Outcome::Whole),
        (Call::of("close", 0), refused("upstream_protocol")),
        (Call::of("half", 100_000), Outcome::Cut),
        (Call::of("garbage", 0), refused("upstream_protocol")),
    ];
    let mut wrong = Vec::new();
    for _ in 0..scale.of(1, 20) {
        let calls = cases.iter().flat_map(|case| std::iter::repeat_n(case, 20));
        let calls = calls.map(|(call, expected)| async move { (client.call(*call).await, expected, call.path) });
        let ended = futures_util::future::join_all(calls).await;
        let others = ended.into_iter().filter(|(outcome, expected, _)| !is(outcome, expected));
        wrong.extend(others.map(|(outcome, _, path)| format!("an upstream that does /{path}: {outcome:?}")));
    }
    sleep(Duration::from_millis(100)).await;
    load.stop().await;
    let mut report = stage.finish("upstreams").await;
    report.expect_only(&["upstream_timeout", "upstream_protocol", "cut"]);
    report.broken.extend(wrong);
    report
}

/// An answer that is cut before any of it was written is a connection that closes without an answer.
fn is(outcome: &Outcome, expected: &Outcome) -> bool {
    outcome == expected || (outcome, expected) == (&Outcome::Closed, &Outcome::Cut)
}
