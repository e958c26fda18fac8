//! The stage's server as the rest of the machine sees it.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;

use serde_json::Value;

use crate::client::Client;
use crate::client::Options;

/// Sends a request; gives the status line.
fn ask(port: u64, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).unwrap();
    status
}

/// The id in the path, which any program of the same user can find out.
fn engine_path(pid: u64) -> String {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let text = String::from_utf8_lossy(&arguments).into_owned();
    let address = text.split('\0').find(|argument| argument.ends_with("/start.html")).unwrap();
    let path = address.find("/o/").map(|at| &address[at..]).unwrap();
    path.trim_end_matches("start.html").to_owned()
}

#[test]
fn wrong_hosts_origins_and_tokens_are_refused() {
    let client = Client::headless();
    let ready = client.ready();
    let port = ready["stage_port"].as_u64().unwrap();
    let path = engine_path(ready["engine_pid"].as_u64().unwrap());
    let host = format!("127.0.0.1:{port}");
    let get = |path: &str, host: &str, more: &str| {
        ask(port, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"))
    };
    let page = format!("{path}engine.html");
    assert!(get(&page, &host, "").contains("200"));
    assert!(get(&page, "evil.example", "").contains("403"));
    assert!(get(&page, &format!("localhost:{port}"), "").contains("403"));
    assert!(get(&page, &host, "Origin: http://evil.example\r\n").contains("403"));
    assert!(get("/o/0000/engine.html", &host, "").contains("404"));
    assert!(get(&format!("{path}../../../../etc/passwd"), &host, "").contains("404"));
    assert!(get(&format!("{path}nothing.js"), &host, "").contains("404"));

    let socket = |origin: &str, protocol: &str| {
        let request = format!(
            "GET {path}ws HTTP/1.1\r\nHost: {host}\r\n{origin}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{protocol}\r\n"
        );
        ask(port, &request)
    };
    let origin = format!("Origin: http://{host}\r\n");
    assert!(socket("", "").contains("403"));
    assert!(socket("Origin: http://evil.example\r\n", "").contains("403"));
    assert!(socket(&origin, "").contains("403"));
    assert!(socket(&origin, "Sec-WebSocket-Protocol: offstage.0000\r\n").contains("403"));
    client.wait_for_log("OFS-1216");
    // The stage is unharmed.
    client.ready_session();
}

#[test]
fn the_stage_for_web_clients_is_for_named_origins_with_the_token_and_the_newest_page_has_it() {
    let arguments = ["--web=0", "--web-origin=https://desktops.example"].map(str::to_owned).into();
    let client = Client::start(Options { arguments, ..Options::default() });
    let told = client.line();
    let web: Value = serde_json::from_str(told.strip_prefix("WEB ").unwrap()).unwrap();
    let (url, token) = (web["url"].as_str().unwrap(), web["token"].as_str().unwrap());
    let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let port: u64 = host.rsplit_once(':').unwrap().1.parse().unwrap();
    let get = |path: &str, more: &str| {
        ask(port, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"))
    };
    assert!(get("/offstage-stage.js", "Origin: https://desktops.example\r\n").contains("200"));
    assert!(get("/offstage-stage.js", "Origin: https://evil.example\r\n").contains("403"));
    assert!(get("/engine.html", "").contains("404"));
    assert!(get("/media/0/5/0.mp4", "").contains("403"));

    let opened = |origin: &str, token: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: offstage.{token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut status = String::new();
        stream.read_line(&mut status).unwrap();
        (status, stream)
    };
    assert!(opened("https://evil.example", token).0.contains("403"));
    assert!(opened("https://desktops.example", &token.to_ascii_uppercase()).0.contains("403"));
    let (status, mut first) = opened("https://desktops.example", token);
    assert!(status.contains("101"), "{status}");
    let (status, _second) = opened("https://desktops.example", token);
    assert!(status.contains("101"), "{status}");
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).unwrap();
    // The close frame: its code is 4001, 0x0fa1 (RFC 6455, section 5.5.1).
    assert!(rest.windows(2).any(|bytes| bytes == [0x0f, 0xa1]), "the first page is not told");
    client.wait_for_log("another page takes over");
}
