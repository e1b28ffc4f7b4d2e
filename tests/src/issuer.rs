//! Somebody who signs tokens (JWT) for agents, and a server for the keys.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

/// The `iss` of its tokens.
pub const ISSUER: &str = "https://cluster.example";

/// A key that signs.
pub struct Signer {
    id: String,
    key: EncodingKey,
}

impl Signer {
    /// A new key.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made");
        Self { id: id.to_owned(), key: EncodingKey::from_ec_der(&key.serialize_der()) }
    }

    /// The key set that has its public key.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn keys(&self) -> String {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).expect("the key is good");
        jwk.common.key_id = Some(self.id.clone());
        json!({ "keys": [jwk] }).to_string()
    }

    /// A token for a subject that expires so many seconds from now, or before now.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn token(&self, subject: &str, seconds: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs();
        let exp = now.checked_add_signed(seconds).expect("it is a sane time");
        self.sign(&json!({ "iss": ISSUER, "aud": ["reachback"], "sub": subject, "exp": exp }))
    }

    /// A token with these claims.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        encode(&header, claims, &self.key).expect("the key is good")
    }
}

/// A server that gives its key set to whoever connects; it ends when it is dropped.
#[derive(Debug)]
pub struct KeyServer {
    /// Where it listens.
    pub address: SocketAddr,
    keys: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl KeyServer {
    /// Serves this key set.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn start(keys: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let keys = Arc::new(Mutex::new(keys));
        let served = keys.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let keys = served.lock().expect("nothing panics while it holds the keys").clone();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", keys.len());
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") && stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {}
                let _ = stream.write_all((head + &keys).as_bytes()).await;
            }
        });
        Self { address, keys, task }
    }

    /// Serves this from now on.
    ///
    /// # Panics
    /// Never.
    pub fn serve(&self, keys: String) {
        *self.keys.lock().expect("nothing panics while it holds the keys") = keys;
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
