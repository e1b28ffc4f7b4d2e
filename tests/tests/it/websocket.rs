//! A real WebSocket client and a real server, which know nothing of the bridge between them.

use futures_util::{SinkExt as _, StreamExt as _};
use reachback_tests::{pattern, wait::within};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::upgrades::Pipe;

type Socket = WebSocketStream<TcpStream>;

/// Client and server, with a subprotocol that they agree on.
async fn sockets(pipe: &Pipe) -> (Socket, Socket) {
    let mut request = format!("ws://{}/ws", pipe.facade()).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat.v1".parse().unwrap());
    let stream = TcpStream::connect(pipe.facade()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let server = async {
        let stream = pipe.accept().await;
        stream.set_nodelay(true).unwrap();
        #[expect(clippy::result_large_err, reason = "the library says so")]
        let agree = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], "chat.v1");
            response.headers_mut().insert("sec-websocket-protocol", "chat.v1".parse().unwrap());
            Ok(response)
        };
        accept_hdr_async(stream, agree).await
    };
    let (client, server) =
        within("both handshakes", async { tokio::join!(client_async(request, stream), server) }).await;
    let (client, response) = client.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1");
    (client, server.unwrap())
}

async fn next(socket: &mut Socket) -> Message {
    within("a message", socket.next()).await.expect("the socket goes on").unwrap()
}

#[tokio::test]
async fn messages_of_a_mebibyte_and_closing_by_the_client() {
    let pipe = Pipe::new().await;
    let (mut client, mut server) = sockets(&pipe).await;
    let large = Message::binary(pattern::bytes(1 << 20));
    for _ in 0..4 {
        let (sent, received) = tokio::join!(client.send(large.clone()), next(&mut server));
        sent.unwrap();
        assert!(received == large);
        let (sent, received) = tokio::join!(server.send(received), next(&mut client));
        sent.unwrap();
        assert!(received == large);
    }
    closes(client, server).await;
}

#[tokio::test]
async fn ten_thousand_small_messages_in_order_and_closing_by_the_server() {
    let pipe = Pipe::new().await;
    let (client, server) = sockets(&pipe).await;
    let (mut to_server, mut from_server) = client.split();
    let (mut to_client, mut from_client) = server.split();
    let ask = async {
        for number in 0..10_000 {
            to_server.feed(Message::text(format!("message {number}"))).await.unwrap();
            if number % 7 == 0 {
                to_server.flush().await.unwrap();
            }
        }
        to_server.flush().await.unwrap();
    };
    let echo = async {
        for _ in 0..10_000 {
            let message = within("a message", from_client.next()).await.unwrap().unwrap();
            to_client.send(message).await.unwrap();
        }
    };
    let hear = async {
        for number in 0..10_000 {
            let message = within("an echo", from_server.next()).await.unwrap().unwrap();
            assert_eq!(message, Message::text(format!("message {number}")));
        }
    };
    tokio::join!(ask, echo, hear);
    closes(to_client.reunite(from_client).unwrap(), to_server.reunite(from_server).unwrap()).await;
}

/// One closes with a code and a reason, the other reads both and echoes them; then both connections end.
async fn closes(mut one: Socket, mut other: Socket) {
    let frame = CloseFrame { code: CloseCode::Library(4001), reason: "done \u{2713}".into() };
    one.close(Some(frame.clone())).await.unwrap();
    assert_eq!(next(&mut other).await, Message::Close(Some(frame.clone())));
    // The server drops its connection at once, and that is what the client waits for.
    let end = async |mut socket: Socket| {
        let mut last = None;
        while let Some(Ok(message)) = socket.next().await {
            last = Some(message);
        }
        last
    };
    let (echo, nothing) = within("both ends", async { tokio::join!(end(one), end(other)) }).await;
    assert_eq!((echo, nothing), (Some(Message::Close(Some(frame))), None));
}

#[tokio::test]
async fn pings_are_the_applications_own() {
    let pipe = Pipe::new().await;
    let (mut client, mut server) = sockets(&pipe).await;
    client.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(next(&mut server).await, Message::Ping("are you there".into()));
    server.flush().await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong("are you there".into()));
}
