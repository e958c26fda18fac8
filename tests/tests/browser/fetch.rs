//! Who fetches a file: the device by itself where both policies have it so, else the session, and the page can't tell.
//!
//! The server knows them apart: a page's element asks for a `video`, the session for bytes, the device's client has a name.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use offstage_tests::server::{Request, Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;
use serde_json::{Value, json};

use crate::fidelity::repository;
use crate::files::{PATIENCE, Play, compare, wait, wait_redirected};

/// Who has asked for which range of what, and with which cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    who: &'static str,
    path: String,
    range: String,
    cookie: bool,
    referer: String,
}

#[derive(Clone, Default)]
struct Asks(Arc<Mutex<Vec<Asked>>>);

impl Asks {
    fn add(&self, request: &Request) -> &'static str {
        let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let who = match header("sec-fetch-dest").as_str() {
            "video" => "element",
            "empty" => "session",
            _ if header("user-agent").starts_with("offstage-client/") => "device",
            _ => "somebody",
        };
        let cookie = request.header("cookie").is_some();
        let (path, range, referer) = (request.path.clone(), header("range"), header("referer"));
        self.0.lock().unwrap().push(Asked { who, path, range, cookie, referer });
        who
    }

    fn of(&self, who: &str) -> Vec<Asked> {
        self.0.lock().unwrap().iter().filter(|asked| asked.who == who).cloned().collect()
    }
}

/// What the device gets, where it is not what everybody gets; `nth` counts its requests from 0.
type ForDevice = fn(nth: usize, port: &str) -> Option<Response>;

fn serve(for_device: ForDevice) -> (Server, Asks) {
    let asks = Asks::default();
    let seen = asks.clone();
    let server = Server::start(move |request| {
        let files = repository().join("tests/clips/files");
        let parts: Vec<&str> = request.path.splitn(3, '/').skip(1).collect();
        match parts.as_slice() {
            ["pages", file] => Response::file(&repository().join("tests/tests/pages"), file)
                .with_header("Set-Cookie", "seen=1; Path=/"),
            ["files", file] => {
                if seen.add(request) == "device" {
                    let port = request.header("host").and_then(|host| host.rsplit(':').next()).unwrap_or("0");
                    if let Some(response) = for_device(seen.of("device").len() - 1, port) {
                        return response;
                    }
                }
                Response::file(&files, file)
            }
            ["hls", file] => {
                seen.add(request);
                crate::files::hls(file)
            }
            _ => Response::not_found(),
        }
    })
    .unwrap();
    (server, asks)
}

fn session(policy: bool, fetch_args: &[String]) -> Session {
    let options = SessionOptions {
        sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
        managed: policy.then(|| json!({ "fetchDevice": ["http://127.0.0.1"] })),
        client_args: [StageProbe::client_args(), fetch_args.to_vec()].concat(),
        ..SessionOptions::default()
    };
    let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
    session.wait_connected(PATIENCE).unwrap();
    wait("the device is ready", || session.status().unwrap()["ready"] == true);
    session
}

/// What a client is started with that may fetch from this server.
fn allowed(server: &Server) -> Vec<String> {
    let port = server.port();
    vec!["--fetch=device".into(), "--fetch-network=127.0.0.1/32".into(), format!("--fetch-port={port}")]
}

fn refused(session: &Session) -> Vec<Value> {
    let status = session.status().unwrap();
    status["fetch_refused"].as_array().unwrap().iter().map(|why| why["code"].clone()).collect()
}

fn everybody(_nth: usize, _port: &str) -> Option<Response> {
    None
}

/// The bytes of these requests come through the session: all but the look at the beginning.
fn media(asks: &[Asked]) -> Vec<&Asked> {
    asks.iter().filter(|asked| asked.range != "bytes=0-7" && !asked.path.ends_with(".m3u8")).collect()
}

#[test]
fn a_file_that_the_device_fetches_plays_as_natively_and_does_not_pass_the_session() {
    let (server, asks) = serve(everybody);
    let session = session(true, &allowed(&server));
    for kind in ["mp4 attribute", "hls"] {
        asks.0.lock().unwrap().clear();
        let differences = compare(&session, &server, &server, kind, "rest");
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        let device = asks.of("device");
        assert!(device.len() > 1, "{kind}: {asks:?}", asks = asks.0.lock().unwrap());
        let origin = server.url("/");
        assert!(device.iter().all(|asked| !asked.cookie && asked.referer == origin), "{kind}: {device:?}");
        let through_session = asks.of("session");
        assert_eq!(media(&through_session), Vec::<&Asked>::new(), "{kind}");
        assert!(!through_session.is_empty() && through_session.iter().all(|asked| asked.cookie), "{kind}");
        assert_eq!(asks.of("somebody"), [], "{kind}");
        assert_eq!(refused(&session), Vec::<Value>::new(), "{kind}");
    }
    session.close();
}

/// Plays a file to its end, redirected, and tells who has fetched it.
fn play(session: &Session, server: &Server, asks: &Asks) -> (usize, usize) {
    let play = Play::begin(session, &server.url("/pages/files.html"), "mp4 attribute");
    wait_redirected(session, &play);
    play.run(session, "rest");
    assert_eq!(session.status().unwrap()["redirected"], 1);
    (asks.of("device").len(), media(&asks.of("session")).len())
}

#[test]
fn the_session_fetches_what_policy_does_not_give_the_device() {
    let (server, asks) = serve(everybody);
    let session = session(false, &allowed(&server));
    let (device, through_session) = play(&session, &server, &asks);
    assert_eq!(device, 0);
    assert!(through_session > 0);
    assert_eq!(refused(&session), Vec::<Value>::new());
    session.close();
}

/// The session fetches after the device has asked the server `times`, and the reason is told.
fn check_refused(
    for_device: ForDevice,
    client: impl Fn(&Server) -> Vec<String>,
    times: &[usize],
    code: &str,
) {
    let (server, asks) = serve(for_device);
    let session = session(true, &client(&server));
    let (device, through_session) = play(&session, &server, &asks);
    assert!(times.contains(&device), "{code}: {device} times");
    assert!(through_session > 0, "{code}");
    assert_eq!(refused(&session), [json!(code)]);
    session.close();
}

#[test]
fn a_device_that_is_not_told_to_fetch_does_not() {
    check_refused(everybody, |_| Vec::new(), &[0], "OFS-1350");
}

#[test]
fn the_device_does_not_reach_into_its_own_network() {
    check_refused(
        everybody,
        |server| vec!["--fetch=device".into(), format!("--fetch-port={}", server.port())],
        &[0],
        "OFS-1351",
    );
}

#[test]
fn a_redirect_into_the_devices_network_is_not_followed() {
    let away = |_, port: &str| Some(Response::redirect(&format!("http://127.0.0.2:{port}/files/film.mp4")));
    check_refused(away, allowed, &[1], "OFS-1351");
}

#[test]
fn a_server_that_refuses_the_device_in_mid_play_gives_the_file_to_the_session() {
    let later: ForDevice = |nth, _| (nth > 0).then(Response::not_found);
    // Two of its requests are on their way at a time.
    check_refused(later, allowed, &[2, 3], "OFS-1355");
    let (server, asks) = serve(later);
    let session = session(true, &allowed(&server));
    let differences = compare(&session, &server, &server, "mp4 attribute", "rest");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(asks.of("device").len() > 1 && !media(&asks.of("session")).is_empty());
    session.close();
}

#[test]
fn a_server_that_keeps_the_device_waiting_gives_the_file_to_the_session() {
    let never: ForDevice = |_, _| {
        // Longer than the client waits, so that it is never seen to answer.
        std::thread::park_timeout(Duration::from_secs(15));
        Some(Response::not_found())
    };
    check_refused(never, allowed, &[1, 2], "OFS-1357");
}
