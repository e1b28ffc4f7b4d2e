//! Fetches a key set: one GET, no redirects, bounded in size and time.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::limits::{KEYS_BYTES, KEYS_FETCH};

/// The body of a 200.
///
/// # Errors
/// Why there is none, for the log.
pub(super) async fn get(url: &Uri, ca: Option<&[CertificateDer<'static>]>) -> Result<Bytes, String> {
    timeout(KEYS_FETCH, fetch(url, ca)).await.unwrap_or_else(|_| Err("it took too long".to_owned()))
}

async fn fetch(url: &Uri, ca: Option<&[CertificateDer<'static>]>) -> Result<Bytes, String> {
    let tls = url.scheme_str() == Some("https");
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
    if !tls {
        return ask(stream, url).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let config = client(ca).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| error.to_string())?;
    ask(stream, url).await
}

fn client(ca: Option<&[CertificateDer<'static>]>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(authorities) => authorities.iter().try_for_each(|authority| roots.add(authority.clone()))?,
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

async fn ask<S>(stream: S, url: &Uri) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with the answer.
    tokio::spawn(connection);
    let host = url.authority().map_or("", |authority| authority.as_str());
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::get(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer was {}", response.status()));
    }
    let body = Limited::new(response.into_body(), KEYS_BYTES).collect().await.map_err(|error| error.to_string())?;
    Ok(body.to_bytes())
}
