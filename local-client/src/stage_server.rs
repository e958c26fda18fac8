//! Serves the stage's files to the engine and holds the one socket to the stage.
//!
//! It listens on the loopback only, on a port of the system's choice. Any program and any web page on
//! this machine can reach that port, so nothing is answered without the random id in the path, the
//! right `Host`, and no foreign `Origin`; the socket asks for the token besides, once per engine.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts as _;
use axum::extract::Request;
use axum::extract::State;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::Message;
use axum::extract::ws::WebSocket;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures_util::SinkExt as _;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::client::Fetch;
use crate::client::Fetched;
use crate::stage_server::checks::Refusal;
use crate::stage_server::checks::Secrets;

pub mod checks;
mod media;

/// Messages that wait for the stage's socket; the client's own queue comes before them.
const QUEUED_MESSAGES: usize = 8;
/// Room for the largest message of the protocol and its envelope.
const MAX_MESSAGE: usize = offstage_protocol::frame::MAX_MESSAGE + 1024;
/// No file of the stage comes near it.
const MAX_FILE: u64 = 64 * 1024 * 1024;
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
    port: u16,
    folder: PathBuf,
    events: mpsc::Sender<StageEvent>,
    drained: Arc<Notify>,
    door: Mutex<Door>,
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
    /// Listens, and serves until the runtime ends.
    ///
    /// `drained` is notified when a message has left for the stage.
    pub async fn start(
        folder: &Path,
        events: mpsc::Sender<StageEvent>,
        drained: Arc<Notify>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            port,
            folder: folder.to_path_buf(),
            events,
            drained,
            door: Mutex::new(Door::default()),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the stage's server ended");
            }
        });
        Ok(Self { shared })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// Makes a new id and token for an engine that is about to start; the ones before it end.
    pub fn open_door(&self) -> io::Result<StageAddresses> {
        let secrets = Secrets::new(self.shared.port)?;
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
    let checked = match shared.door().secrets.as_ref() {
        Some(secrets) => secrets.check_request(request.headers(), &path).map(str::to_owned),
        None => Err(Refusal::NotFound),
    };
    let mut response = match checked {
        Ok(name) if name == "ws" => socket(&shared, request).await,
        Ok(name) => match name.strip_prefix("media/") {
            Some(name) => media::answer(&shared, name, request.headers()).await,
            None => file(&shared, &name).await,
        },
        Err(refusal) => shared.refuse(refusal),
    };
    protect(response.headers_mut(), shared.port);
    response
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

async fn socket(shared: &Arc<Shared>, request: Request) -> Response {
    let protocol = {
        let mut door = shared.door();
        let taken = match door.secrets.as_mut() {
            Some(secrets) => secrets.take_token(request.headers()),
            None => Err(Refusal::Token),
        };
        match taken {
            Ok(protocol) => protocol,
            Err(refusal) => {
                drop(door);
                return shared.refuse(refusal);
            }
        }
    };
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
    let (sender, mut queue) = mpsc::channel::<Vec<u8>>(QUEUED_MESSAGES);
    if shared.events.send(StageEvent::Connected { connection, sender }).await.is_err() {
        return;
    }
    let (mut sink, mut stream) = socket.split();
    let writer = async {
        while let Some(bytes) = queue.recv().await {
            shared.drained.notify_one();
            if sink.send(Message::Binary(bytes.into())).await.is_err() {
                break;
            }
        }
        sink.close().await.ok();
    };
    let reader = async {
        while let Some(Ok(message)) = stream.next().await {
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
