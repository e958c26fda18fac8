//! Connections to web servers: a name is looked up once, every address that it has is checked, and what is connected to is one
//! of those. Nothing is looked up between check and connection, so a name that changes its address gains nothing.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Host;
use url::Url;

use super::FetchError;
use super::guard;
use super::guard::Guard;
use super::guard::Network;

/// Connections that are kept for the next request, and how long; servers close theirs after some seconds as well.
const MOST_IDLE: usize = 16;
const IDLE: Duration = Duration::from_secs(10);
/// Addresses of one name that are looked at, and of those the ones that are tried.
const MOST_ADDRESSES: usize = 64;
const TRIED: usize = 3;
/// Longest head of an answer.
const MOST_HEAD: usize = 32 * 1024;
const MOST_HEADERS: usize = 100;

type Sender = SendRequest<Empty<Bytes>>;

/// What connects.
pub(super) struct Connections {
    guard: Guard,
    /// Certificates that are trusted; the system's, once they are needed.
    roots: OnceLock<Arc<ClientConfig>>,
    idle: Mutex<Vec<Idle>>,
}

/// A connection that waits for the next request to its origin.
struct Idle {
    origin: String,
    sender: Sender,
    since: Instant,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Connections {
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, roots: OnceLock::new(), idle: Mutex::default() }
    }

    /// Trusts `roots` in place of the system's.
    #[cfg(test)]
    pub(super) fn trust(&self, roots: RootCertStore) {
        self.roots.set(Arc::new(tls_config(roots).unwrap())).unwrap();
    }

    /// Sends a request for `url`, on a connection that is there or a new one.
    pub(super) async fn send(
        &self,
        url: &Url,
        request: &Request<Empty<Bytes>>,
    ) -> Result<(Sender, Response<Incoming>), FetchError> {
        let origin = url.origin().ascii_serialization();
        // A server may have closed it just now: then it has not seen the request.
        while let Some(mut sender) = self.take_idle(&origin) {
            if let Ok(response) = sender.send_request(request.clone()).await {
                return Ok((sender, response));
            }
        }
        let mut sender = self.connect(url).await?;
        let response = sender.send_request(request.clone()).await.map_err(|_broken| FetchError::Garbled)?;
        Ok((sender, response))
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn keep(&self, url: &Url, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (origin, since) = (url.origin().ascii_serialization(), Instant::now());
        idle.retain(|kept| kept.since.elapsed() < IDLE && !kept.sender.is_closed());
        if idle.len() < MOST_IDLE {
            idle.push(Idle { origin, sender, since });
        }
    }

    fn take_idle(&self, origin: &str) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < IDLE && !kept.sender.is_closed());
        let at = idle.iter().position(|kept| kept.origin == origin && kept.sender.is_ready())?;
        Some(idle.swap_remove(at).sender)
    }

    async fn connect(&self, url: &Url) -> Result<Sender, FetchError> {
        let port = url.port_or_known_default().ok_or(FetchError::Address)?;
        let host = url.host().ok_or(FetchError::Address)?;
        let addresses = resolve(&host, port).await?;
        let on_link = networks_of_this_device().await;
        check(&self.guard, &addresses, &on_link)?;
        let mut stream = None;
        for address in addresses.iter().take(TRIED) {
            if let Ok(connected) = TcpStream::connect(address).await {
                stream = Some(connected);
                break;
            }
        }
        let stream = stream.ok_or(FetchError::Unreachable)?;
        // Requests are small and wait for nothing.
        stream.set_nodelay(true).ok();
        if url.scheme() == "http" {
            return speak(stream).await;
        }
        let name = match host {
            Host::Domain(name) => {
                ServerName::try_from(name.to_owned()).map_err(|_name| FetchError::Address)?
            }
            Host::Ipv4(v4) => ServerName::from(IpAddr::V4(v4)),
            Host::Ipv6(v6) => ServerName::from(IpAddr::V6(v6)),
        };
        let connector = TlsConnector::from(self.tls()?);
        speak(connector.connect(name, stream).await.map_err(|_tls| FetchError::Unreachable)?).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, FetchError> {
        if let Some(known) = self.roots.get() {
            return Ok(Arc::clone(known));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = Arc::new(tls_config(roots).ok_or(FetchError::Unreachable)?);
        Ok(Arc::clone(self.roots.get_or_init(|| config)))
    }
}

fn tls_config(roots: RootCertStore) -> Option<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(config)
}

/// All addresses of a host; the one look-up that there is.
async fn resolve(host: &Host<&str>, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
    match host {
        Host::Ipv4(v4) => Ok(vec![SocketAddr::from((*v4, port))]),
        Host::Ipv6(v6) => Ok(vec![SocketAddr::from((*v6, port))]),
        Host::Domain(name) => {
            let found =
                tokio::net::lookup_host((*name, port)).await.map_err(|_name| FetchError::Unreachable)?;
            let addresses: Vec<SocketAddr> = found.take(MOST_ADDRESSES + 1).collect();
            if addresses.len() > MOST_ADDRESSES { Err(FetchError::Private) } else { Ok(addresses) }
        }
    }
}

/// One private address among public ones is somebody's try to have it picked.
fn check(guard: &Guard, addresses: &[SocketAddr], on_link: &[Network]) -> Result<(), FetchError> {
    let all = addresses.iter().all(|address| guard.allows(address.ip(), on_link));
    if all { Ok(()) } else { Err(FetchError::Private) }
}

async fn networks_of_this_device() -> Vec<Network> {
    let [route, if_inet6] = ["/proc/net/route", "/proc/net/if_inet6"].map(tokio::fs::read_to_string);
    guard::on_link(&route.await.unwrap_or_default(), &if_inet6.await.unwrap_or_default())
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Result<Sender, FetchError> {
    let made = http1::Builder::new()
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await;
    let (sender, connection) = made.map_err(|_broken| FetchError::Garbled)?;
    // It ends when its sender is dropped, and with the last answer.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_private_address_among_public_ones_is_enough() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 443);
        let guard = Guard::default();
        assert_eq!(check(&guard, &[at("1.1.1.1"), at("2606:4700::1")], &[]), Ok(()));
        assert_eq!(check(&guard, &[at("1.1.1.1"), at("10.0.0.1")], &[]), Err(FetchError::Private));
        assert_eq!(check(&guard, &[at("::1"), at("1.1.1.1")], &[]), Err(FetchError::Private));
    }
}
