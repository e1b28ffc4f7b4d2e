//! A proxy on the way to a gateway: SOCKS5, or HTTP with an answer of the test's. Every name leads to one target.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    bridge::{self, ALLOW, Sidecar},
    client::call,
    scratch::Scratch,
    upstream::Upstream,
};

/// What is beyond a proxy: a gateway that wants a token, and a folder with that for an agent; and an upstream beside the
/// agent.
#[derive(Debug)]
pub struct Beyond {
    /// The gateway.
    pub gateway: Sidecar,
    /// The upstream.
    pub upstream: Upstream,
    /// Where the agent's files are.
    pub folder: Scratch,
}

/// The token that opens the gateway.
pub const TOKEN: &str = "seven-0123456789abcdef";

impl Beyond {
    /// `more`: further keys of the gateway.
    ///
    /// # Panics
    /// If the folder cannot be written.
    pub async fn start(more: &str) -> Self {
        let folder = Scratch::new();
        folder.write("seven.token", TOKEN);
        let token = folder.file("seven.token");
        let agents = format!("agents: [ {{ name: a, token_file: {}, services: [ orders ] }} ]", token.display());
        let gateway = Sidecar::gateway(&bridge::gateway_yaml(&format!("{more}\n{agents}")));
        Self { gateway, upstream: Upstream::start().await, folder }
    }

    /// The configuration of an agent that dials this URL; `more`: further keys.
    #[must_use]
    pub fn agent_yaml(&self, gateway: &str, more: &str) -> String {
        format!(
            "gateways: [ {gateway} ]\ntoken_file: seven.token\nadmin: {{ listen: 127.0.0.1:0 }}\n{more}\n\
             services: {{ orders: {{ upstream: \"http://{}\", allow: {ALLOW} }} }}\n",
            self.upstream.address()
        )
    }

    /// A call reaches the upstream.
    ///
    /// # Panics
    /// If it does not.
    pub async fn answers(&self) {
        let answer = call(self.gateway.address("facade"), "GET", "/bytes/9", "").await;
        assert_eq!((answer.status(), answer.body.len()), (200, 9));
    }
}

/// The proxy; it and all its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Asked,
    task: JoinHandle<()>,
}

type Asked = Arc<Mutex<Vec<String>>>;

/// What a proxy says.
#[derive(Clone, Copy, Debug)]
pub enum Manners {
    /// SOCKS5, to anybody, or to whoever shows this name and password.
    Socks5(Option<(&'static str, &'static str)>),
    /// SOCKS5, and this reply to everybody.
    Socks5Reply(u8),
    /// This answer to a request for a connection, which is made if the answer is a 200. None: silence.
    Http(&'static str),
}

impl Proxy {
    /// A proxy on loopback.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn start(manners: Manners, target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let asked = Asked::default();
        let log = asked.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, manners, target, log.clone()));
            }
        });
        Self { address, asked, task }
    }

    /// What it was asked for so far: the places, or the whole heads if it speaks HTTP.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nothing panics while it holds the list").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error ends the connection, which the agent's log shows.
async fn serve(mut near: TcpStream, manners: Manners, target: SocketAddr, asked: Asked) -> std::io::Result<()> {
    let (place, answer) = match manners {
        Manners::Http(answer) => (http_request(&mut near).await?, answer.as_bytes().to_vec()),
        Manners::Socks5(login) => match socks5_request(&mut near, login).await? {
            Some(place) => (place, vec![5, 0, 0, 1, 127, 0, 0, 1, 0, 1]),
            None => return Ok(()),
        },
        Manners::Socks5Reply(reply) => {
            (socks5_request(&mut near, None).await?.unwrap_or_default(), vec![5, reply, 0, 1, 0, 0, 0, 0, 0, 0])
        }
    };
    asked.lock().expect("nothing panics while it holds the list").push(place);
    near.write_all(&answer).await?;
    if answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(&[5, 0]) {
        let mut far = TcpStream::connect(target).await?;
        copy_bidirectional(&mut near, &mut far).await?;
    }
    // Whatever else there is to say, the agent has to end it.
    near.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn http_request(near: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(near.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// `None` if the credentials are not the right ones.
async fn socks5_request(near: &mut TcpStream, login: Option<(&str, &str)>) -> std::io::Result<Option<String>> {
    let mut greeting = [0; 3];
    near.read_exact(&mut greeting).await?;
    match (greeting, login) {
        ([5, 1, 0], None) => near.write_all(&[5, 0]).await?,
        ([5, 1, 2], Some((user, password))) => {
            near.write_all(&[5, 2]).await?;
            assert_eq!(near.read_u8().await?, 1);
            let shown = (text(near).await?, text(near).await?);
            let right = shown == (user.to_owned(), password.to_owned());
            near.write_all(&[1, u8::from(!right)]).await?;
            if !right {
                return Ok(None);
            }
        }
        _ => {
            near.write_all(&[5, 0xff]).await?;
            return Ok(None);
        }
    }
    let mut request = [0; 4];
    near.read_exact(&mut request).await?;
    assert_eq!(request, [5, 1, 0, 3], "the agent leaves names to the proxy");
    Ok(Some(format!("{}:{}", text(near).await?, near.read_u16().await?)))
}

async fn text(near: &mut TcpStream) -> std::io::Result<String> {
    let mut text = vec![0; near.read_u8().await?.into()];
    near.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
