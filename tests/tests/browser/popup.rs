//! The extension's window, as a screen reader hears it: what it says is so, and its switches do what they say.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use offstage_tests::cdp::Page;
use offstage_tests::server::Server;
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::{Value, json};

use crate::fidelity::{native_url, repository, serve};

const PATIENCE: Duration = Duration::from_secs(40);
const PATH: &str = "/pages/readers.html";

struct Window {
    session: Session,
    server: Server,
    page: Page,
    popup: Page,
}

impl Window {
    /// A page that plays on the device, and the window about its tab.
    fn open(language: &str) -> Self {
        Self::open_managed(language, None)
    }

    /// The same where an administrator manages settings.
    fn open_managed(language: &str, managed: Option<Value>) -> Self {
        let server = serve();
        let options = SessionOptions {
            sites: Some(vec!["http://127.0.0.1/*".to_owned()]),
            browser_args: vec![format!("--lang={language}"), format!("--accept-lang={language}")],
            environment: vec![("LANGUAGE".to_owned(), language.to_owned())],
            managed,
            ..SessionOptions::default()
        };
        let session = Session::start(&Installation::from_env().unwrap(), options).unwrap();
        session.wait_connected(PATIENCE).unwrap();
        let page = session.open(&server.url(PATH)).unwrap();
        page.evaluate("begin('h264 demuxed')").unwrap();
        page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
        let popup = about(&session, "127.0.0.1");
        Self { session, server, page, popup }
    }

    /// What a screen reader finds: roles with names, and whether a switch is on.
    fn heard(&self) -> Vec<String> {
        let tree = self.popup.call("Accessibility.getFullAXTree", json!({})).unwrap();
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != true);
        nodes
            .map(|node| {
                let properties = node["properties"].as_array().into_iter().flatten();
                let checked = properties
                    .clone()
                    .find(|p| p["name"] == "checked")
                    .map(|p| p["value"]["value"].to_string());
                let disabled =
                    properties.clone().any(|p| p["name"] == "disabled" && p["value"]["value"] == true);
                format!(
                    "{} {}{}{}",
                    node["role"]["value"].as_str().unwrap_or_default(),
                    node["name"]["value"].as_str().unwrap_or_default(),
                    checked.map(|on| format!(" = {on}")).unwrap_or_default(),
                    if disabled { " (locked)" } else { "" }
                )
            })
            .collect()
    }

    fn wait_heard(&self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard();
            if heard.iter().any(|line| line.contains(wanted)) {
                return;
            }
            assert!(Instant::now() < end, "nobody hears {wanted:?}: {heard:#?}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    fn wait_redirected(&self, count: u64) {
        let end = Instant::now() + PATIENCE;
        while self.session.status().unwrap()["redirected"] != count {
            assert!(Instant::now() < end, "{}", self.session.status().unwrap());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn reload(&self) {
        self.page.call("Page.reload", json!({})).unwrap();
        self.page.wait_until("globalThis.begin && document.readyState === 'complete'", PATIENCE).unwrap();
        self.page.evaluate("begin('h264 demuxed')").unwrap();
        self.page.wait_until("video.currentTime > 0.5", PATIENCE).unwrap();
    }

    fn click(&self, id: &str) {
        self.popup.evaluate(&format!("document.getElementById('{id}').click(); 0")).unwrap();
    }
}

/// The ground's colour in a colour scheme; a picture of the window goes to the folder that OFFSTAGE_SCREENSHOTS names.
fn ground(popup: &Page, scheme: &str) -> Value {
    let media = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
    popup.call("Emulation.setEmulatedMedia", json!({ "features": media })).unwrap();
    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
        capture(popup, &media, &PathBuf::from(folder).join(format!("popup-{scheme}.png")));
    }
    popup.evaluate("getComputedStyle(document.body).backgroundColor").unwrap()
}

/// A picture of the window as somebody sees it whose system wants these media features.
fn capture(popup: &Page, features: &Value, to: &Path) {
    popup.call("Emulation.setEmulatedMedia", json!({ "features": features })).unwrap();
    let size = popup.evaluate("[document.body.offsetWidth, document.body.offsetHeight]").unwrap();
    let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 2 });
    let wanted = json!({ "clip": clip, "captureBeyondViewport": true });
    let shot = popup.call("Page.captureScreenshot", wanted).unwrap();
    std::fs::write(to, BASE64.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
}

/// The window as a page of its own, about the tab whose address has this in it.
fn about(session: &Session, part: &str) -> Page {
    let find =
        format!("chrome.tabs.query({{}}).then((tabs) => tabs.find((tab) => tab.url.includes('{part}')).id)");
    let tab = session.evaluate_in_worker(&find).unwrap();
    let id = std::fs::read_to_string(repository().join("manifest/extension-id.txt")).unwrap();
    session.open(&format!("chrome-extension://{}/popup/popup.html?tab={tab}", id.trim())).unwrap()
}

#[test]
fn the_window_tells_the_truth_and_its_switches_work() {
    let window = Window::open("en");
    window.wait_heard("StaticText Video plays on your device.");
    window.wait_heard("StaticText on your device");
    window.wait_heard("switch Redirect video on this site = \"true\"");
    window.wait_heard("switch Redirect video on all websites = \"false\"");
    window.wait_heard("button Collect logs");
    let shown = "Number(document.querySelectorAll('#numbers dd')[1].textContent)";
    let before = window.popup.evaluate(shown).unwrap().as_f64().unwrap();
    window.popup.wait_until(&format!("{shown} > {before} + 20"), PATIENCE).unwrap();
    let versions = window.popup.evaluate("document.getElementById('versions').textContent").unwrap();
    let versions = versions.as_str().unwrap();
    assert!(
        versions.matches(env!("CARGO_PKG_VERSION")).count() == 3 && versions.contains("Chrome"),
        "{versions}"
    );

    window.click("site");
    window.wait_heard("Reload the page for this to take effect.");
    window.reload();
    window.wait_redirected(0);
    window.wait_heard("switch Redirect video on this site = \"false\"");
    window.wait_heard("StaticText OFS-1501");
    window
        .popup
        .evaluate("for (const closed of document.querySelectorAll('details')) closed.open = true; 0")
        .unwrap();
    window.wait_heard("StaticText .127.0.0.1");
    assert_ne!(ground(&window.popup, "light"), ground(&window.popup, "dark"));
    window.click("site");
    window.popup.wait_until("document.getElementById('site').checked && !document.getElementById('settings').textContent.includes('127')", PATIENCE).unwrap();
    window.reload();
    window.wait_redirected(1);

    // A site that nobody has listed.
    let other = window.session.open(&native_url(&window.server, PATH)).unwrap();
    let about_other = about(&window.session, "localhost");
    about_other
        .wait_until(
            "document.getElementById('state').textContent === 'This page is not redirected.'",
            PATIENCE,
        )
        .unwrap();
    about_other.evaluate("document.getElementById('videoAllSites').click(); 0").unwrap();
    about_other.wait_until("document.getElementById('site').checked", PATIENCE).unwrap();
    other.call("Page.reload", json!({})).unwrap();
    other.wait_until("globalThis.begin && document.readyState === 'complete'", PATIENCE).unwrap();
    other.call("Page.bringToFront", json!({})).unwrap();
    other.evaluate("begin('h264 demuxed')").unwrap();
    window.wait_redirected(2);
    window.session.close();
}

#[test]
fn logs_are_collected_and_saved_by_the_browser() {
    let window = Window::open("en");
    let folder: PathBuf = window.session.folder().join("downloads");
    std::fs::create_dir_all(&folder).unwrap();
    let wanted = json!({ "behavior": "allow", "downloadPath": folder });
    window.popup.call("Page.setDownloadBehavior", wanted).unwrap();
    window.wait_heard("button Collect logs");
    window.click("logs");
    window.wait_heard("button Stop and save the logs");
    window.reload();
    window.wait_redirected(1);
    window.click("logs");
    window.wait_heard("Saved as offstage-logs-");
    let end = Instant::now() + PATIENCE;
    let bundle: Value = loop {
        let files = std::fs::read_dir(&folder).unwrap().flatten().map(|file| file.path());
        let saved =
            files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "json"));
        if let Some(bundle) =
            saved.and_then(|path| serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok())
        {
            break bundle;
        }
        assert!(Instant::now() < end, "nothing is saved");
        std::thread::park_timeout(Duration::from_millis(50));
    };
    assert_eq!(bundle["missing"], json!([]));
    let text = bundle.to_string();
    assert!(!text.contains("127.0.0.1") && !text.contains("readers.html"), "{text}");
    window.session.close();
}

/// A text of the extension, as it is in that language's file.
fn text_of(language: &str, key: &str) -> String {
    let path = repository().join(format!("www/_locales/{language}/messages.json"));
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all[key]["message"].as_str().unwrap_or_else(|| panic!("{language}: {key}")).to_owned()
}

#[test]
fn what_the_administrator_has_decided_is_locked_or_hidden() {
    let managed = json!({ "callsAllSites": false, "locked": ["videoBlocked", "overlay"], "outline": true });
    let mut window = Window::open_managed("en", Some(managed));
    window
        .popup
        .evaluate("for (const closed of document.querySelectorAll('details')) closed.open = true; 0")
        .unwrap();
    for wanted in [
        "switch Redirect video on this site = \"true\" (locked)",
        "switch Redirect video on all websites = \"false\"",
        "switch Redirect calls on all websites = \"false\" (locked)",
        "switch Status over the picture = \"false\" (locked)",
        "switch Outline = \"true\" (locked)",
        "StaticText Set by your administrator.",
    ] {
        window.wait_heard(wanted);
    }
    let heard = window.heard();
    assert!(
        !heard.contains(&"switch Redirect video on all websites = \"false\" (locked)".to_owned()),
        "{heard:?}"
    );
    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
        let colours = json!([{ "name": "forced-colors", "value": "active" }]);
        capture(&window.popup, &colours, &PathBuf::from(folder).join("popup-forced-colors.png"));
    }
    window.session.close();

    window = Window::open_managed("en", Some(json!({ "hideAdvanced": true })));
    window.wait_heard("button Collect logs");
    window.wait_heard("switch Redirect video on this site = \"true\"");
    let heard = window.heard().join("\n");
    for hidden in ["Marks on the picture", "Statistics", "Settings"] {
        assert!(!heard.contains(hidden), "{hidden}: {heard}");
    }
    window.session.close();
}

#[test]
fn the_window_speaks_the_persons_language() {
    for (language, wanted) in [
        ("de", "Das Video spielt auf Ihrem Gerät."),
        ("fr", "La vidéo est lue sur votre appareil."),
        ("es", "El vídeo se reproduce en su dispositivo."),
        ("ja", "動画をデバイスで再生しています。"),
    ] {
        let window = Window::open(language);
        window.wait_heard(wanted);
        // Where it is not redirected, the reason and what to do are in that language, too; and the icon's title is.
        window.click("site");
        window.wait_heard(&text_of(language, "reload"));
        window.reload();
        let [reason, remedy, title] =
            ["OFS_1501", "OFS_1501_do", "state_grey"].map(|key| text_of(language, key));
        window.wait_heard(&format!("StaticText {reason} {remedy}"));
        let find = "chrome.tabs.query({}).then((tabs) => chrome.action.getTitle({ tabId: tabs.find((tab) => tab.url.includes('readers')).id }))";
        assert_eq!(window.session.evaluate_in_worker(find).unwrap(), format!("Offstage: {title}"));
        window.session.close();
    }
}

#[test]
fn all_languages_have_the_same_texts() {
    let read = |language: &str| -> Vec<(String, Vec<String>)> {
        let path = repository().join(format!("www/_locales/{language}/messages.json"));
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let entry = |(key, text): (&String, &Value)| {
            assert!(!text["message"].as_str().unwrap().is_empty(), "{language}: {key}");
            let names = text["placeholders"].as_object().into_iter().flat_map(|all| all.keys().cloned());
            let names: Vec<String> = names.collect();
            for name in &names {
                let mark = format!("${}$", name.to_uppercase());
                assert!(text["message"].as_str().unwrap().contains(&mark), "{language}: {key}");
            }
            (key.clone(), names)
        };
        all.as_object().unwrap().iter().map(entry).collect()
    };
    let english = read("en");
    for language in ["de", "fr", "es", "ja"] {
        assert_eq!(read(language), english, "{language}");
    }
}
