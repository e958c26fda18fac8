//! Pages with strict rules are redirected, pages that forge are not believed, and pages that are not covered see nothing.

use std::time::{Duration, Instant};

use offstage_tests::cdp::Page;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::{Value, json};

use crate::fidelity::{native_url, repository, session};

const WAIT: Duration = Duration::from_secs(30);

/// Content security policies of careful sites; scripts get the nonce `abc`.
const POLICIES: [&str; 8] = [
    "script-src 'self'",
    "script-src 'nonce-abc' 'strict-dynamic'",
    "frame-src 'none'; child-src 'none'",
    "default-src 'none'; script-src 'self'; connect-src 'self'; media-src blob:",
    "default-src 'none'; script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'; media-src blob:; style-src 'none'; frame-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "script-src 'self'; require-trusted-types-for 'script'; frame-src 'none'; worker-src 'none'",
    "upgrade-insecure-requests; script-src 'self' 'wasm-unsafe-eval'; img-src 'none'",
];

/// Serves pages and clips; `/policy/N` with the policy of that number, `/isolated` with the headers of a cross-origin isolated page.
fn serve() -> Server {
    let pages = repository().join("tests/tests/pages");
    let clips = repository().join("tests/clips");
    Server::start(move |request| {
        let mut parts = request.path.trim_start_matches('/').splitn(2, '/');
        let (folder, file) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let page = || {
            Response::html(
                "<!doctype html><meta charset=utf-8><title>strict</title>\
                 <script nonce=abc src=/pages/forge.js></script><script nonce=abc src=/pages/recorder.js></script>",
            )
        };
        match folder {
            "clips" => Response::file(&clips, file),
            "pages" => Response::file(&pages, file),
            "policy" => {
                let policy = file.parse::<usize>().ok().and_then(|number| POLICIES.get(number));
                policy.map_or_else(Response::not_found, |policy| page().with_header("Content-Security-Policy", policy))
            }
            "isolated" => page()
                .with_header("Cross-Origin-Opener-Policy", "same-origin")
                .with_header("Cross-Origin-Embedder-Policy", "require-corp"),
            _ => Response::not_found(),
        }
    })
    .unwrap()
}

fn redirected(session: &Session) -> u64 {
    session.evaluate_in_worker("offstageStatus().redirected").unwrap().as_u64().unwrap()
}

/// Opens `url` and plays there.
fn plays(session: &Session, url: &str) -> Page {
    let page = session.open(url).unwrap();
    assert_eq!(page.evaluate_within("play()", WAIT).unwrap(), json!([640, 360]), "{url}");
    page
}

fn wait_for(mut holds: impl FnMut() -> bool, what: &str) {
    let end = Instant::now() + WAIT;
    while !holds() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn pages_with_strict_policies_are_redirected() {
    let server = serve();
    let session = session();
    for (number, policy) in POLICIES.iter().enumerate() {
        let page = plays(&session, &server.url(&format!("/policy/{number}")));
        wait_for(|| redirected(&session) > 0, &format!("the device to play under {policy}"));
        page.close().unwrap();
        wait_for(|| redirected(&session) == 0, "the player to be closed with its page");
    }
    // The browser loads no frame of the extension there: the relay carries the media itself.
    let page = plays(&session, &server.url("/isolated"));
    assert_eq!(page.evaluate("crossOriginIsolated").unwrap(), json!(true));
    wait_for(|| redirected(&session) > 0, "the device to play in an isolated page");
    page.close().unwrap();
    wait_for(|| redirected(&session) == 0, "the player to be closed with its page");
    session.close();
}

/// The lines that the extension's worker has written to its console.
struct WorkerLog<'a> {
    session: &'a Session,
    attached: String,
    lines: Vec<String>,
}

impl<'a> WorkerLog<'a> {
    fn new(session: &'a Session) -> Self {
        let worker = session
            .cdp()
            .wait_target(WAIT, |target| {
                target.kind == "service_worker" && target.url.ends_with("/background.js")
            })
            .unwrap();
        let attached = session.cdp().attach(&worker.id).unwrap();
        session.cdp().call_in(&attached, "Runtime.enable", json!({}), WAIT).unwrap();
        Self { session, attached, lines: Vec::new() }
    }

    fn count(&mut self, text: &str) -> usize {
        for event in self.session.cdp().take_events(&self.attached).unwrap() {
            if event.method == "Runtime.consoleAPICalled" {
                self.lines.push(event.params["args"].to_string());
            }
        }
        self.lines.iter().filter(|line| line.contains(text)).count()
    }
}

fn offer(page: &Page, url: &str, word: &str) -> Value {
    page.evaluate_within(&format!("offerPort({}, {})", json!(url), json!(word)), WAIT).unwrap()
}

#[test]
fn a_page_cannot_pass_for_the_relay() {
    let server = serve();
    let session = session();
    // The words that the worker gives out, so that a used one can be tried again.
    let listen = "globalThis.given = []; const make = crypto.randomUUID.bind(crypto);
        crypto.randomUUID = () => { const word = make(); given.push(word); return word; }; 0";
    session.evaluate_in_worker(listen).unwrap();
    let mut log = WorkerLog::new(&session);
    let page = session.open(&server.url("/pages/forge.html")).unwrap();
    page.evaluate_within("fromFrame()", WAIT).unwrap();
    page.evaluate("for (const word of ['need', 'watch', 'ready']) { window.postMessage({ [word]: true }, '*'); } tryAll(); 0").unwrap();
    assert_eq!(page.evaluate("forge.overheard").unwrap(), json!([]), "the real handshake was overheard");

    // The page's own player is redirected by the real relay all the same.
    assert_eq!(page.evaluate_within("play()", WAIT).unwrap(), json!([640, 360]));
    assert_eq!(redirected(&session), 1);
    let seen =
        page.evaluate("forge.frames.filter((address) => address.startsWith('chrome-extension'))").unwrap();
    let dynamic = seen[0].as_str().expect("the relay's frame was not seen").to_owned();

    let id = session.evaluate_in_worker("chrome.runtime.id").unwrap();
    let fixed = format!("chrome-extension://{}/port.html", id.as_str().unwrap());
    let word = session.evaluate_in_worker("given[given.length - 1]").unwrap();
    let word = word.as_str().unwrap();
    assert_eq!(offer(&page, &fixed, word), "nothing", "the frame can be loaded by the extension's id");
    let before = log.count("OFS-1406");
    let tried = ["", "guess", word, &word.to_uppercase(), "00000000-0000-4000-8000-000000000000"];
    for word in tried {
        offer(&page, &dynamic, word);
    }
    // What the frame takes is refused by the worker; what it does not take never gets there.
    wait_for(|| log.count("OFS-1406") > before, "a refusal in the worker's log");
    offer(&page, &dynamic, &"x".repeat(10_000));
    assert_eq!(page.evaluate("forge.answers").unwrap(), json!([]), "a port of the page's was answered");
    assert_eq!(redirected(&session), 1, "a forged player was opened");
    assert_eq!(session.evaluate_in_worker("offstageStatus().documents").unwrap(), json!(1));
    // The real player has not noticed.
    page.evaluate_within("recorder.fill(3, 5, false)", WAIT).unwrap();
    assert_eq!(page.evaluate("recorder.video.buffered.end(0) > 4.9").unwrap(), json!(true));
    session.close();
}

/// A covered frame that plays, in a page that isn't, beside a frame that isn't.
#[test]
fn frames_that_are_not_covered_have_no_trace() {
    let server = serve();
    let make = "new Promise((done) => {
        const plain = document.createElement('iframe'), playing = document.createElement('iframe');
        plain.onload = () => document.body.append(playing);
        addEventListener('message', () => done(0), { once: true });
        plain.src = '/pages/members.html';
        playing.src = PLAYER;
        document.body.append(plain);
    })";
    let describe = |session: &Session, player: &str| {
        let page = session.open(&native_url(&server, "/pages/members.html")).unwrap();
        page.evaluate_within(&make.replace("PLAYER", &json!(player).to_string()), WAIT).unwrap();
        if session.evaluate_in_worker("offstageStatus().ready").is_ok_and(|ready| ready == true) {
            wait_for(
                || session.evaluate_in_worker("offstageStatus().placed").unwrap() == 1,
                "the frame's picture",
            );
            assert_eq!(session.evaluate_in_worker("offstageStatus().documents").unwrap(), json!(1));
        }
        let both = "JSON.stringify([describe(), frames[0].describe(), document.documentElement.outerHTML.length], null, 1)";
        let text = page.evaluate(both).unwrap();
        page.close().unwrap();
        text.as_str().unwrap().to_owned()
    };
    let player = server.url("/pages/frame.html");
    let covered = session();
    let with_extension = describe(&covered, &player);
    covered.close();
    let plain = SessionOptions { redirect: false, ..SessionOptions::default() };
    let plain = Session::start(&Installation::from_env().unwrap(), plain).unwrap();
    let without = describe(&plain, &player);
    plain.close();
    assert!(
        with_extension == without,
        "a frame or page that is not covered differs from one in a browser without the extension"
    );
}

#[test]
fn a_page_that_is_not_covered_has_no_trace() {
    let server = serve();
    let describe = |session: &Session| {
        let page = session.open(&native_url(&server, "/pages/members.html")).unwrap();
        let text = page.evaluate("JSON.stringify(describe(), null, 1)").unwrap();
        page.close().unwrap();
        text.as_str().unwrap().to_owned()
    };
    let covered = session();
    let with_extension = describe(&covered);
    let id = covered.evaluate_in_worker("chrome.runtime.id").unwrap();
    let page = covered.open(&native_url(&server, "/pages/forge.html")).unwrap();
    assert_eq!(page.evaluate_within("play()", WAIT).unwrap(), json!([640, 360]));
    assert_eq!(redirected(&covered), 0);
    assert_eq!(covered.evaluate_in_worker("offstageStatus().documents").unwrap(), json!(0));
    for name in ["overheard", "answers", "frames"] {
        assert_eq!(page.evaluate(&format!("forge.{name}")).unwrap(), json!([]), "{name}");
    }
    for file in ["port.html", "port.js", "hook.js", "manifest.json", "icons/ready-16.png"] {
        let url = format!("chrome-extension://{}/{file}", id.as_str().unwrap());
        let fetched =
            page.evaluate(&format!("fetch({}).then(() => 'there', () => 'not there')", json!(url))).unwrap();
        assert_eq!(fetched, "not there", "{file}");
    }
    covered.close();
    let plain = SessionOptions { redirect: false, ..SessionOptions::default() };
    let plain = Session::start(&Installation::from_env().unwrap(), plain).unwrap();
    let without = describe(&plain);
    plain.close();
    assert!(
        with_extension == without,
        "an uncovered page differs from one in a browser without the extension"
    );
}
