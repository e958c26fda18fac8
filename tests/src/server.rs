//! A small web server on loopback for pages of tests and of the demo.

mod tls;

use std::fmt;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

pub use self::tls::Certificate;

/// Bytes of a request that are read; more is an error.
const MAX_REQUEST: u64 = 1 << 20;

/// What a browser asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What follows the question mark, or nothing.
    pub query: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// As long as Content-Length says.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header; `name` in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What it gets.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    ranges: bool,
    /// Where the body is held up, in bytes from its start, and until when.
    gates: Vec<(usize, Instant)>,
}

impl Response {
    /// A document of type `content_type`.
    #[must_use]
    pub fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status: 200, headers, body: body.into(), ranges: true, gates: Vec::new() }
    }

    /// A page.
    #[must_use]
    pub fn html(body: impl Into<Vec<u8>>) -> Self {
        Self::new("text/html; charset=utf-8", body)
    }

    /// "There is nothing here."
    #[must_use]
    pub fn not_found() -> Self {
        Self { status: 404, ..Self::new("text/plain", "not found") }
    }

    /// The file at `path` below `root`; a path that leaves `root` is not found.
    #[must_use]
    pub fn file(root: &Path, path: &str) -> Self {
        let relative = Path::new(path.trim_start_matches('/'));
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Self::not_found();
        }
        match std::fs::read(root.join(relative)) {
            Ok(body) => Self::new(content_type(path), body),
            Err(_) => Self::not_found(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// "It is there."
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self { status: 302, ..Self::new("text/plain", "") }.with_header("Location", to)
    }

    /// As a server answers that knows no ranges.
    #[must_use]
    pub fn without_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }

    /// As a live source answers: in chunks (RFC 9112, 7.1), of which each is sent when it exists. `gates` say from which byte on the
    /// body comes into being when, in order.
    #[must_use]
    pub fn coming_into_being(mut self, gates: Vec<(usize, Instant)>) -> Self {
        self.gates = gates;
        self.without_ranges()
    }

    /// Sends the body in chunks, the part behind each gate not before its time.
    fn send_chunks(&self, stream: &mut impl Write) -> Result<()> {
        let ends = self.gates.iter().skip(1).map(|(from, _)| *from).chain([self.body.len()]);
        for ((from, at), end) in self.gates.iter().zip(ends) {
            let chunk = self.body.get(*from..end).context("the gates are not in order")?;
            #[expect(clippy::disallowed_methods, reason = "what the server plays happens at a time")]
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if !chunk.is_empty() {
                let head = format!("{:x}\r\n", chunk.len());
                stream.write_all(&[head.as_bytes(), chunk, b"\r\n"].concat())?;
            }
        }
        stream.write_all(b"0\r\n\r\n")?;
        Ok(())
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Cuts the body to what a single `Range: bytes=a-b` asks for.
    fn ranged(mut self, range: &str) -> Self {
        let total = self.body.len();
        let Some((first, last)) = parse_range(range, total) else { return self };
        self.body = self.body.get(first..=last).unwrap_or_default().to_vec();
        self.status = 206;
        self.with_header("Content-Range", &format!("bytes {first}-{last}/{total}"))
    }
}

/// A running server; stops answering when dropped.
pub struct Server {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves what `handler` answers, on a free port of loopback, one thread a connection.
    pub fn start(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Result<Self> {
        Self::listen(None, handler)
    }

    /// The same, and on the same port for who begins with a TLS handshake, under whatever name.
    pub fn start_with(
        certificate: &Certificate,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::listen(Some(certificate.config()), handler)
    }

    fn listen(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on loopback")?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (handler, tls) = (Arc::clone(&handler), tls.clone());
                // A browser that goes away in the middle of an answer is everyday life.
                std::thread::spawn(move || accept(stream, tls, handler.as_ref()).ok());
            }
        });
        Ok(Self { port, stop })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of `path` (which starts with a slash) on this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts, so that it sees the flag.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn accept(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    handler: &impl Fn(&Request) -> Response,
) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    match tls {
        Some(config) if tls::is_handshake(&stream)? => {
            serve(rustls::StreamOwned::new(rustls::ServerConnection::new(config)?, stream), handler)
        }
        Some(_) | None => serve(stream, handler),
    }
}

fn serve(stream: impl Read + Write, handler: &impl Fn(&Request) -> Response) -> Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let mut response = handler(&request);
        if let Some(range) = request.header("range")
            && response.status == 200
            && response.ranges
        {
            response = response.ranged(range);
        }
        let in_chunks = !response.gates.is_empty();
        let length = if in_chunks {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", response.body.len())
        };
        let mut answer = format!("HTTP/1.1 {} .\r\n{length}\r\n", response.status);
        for (name, value) in &response.headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        if response.ranges {
            answer.push_str("Accept-Ranges: bytes\r\n");
        }
        answer.push_str("Cache-Control: no-cache\r\n\r\n");
        let mut bytes = answer.into_bytes();
        if request.method != "HEAD" && !in_chunks {
            bytes.extend_from_slice(&response.body);
        }
        let stream = reader.get_mut();
        stream.write_all(&bytes)?;
        if in_chunks && request.method != "HEAD" {
            response.send_chunks(stream)?;
        }
        stream.flush()?;
    }
    Ok(())
}

/// The next request of a connection, or `None` at its end.
fn read_request(reader: &mut BufReader<impl Read>) -> Result<Option<Request>> {
    let mut limited = reader.take(MAX_REQUEST);
    let mut line = String::new();
    if limited.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request =
        Request { method, path: path.to_owned(), query: query.to_owned(), ..Request::default() };
    loop {
        let mut line = String::new();
        if limited.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            request.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }
    let length: u64 = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    limited.take(length).read_to_end(&mut request.body)?;
    Ok(Some(request))
}

/// First and last byte of a range; `None` for what is not a single range inside the document.
fn parse_range(range: &str, total: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = total.checked_sub(1)?;
    let (first, last) = match (first, last) {
        ("", suffix) => (total.saturating_sub(suffix.parse().ok()?), end),
        (first, "") => (first.parse().ok()?, end),
        (first, last) => (first.parse().ok()?, last.parse::<usize>().ok()?.min(end)),
    };
    (first <= last).then_some((first, last))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "wasm" => "application/wasm",
        "mp3" => "audio/mpeg",
        "ts" => "video/mp2t",
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_answer_comes_in_chunks() {
        let now = Instant::now();
        let later = now + Duration::from_millis(20);
        let server = Server::start(move |_| {
            Response::new("video/x-flv", "onetwo").coming_into_being(vec![(0, now), (3, later)])
        })
        .unwrap();
        let answer = fetch(&server, "GET / HTTP/1.1\r\n\r\n");
        assert!(answer.contains("Transfer-Encoding: chunked\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "{answer}");
        assert!(Instant::now() >= later);
    }

    fn fetch(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn files_below_the_root_are_served_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("www")).unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::fs::write(folder.path().join("www/a.js"), "0123456789").unwrap();
        let root = folder.path().join("www");
        let server = Server::start(move |request| Response::file(&root, &request.path)).unwrap();
        let answer = fetch(&server, "GET /a.js HTTP/1.1\r\nRange: bytes=2-4\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 206") && answer.ends_with("\r\n\r\n234"), "{answer}");
        assert!(fetch(&server, "GET /../secret HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(fetch(&server, "GET //etc/passwd HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    }

    #[test]
    fn ranges_stay_inside_the_document() {
        assert_eq!(parse_range("bytes=0-", 10), Some((0, 9)));
        assert_eq!(parse_range("bytes=5-99", 10), Some((5, 9)));
        assert_eq!(parse_range("bytes=-3", 10), Some((7, 9)));
        assert_eq!(parse_range("bytes=9-3", 10), None);
        assert_eq!(parse_range("bytes=0-", 0), None);
    }
}
