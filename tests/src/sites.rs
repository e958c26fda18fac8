//! Pages under the names of the sites that are redirected by default: every name is this machine, each site plays with its technology.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use offstage_ext_core::sites::{Player, Site, SiteList};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cdp::Page;
use crate::server::{Certificate, Request, Response, Server};
use crate::session::{Installation, Session, SessionOptions};

/// How long a page may take until it plays.
const PATIENCE: Duration = Duration::from_secs(30);
/// What has to be seen of it: so many seconds, and of a picture so many frames on the device.
const SECONDS: f64 = 1.0;
const FRAMES: u64 = 10;

/// Whose frame is in the pages of sites that embed another's player.
const EMBEDDED: &str = "https://www.youtube.com/embed/1";
/// A page that is on no list and has frames of listed sites.
const UNLISTED: &str = "https://news.example.org/story";
/// No pattern may match these: a site that nobody lists, names that look like a listed one's, another part of a site, what isn't HTTPS.
pub const UNCOVERED: [&str; 5] = [
    UNLISTED,
    "https://notyoutube.com/watch",
    "https://www.youtube.com.evil.example/watch",
    "https://www.linkedin.com/feed/",
    "http://www.cnbc.com/",
];

/// A browser to which every name is one server, with the shipped list and no policy.
#[derive(Debug)]
pub struct Sites {
    session: Session,
    page: Page,
    _server: Server,
}

/// One thing to see: a site's player on a page of its own, or in a frame of a page that isn't covered.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    pub site: &'a Site,
    pub player: Player,
    /// Somebody else's page has the site's frame.
    pub embedded: bool,
}

/// What was seen.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    pub site: String,
    pub kind: &'static str,
    pub player: &'static str,
    pub embedded: bool,
    /// The name under which it was played.
    pub host: String,
    /// The device played it.
    pub redirected: bool,
    /// Why not.
    pub code: Option<String>,
    /// How many frames the device had shown when enough was seen.
    pub frames: u64,
    pub seconds: f64,
    /// What went wrong, where it is no matter of redirection.
    pub problem: Option<String>,
}

/// The shipped list.
pub fn shipped(text: &str) -> Result<SiteList> {
    serde_json::from_str(text).context("www/sites/sites.json")
}

/// All that there is to see of a site.
pub fn visits(site: &Site) -> impl Iterator<Item = Visit<'_>> {
    let own = site.players.iter().map(move |&player| Visit { site, player, embedded: false });
    let frames = site.players.iter().find(|&&player| player != Player::Embedded && !site.frames.is_empty());
    own.chain(frames.map(move |&player| Visit { site, player, embedded: true }))
}

/// Whether a request is for a page: its address names what is to be played.
#[must_use]
pub fn is_page(request: &Request) -> bool {
    request.query.split('&').any(|pair| pair.starts_with("case=") || pair.starts_with("frame="))
}

/// An address that a pattern of the list matches.
#[must_use]
pub fn address(pattern: &str) -> String {
    let pattern = pattern.replacen("://*.", "://www.", 1);
    pattern.strip_suffix('*').unwrap_or(&pattern).replace('*', "x")
}

impl Row {
    /// Whether it is as the list promises.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problem.is_none() && self.redirected
    }
}

impl Sites {
    /// Starts everything. `handler` answers requests for the pages' parts, whatever site asks for them.
    pub fn start(
        installation: &Installation,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Result<Self> {
        let certificate = Certificate::new()?;
        let server = Server::start_with(&certificate, handler)?;
        let mut browser_args = certificate.browser_args(server.port());
        // Calls have a microphone; and http stays http.
        let more = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--disable-features=HttpsUpgrades",
        ];
        browser_args.extend(more.map(str::to_owned));
        let client_args =
            more.iter().flat_map(|argument| ["--engine-arg".to_owned(), (*argument).to_owned()]);
        let options =
            SessionOptions { browser_args, client_args: client_args.collect(), ..SessionOptions::default() };
        let session = Session::start(installation, options)?;
        session.wait_connected(PATIENCE)?;
        session.set_device(&json!({ "capture": "allow" }))?;
        let page = session.first_page()?;
        page.call("Page.bringToFront", json!({}))?;
        Ok(Self { session, page, _server: server })
    }

    /// Plays until enough was seen, or for too long.
    pub fn play(&self, visit: Visit<'_>) -> Result<Row> {
        let Visit { site, player, embedded } = visit;
        let begun = Instant::now();
        let pattern = if embedded { site.frames.last() } else { site.pages.first() };
        let own = address(pattern.context("the site has no such pattern")?);
        let other = (player == Player::PeerAssisted)
            .then(|| self.session.open(&with(&own, "case", "peer far")))
            .transpose()?;
        let url = match (embedded, player) {
            (true, _) => with(UNLISTED, "frame", &with(&own, "case", case(player))),
            (false, Player::Embedded) => with(&own, "frame", &with(EMBEDDED, "case", case(player))),
            (false, _) => with(&own, "case", case(player)),
        };
        self.page.call("Page.bringToFront", json!({}))?;
        let mut row = self
            .look(&url, !matches!(player, Player::Audio | Player::WebRtc), true)
            .unwrap_or_else(|error| Row { problem: Some(format!("{error:#}")), ..Row::default() });
        if embedded && self.has_hook()? {
            row.problem = Some("the page around the frame has the hook".to_owned());
        }
        if let Some(page) = other {
            page.close()?;
        }
        self.leave()?;
        row.site.clone_from(&site.name);
        row.kind = site.kind.name();
        row.player = player.name();
        row.embedded = embedded;
        row.host = own.split('/').nth(2).unwrap_or_default().to_owned();
        row.seconds = begun.elapsed().as_secs_f64();
        Ok(row)
    }

    /// Plays a page that nobody covers: an error if anything of the extension is there. The page's own picture moves.
    pub fn play_uncovered(&self, url: &str) -> Result<()> {
        let row = self.look(&with(url, "case", case(Player::Own)), false, false)?;
        let (scripts, at) = (self.scripts()?, self.page.evaluate("location.href")?);
        if row.redirected || !scripts.is_empty() || !at.as_str().is_some_and(|at| at.starts_with(url)) {
            bail!("{url} is touched: at {at}, with {scripts:?}");
        }
        self.leave()
    }

    /// The patterns of a site under which the hook isn't where it has to be, or is where it has not.
    pub fn wrongly_covered(&self, site: &Site) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        for pattern in site.pages.iter().chain(&site.frames) {
            self.page.navigate(&with(&address(pattern), "case", ""))?;
            if !self.has_hook()? {
                wrong.push(pattern.clone());
            }
        }
        Ok(wrong)
    }

    /// Ends everything.
    pub fn close(self) {
        self.session.close();
    }

    fn look(&self, url: &str, picture: bool, wanted: bool) -> Result<Row> {
        self.page.navigate(url)?;
        let end = Instant::now() + PATIENCE;
        let mut from = None;
        loop {
            let status = self.session.status()?;
            let told = self.page.evaluate("told")?;
            let redirected =
                ["redirected", "connections"].iter().any(|part| status[*part].as_u64() > Some(0));
            let frames = status["frames_presented"].as_u64().unwrap_or_default();
            let position = told["position"].as_f64().unwrap_or_default();
            let error = told["error"].as_str().unwrap_or_default();
            if !error.is_empty() {
                bail!("{url}: the page says {error}");
            }
            if redirected == wanted && position > 0.0 {
                let from = *from.get_or_insert(position);
                // A film that is over has begun again.
                let moved = (position - from).abs() >= SECONDS;
                if moved && (!wanted || !picture || frames >= FRAMES) {
                    let code = if wanted { None } else { self.code_of_icon()? };
                    return Ok(Row { redirected, code, frames, ..Row::default() });
                }
            } else {
                from = None;
            }
            if Instant::now() > end {
                let Some(code) = status["in_session"][0]["code"].as_str() else {
                    bail!("{url} does not play as it should, at {position} s: {status}");
                };
                return Ok(Row { code: Some(code.to_owned()), frames, ..Row::default() });
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Leaves the page, and waits until nothing is left of it on the device.
    fn leave(&self) -> Result<()> {
        self.page.navigate("about:blank")?;
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.session.status()?;
            if status["redirected"] == 0 && status["connections"] == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("a player outlives its page");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The code that the icon's title of the tab in front gives, if it gives one.
    fn code_of_icon(&self) -> Result<Option<String>> {
        let title = self.session.evaluate_in_worker(
            "chrome.tabs.query({ active: true }).then(([tab]) => chrome.action.getTitle({ tabId: tab.id }))",
        )?;
        let code = title.as_str().and_then(|title| title.split("(OFS-").nth(1)?.get(..4));
        Ok(code.map(|digits| format!("OFS-{digits}")))
    }

    fn has_hook(&self) -> Result<bool> {
        Ok(self.scripts()?.iter().any(|script| script.ends_with("/hook.js")))
    }

    /// The scripts of extensions in the page, in whatever world.
    fn scripts(&self) -> Result<Vec<String>> {
        let (page, cdp) = (&self.page, self.page.cdp());
        cdp.take_events(page.session())?;
        page.call("Debugger.enable", json!({}))?;
        page.call("Debugger.disable", json!({}))?;
        let url = |params: &Value| params["url"].as_str().unwrap_or_default().to_owned();
        let events = cdp.take_events(page.session())?;
        let parsed = events.iter().filter(|event| event.method == "Debugger.scriptParsed");
        Ok(parsed
            .map(|event| url(&event.params))
            .filter(|url| url.starts_with("chrome-extension:"))
            .collect())
    }
}

/// The case of tests/differential that plays with a technology.
fn case(player: Player) -> &'static str {
    match player {
        Player::Own => "mse h264-aac mp4",
        Player::OwnWebm | Player::Embedded => "mse vp9-opus webm",
        Player::OwnLive => "mse low latency",
        Player::HlsJs => "hls.js fmp4",
        Player::HlsJsLive => "hls.js live",
        Player::DashJs => "dash.js h264",
        Player::Shaka => "shaka dash h264",
        Player::VideoJs => "video.js hls",
        Player::VideoJsFile => "video.js file",
        Player::Progressive => "file of another host",
        Player::Audio => "mse aac audio",
        Player::PeerAssisted => "peer near",
        Player::WebRtc => "call",
    }
}

fn with(url: &str, key: &str, value: &str) -> String {
    let mut text = format!("{url}{}{key}=", if url.contains('?') { '&' } else { '?' });
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_the_list_matches_its_address() {
        let list = shipped(include_str!("../../www/sites/sites.json")).unwrap();
        for pattern in list.sites.iter().flat_map(|site| site.pages.iter().chain(&site.frames)) {
            let parsed = offstage_settings::pattern::Pattern::parse(pattern).unwrap();
            let url = with(&address(pattern), "case", "a b");
            assert!(parsed.matches(&url), "{pattern} does not match {url}");
        }
    }
}
