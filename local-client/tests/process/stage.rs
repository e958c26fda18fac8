//! The stage's server as the rest of the machine sees it.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::TcpStream;

use crate::client::Client;

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
