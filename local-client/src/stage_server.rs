//! Serves the stage's files to the engine and holds the one socket to the stage.
//!
//! It listens on the loopback only, on a port of the system's choice. Any program and any web page on
//! this machine can reach that port, so nothing is answered without the random id in the path, the
//! right `Host`, and no foreign `Origin`; the socket asks for the token besides, once per engine.
//!
//! For web clients ([`web`]) there is no engine: the page of the web client brings the stage, and shows what it knows instead.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::FromRequestParts as _;
use axum::extract::Request;
use axum::extract::State;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::CloseFrame;
use axum::extract::ws::Message;
use axum::extract::ws::WebSocket;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use futures_util::SinkExt as _;
use futures_util::StreamExt as _;
use offstage_protocol::CLOSE_TAKEN_OVER;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio::time::timeout;

use crate::client::Fetch;
use crate::client::Fetched;
use crate::stage_server::checks::Refusal;
use crate::stage_server::checks::Secrets;
use crate::stage_server::web::SecretError;
use crate::stage_server::web::Wanted;
use crate::stage_server::web::WebConfig;
use crate::stage_server::web::WebDoor;

pub mod checks;
mod media;
pub mod web;

/// Messages that wait for the stage's socket; the client's own queue comes before them.
const QUEUED_MESSAGES: usize = 8;
/// Room for the largest message of the protocol and its envelope.
const MAX_MESSAGE: usize = offstage_protocol::frame::MAX_MESSAGE + 1024;
/// No file of the stage comes near it.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// How often a web client's page is asked whether it is there, and how long it may say nothing.
const PING_INTERVAL: Duration = Duration::from_secs(4);
const SILENCE_LIMIT: Duration = Duration::from_secs(12);
/// What the system may hold of what is on its way to a web client's page: what comes after it, such as a new place of a picture, waits so
/// long. At 50 ms there and back it lets 40 Mbit/s through.
const SEND_BUFFER: usize = 256 * 1024;
/// The page that the engine starts on, before the token is in place.
const START_PAGE: &str = "<!doctype html><meta charset=utf-8><title>Offstage</title>";

/// What the stage's socket tells the client.
#[derive(Debug)]
pub enum StageEvent {
    /// The socket is open; messages go to `sender`. Its closing ends the socket.
    Connected {
        connection: u64,
        sender: mpsc::Sender<Vec<u8>>,
    },
    Message {
        connection: u64,
        bytes: Vec<u8>,
    },
    Gone {
        connection: u64,
    },
    /// A media element wants bytes of a session's file.
    FetchAsked {
        fetch: Fetch,
        reply: oneshot::Sender<Fetched>,
    },
    /// It doesn't want them any more, or has them.
    FetchDropped {
        token: u64,
    },
    Refused(Refusal),
}

/// The server.
#[derive(Debug, Clone)]
pub struct StageServer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    folder: PathBuf,
    events: mpsc::Sender<StageEvent>,
    drained: Arc<Notify>,
    door: Mutex<Door>,
    /// For pages of web clients instead of an engine.
    web: Option<WebDoor>,
    /// The newest connection: an older one has to end.
    newest: watch::Sender<u64>,
}

/// Why the server can't be started.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{0}")]
    Listen(#[from] io::Error),
    #[error("{0}")]
    Secret(#[from] SecretError),
}

/// Who may come in now.
#[derive(Debug, Default)]
struct Door {
    secrets: Option<Secrets>,
    connections: u64,
    /// Numbers what media elements ask for.
    fetches: u64,
}

/// The addresses that belong to one engine run.
#[derive(Debug, Clone)]
pub struct StageAddresses {
    pub start_url: String,
    pub stage_url: String,
    /// Hands the token to the stage's page and to no other document.
    pub script: String,
}

impl StageServer {
    /// Listens, and serves until the runtime ends: an engine, or the pages of `web`.
    ///
    /// `drained` is notified when a message has left for the stage.
    pub async fn start(
        folder: &Path,
        events: mpsc::Sender<StageEvent>,
        drained: Arc<Notify>,
        web: Option<&WebConfig>,
    ) -> Result<Self, StartError> {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let listener = TcpListener::bind(web.map_or(local, |web| web.address.0)).await?;
        let shared = Arc::new(Shared {
            address: listener.local_addr()?,
            folder: folder.to_path_buf(),
            events,
            drained,
            door: Mutex::new(Door::default()),
            web: web.map(WebDoor::new).transpose()?,
            newest: watch::Sender::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let far = web.is_some();
        let listener = listener.tap_io(move |stream| {
            if far
                && let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(&*stream, SEND_BUFFER)
            {
                tracing::debug!(%error, "the send buffer is as large as the system likes");
            }
        });
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the stage's server ended");
            }
        });
        Ok(Self { shared })
    }

    /// What a page of a web client has to know: where the stage is, and the secret.
    #[must_use]
    pub fn web(&self) -> Option<(String, &str)> {
        let door = self.shared.web.as_ref()?;
        Some((format!("http://{}/", self.shared.address), door.secret()))
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// Makes a new id and token for an engine that is about to start; the ones before it end.
    pub fn open_door(&self) -> io::Result<StageAddresses> {
        let secrets = Secrets::new(self.shared.address.port())?;
        let addresses = StageAddresses {
            start_url: secrets.url("start.html"),
            stage_url: secrets.url("engine.html"),
            script: secrets.script(),
        };
        self.shared.door().secrets = Some(secrets);
        Ok(addresses)
    }
}

impl Shared {
    fn door(&self) -> std::sync::MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_token(&self) -> u64 {
        let mut door = self.door();
        door.fetches += 1;
        door.fetches
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        // A full queue loses a log line, nothing else.
        self.events.try_send(StageEvent::Refused(refusal)).ok();
        let status = match refusal {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Host | Refusal::Origin | Refusal::Token => StatusCode::FORBIDDEN,
        };
        (status, "").into_response()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.method() != Method::GET {
        return shared.refuse(Refusal::Method);
    }
    let path = request.uri().path().to_owned();
    if let Some(web) = &shared.web {
        return answer_web(&shared, web, request, &path).await;
    }
    let checked = match shared.door().secrets.as_ref() {
        Some(secrets) => secrets.check_request(request.headers(), &path).map(str::to_owned),
        None => Err(Refusal::NotFound),
    };
    let mut response = match checked {
        Ok(name) if name == "ws" => match take_token(&shared, request.headers()) {
            Ok(protocol) => socket(&shared, request, protocol).await,
            Err(refusal) => shared.refuse(refusal),
        },
        Ok(name) => match name.strip_prefix("media/") {
            Some(name) => media::answer(&shared, name, request.headers()).await,
            None => file(&shared, &name).await,
        },
        Err(refusal) => shared.refuse(refusal),
    };
    protect(response.headers_mut(), shared.address.port());
    response
}

async fn answer_web(shared: &Arc<Shared>, web: &WebDoor, request: Request, path: &str) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match web.check(request.headers(), path) {
        Ok(Wanted::Socket(protocol)) => socket(shared, request, protocol).await,
        Ok(Wanted::File(name)) => file(shared, name).await,
        Ok(Wanted::Media(name)) => media::answer(shared, name, request.headers()).await,
        Err(refusal) => shared.refuse(refusal),
    };
    web.protect(origin, response.headers_mut());
    response
}

fn take_token(shared: &Shared, headers: &HeaderMap) -> Result<String, Refusal> {
    let mut door = shared.door();
    door.secrets.as_mut().ok_or(Refusal::Token).and_then(|secrets| secrets.take_token(headers))
}

fn protect(headers: &mut HeaderMap, port: u16) {
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws://127.0.0.1:{port}; \
         media-src blob: 'self'; style-src 'self'; img-src 'self' data: blob:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
}

async fn file(shared: &Shared, name: &str) -> Response {
    let Some(kind) = checks::content_type(name) else {
        return shared.refuse(Refusal::NotFound);
    };
    if name == "start.html" {
        return ([(header::CONTENT_TYPE, kind)], START_PAGE).into_response();
    }
    let path = shared.folder.join(name);
    let small = tokio::fs::metadata(&path).await.is_ok_and(|data| data.is_file() && data.len() <= MAX_FILE);
    if small && let Ok(bytes) = tokio::fs::read(&path).await {
        return ([(header::CONTENT_TYPE, kind)], Body::from(bytes)).into_response();
    }
    shared.refuse(Refusal::NotFound)
}

async fn socket(shared: &Arc<Shared>, request: Request, protocol: String) -> Response {
    let (mut parts, _body) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    match upgrade {
        Ok(upgrade) => {
            let shared = Arc::clone(shared);
            upgrade
                .protocols([protocol])
                .max_message_size(MAX_MESSAGE)
                .max_frame_size(MAX_MESSAGE)
                .on_upgrade(move |socket| run_socket(shared, socket))
        }
        Err(rejection) => rejection.into_response(),
    }
}

async fn run_socket(shared: Arc<Shared>, socket: WebSocket) {
    let connection = {
        let mut door = shared.door();
        door.connections += 1;
        door.connections
    };
    let mut newest = shared.newest.subscribe();
    shared.newest.send_if_modified(|newest| {
        let newer = *newest < connection;
        *newest = connection.max(*newest);
        newer
    });
    let (sender, mut queue) = mpsc::channel::<Vec<u8>>(QUEUED_MESSAGES);
    if shared.events.send(StageEvent::Connected { connection, sender }).await.is_err() {
        return;
    }
    let far = shared.web.is_some();
    let (mut sink, mut stream) = socket.split();
    let writer = async {
        let mut pings = tokio::time::interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                // Anybody who has the secret may come later, from another tab or device: the person is there now.
                taken = newest.wait_for(|newest| *newest > connection) => {
                    let code = CLOSE_TAKEN_OVER;
                    // The sender lives as long as `shared`.
                    taken.ok().map(|_newer| Message::Close(Some(CloseFrame { code, reason: "taken over".into() })))
                }
                bytes = queue.recv() => bytes.map(|bytes| Message::Binary(bytes.into())),
                _ = pings.tick(), if far => Some(Message::Ping(Bytes::new())),
            };
            let Some(message) = message else { break };
            shared.drained.notify_one();
            let last = matches!(message, Message::Close(_));
            if sink.send(message).await.is_err() || last {
                break;
            }
        }
        sink.close().await.ok();
    };
    let reader = async {
        // An engine's socket ends with its process; one over a network may just fall silent.
        let limit = if far { SILENCE_LIMIT } else { Duration::MAX };
        while let Ok(Some(Ok(message))) = timeout(limit, stream.next()).await {
            if let Message::Binary(bytes) = message {
                let event = StageEvent::Message { connection, bytes: bytes.into() };
                if shared.events.send(event).await.is_err() {
                    break;
                }
            }
        }
    };
    tokio::select! {
        () = writer => {}
        () = reader => {}
    }
    shared.events.send(StageEvent::Gone { connection }).await.ok();
}
