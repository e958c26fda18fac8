//! The extension's brain: events in, commands out, time as an argument.
//!
//! Ids that come from a page mean something only together with the relay's number, which the browser vouches for.

mod beginning;
mod calls;
mod files;
mod frames;
mod geometry;
mod leaving;
mod limits;
mod meter;
mod players;
mod readers;
mod session_windows;
mod tabs;
mod window;

use std::collections::VecDeque;

use offstage_protocol::frame::GEOMETRY_STREAM;
use offstage_protocol::message::{SetGeometry, ToDeviceKind};
use offstage_protocol::{ErrorCode, Monotonic, SortedMap};
use serde::Serialize;

use crate::collect::{Bundle, Collector};
use crate::config::{Config, Scripts, Sources};
use crate::hook::{FetchedEvent, HookCommand, HookEvent, RelayCommand, RelayEvent, to_u64};
use crate::link::{DeviceLink, LinkAction, LinkEvent};
use offstage_settings::{Effective, Problem, Settings};

use self::calls::Calls;
use self::calls::Coverage;
pub use self::files::FilePlayer;
use self::frames::{Frames, Nowhere};
use self::geometry::{matched, set_geometry, with_size};
use self::meter::Meter;
use self::players::{Document, Players};
use self::session_windows::Fate;
pub use self::tabs::IconState;
use self::tabs::Tabs;

/// Most documents that are served at a time.
const MOST_RELAYS: usize = 500;
/// Most rectangles of one visible region.
const MOST_RECTS: usize = 1000;
/// Most characters of the words that are written over pictures.
const MOST_WORDS: usize = 60;
/// Longest origin that is looked at: a host name has at most 253 characters.
const MOST_ORIGIN: usize = 300;
/// Most of an address.
const MOST_URL: usize = 2000;
/// Most messages of one document in a second, in bursts of twice that; a hook that works sends far fewer.
const RATE: u64 = 2000;

/// What the shell must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Link(LinkAction),
    ToHook {
        relay: u32,
        command: HookCommand,
    },
    ToRelay {
        relay: u32,
        command: RelayCommand,
    },
    /// The worker is to fetch for a player; [`Core::handle_fetched`] answers. `relay` names the document that it is for.
    Fetch {
        player: u32,
        relay: u32,
        request: u32,
        url: String,
        start: f64,
        end: Option<f64>,
    },
    Unfetch {
        player: u32,
        request: u32,
    },
    /// The document's media port is of no use any more.
    CloseMedia {
        relay: u32,
    },
    /// Hook and relay belong into the documents of these patterns and no others.
    /// The second: pages are told of redirected calls.
    Register([Scripts; 2], bool),
    /// Ask the browser which frames are around this one.
    FindAncestors {
        tab: i32,
        frame: i32,
    },
    /// A frame around a player has to tell where its frames are.
    Inject {
        tab: i32,
        frame: i32,
    },
    SetIcon {
        tab: i32,
        state: IconState,
        /// Why it is so, where the state alone doesn't say.
        why: Option<ErrorCode>,
    },
    Log {
        level: &'static str,
        text: String,
    },
}

/// See [`Core::status`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status<'a> {
    pub ready: bool,
    /// Why not, while `ready` is false.
    pub code: Option<String>,
    pub sentence: Option<&'static str>,
    pub remedy: Option<&'static str>,
    /// Versions of the other parts, as far as known.
    pub bridge: Option<&'a str>,
    pub client: Option<&'a str>,
    pub engine: &'a str,
    pub documents: usize,
    /// Players that play on the device.
    pub redirected: usize,
    /// Connections of calls that are on the device.
    pub connections: usize,
    /// Players whose place in the page is known; one that is nowhere in it has none.
    pub placed: usize,
    /// What the device has counted over all players that are open.
    pub frames_presented: u64,
    pub frames_dropped: u64,
    /// Between page and device lately: the median and the 99th percentile, in microseconds.
    pub drift_us: Option<[u64; 2]>,
    /// Documents that play in the session although there is a device.
    pub in_session: Vec<InSession>,
    /// Documents whose files the session fetches although policy has the device fetch them.
    pub fetch_refused: Vec<InSession>,
    /// Patterns that are covered.
    pub sites: usize,
    pub settings: Vec<&'a Effective>,
    /// What somebody has set wrongly.
    pub problems: &'a [Problem],
    /// Origins to ask the browser's permission for.
    pub missing_permissions: &'a [String],
}

/// Why something of a document's is the session's: its last player that was to play on the device, or the fetching of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InSession {
    pub tab: i32,
    pub code: String,
    pub sentence: &'static str,
    pub remedy: &'static str,
}

/// Where a relay is, by the browser's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub tab: i32,
    /// 0 for the top frame.
    pub frame: i32,
    pub origin: String,
    /// Empty where the document has no address of its own.
    pub url: String,
}

#[derive(Debug)]
struct Relay {
    tab: i32,
    /// The document's, by the browser's word.
    origin: String,
    url: String,
    /// The one-time word, until it has been used.
    nonce: Option<String>,
    bound: bool,
    /// Messages that may still come at once; fills up with time.
    allowance: u64,
    filled_at: Monotonic,
}

/// See the module.
#[derive(Debug)]
pub struct Core {
    words: String,
    config: Config,
    link: DeviceLink,
    relays: SortedMap<u32, Relay>,
    frames: Frames,
    players: Players,
    calls: Calls,
    tabs: Tabs,
    collector: Collector,
    meter: Meter,
    /// The wall clock when it was last told, for the log.
    wall_us: u64,
    outputs: VecDeque<Output>,
}

impl Core {
    #[must_use]
    /// `words` are written over pictures where the person wants that.
    pub fn new(version: &str, words: &str) -> Self {
        Self {
            words: words.chars().take(MOST_WORDS).collect(),
            config: Config::default(),
            link: DeviceLink::new(version),
            relays: SortedMap::new(),
            frames: Frames::default(),
            players: Players::default(),
            calls: Calls::default(),
            tabs: Tabs::default(),
            collector: Collector::default(),
            meter: Meter::default(),
            wall_us: 0,
            outputs: VecDeque::new(),
        }
    }

    pub fn handle_config(&mut self, sources: &Sources) {
        let config = Config::from_sources(sources);
        for problem in config.settings().problems() {
            let text = format!("{}: {:?}, {}: {}", problem.code, problem.source, problem.key, problem.text);
            self.outputs.push_back(Output::Log { level: "warn", text });
        }
        self.collector.level = config.settings().word("logLevel").to_owned();
        self.link.set_log_control(self.collector.control());
        self.link.want(config.count() > 0);
        let scripts = config.scripts();
        self.tabs.set_config(&config);
        self.config = config;
        let contract = self.config.settings().is_on("callsContract");
        self.outputs.push_back(Output::Register(scripts, contract));
        self.settle();
    }

    /// The settings in force, and what is wrong with them.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        self.config.settings()
    }

    // ---- the native port ---------------------------------------------------------------------------------------

    pub fn handle_native_bytes(&mut self, now: Monotonic, wall_us: u64, bytes: &[u8]) {
        self.link.handle_bytes(now, wall_us, bytes);
        self.drain_link(now, wall_us);
    }

    pub fn handle_native_closed(&mut self, now: Monotonic, wall_us: u64, reason: &str) {
        self.link.handle_closed(now, reason);
        self.drain_link(now, wall_us);
    }

    // ---- documents ---------------------------------------------------------------------------------------------

    /// A relay has connected; the browser vouches for its place. `nonce` must be random.
    pub fn handle_relay_opened(&mut self, now: Monotonic, relay: u32, place: Place, nonce: String) {
        if self.relays.len() >= MOST_RELAYS {
            return;
        }
        let Place { tab, frame, origin, url } = place;
        let command = RelayCommand {
            ready: self.link.is_ready(),
            nonce: Some(nonce.clone()),
            frame: Some(frame),
            children: None,
            bars: self.frames.bars,
        };
        let origin: String = origin.chars().take(MOST_ORIGIN).collect();
        let own = url.starts_with("http:") || url.starts_with("https:");
        let url = if own { url.chars().take(MOST_URL).collect() } else { format!("{origin}/") };
        let (nonce, allowance) = (Some(nonce), 2 * RATE);
        let state = Relay { tab, origin, url, nonce, bound: false, allowance, filled_at: now };
        self.relays.insert(relay, state);
        self.frames.opened(relay, tab, frame);
        self.outputs.push_back(Output::ToRelay { relay, command });
        self.settle();
    }

    pub fn handle_relay_closed(&mut self, relay: u32) {
        if self.relays.remove(&relay).is_some() {
            self.frames.closed(relay);
            self.players.close_all_of(relay, &mut self.link, &mut self.outputs);
            self.calls.close_all_of(relay, &mut self.link);
            self.outputs.push_back(Output::CloseMedia { relay });
            self.settle();
        }
    }

    /// The browser's word on the frames around `frame`, from its parent to the top.
    pub fn handle_ancestors(&mut self, tab: i32, frame: i32, chain: &[i32]) {
        self.frames.handle_ancestors(tab, frame, chain);
        self.settle();
    }

    /// Somebody offers a media port with a word. Returns the document that it belongs to, or nothing if the word is
    /// not one that was given out and not used.
    #[must_use]
    pub fn handle_media_offered(&mut self, nonce: &str) -> Option<u32> {
        let found = self.relays.iter_mut().find(|(_, relay)| relay.nonce.as_deref() == Some(nonce));
        let Some((id, relay)) = found else {
            let text = format!("{}: a port was offered without a valid word", ErrorCode::FORGED_RELAY);
            self.outputs.push_back(Output::Log { level: "warn", text });
            return None;
        };
        relay.nonce = None;
        relay.bound = true;
        Some(*id)
    }

    pub fn handle_relay(&mut self, now: Monotonic, wall_us: u64, relay: u32, event: RelayEvent) {
        if !self.allowed(now, relay) {
            return;
        }
        match event {
            RelayEvent::Geometry(mut geometry) => {
                let ms = geometry.ms;
                if let Some(screen) = self.calls.screen_mut(relay, ms) {
                    // Natively the element shows nothing yet.
                    if geometry.natural.is_none() {
                        geometry.place.visible.clear();
                    }
                    screen.geometry = Some(geometry);
                    self.place_screen(now, relay, ms);
                } else if let Some(player) = self.players.get_mut(relay, ms) {
                    player.geometry = Some(geometry);
                    self.place(now, relay, ms);
                }
            }
            RelayEvent::Frame(report) => {
                self.frames.handle_report(now, relay, report);
                // Its own players' places follow.
                for other in self.frames.others(relay) {
                    for ms in self.players.numbers_of(other) {
                        self.place(now, other, ms);
                    }
                    for ms in self.calls.screens_of(other) {
                        self.place_screen(now, other, ms);
                    }
                }
            }
        }
        self.drain_link(now, wall_us);
    }

    /// Tells the device where a player is.
    fn place(&mut self, now: Monotonic, relay: u32, ms: u32) {
        let Some(player) = self.players.get_mut(relay, ms) else { return };
        let size = player.size();
        let Some(geometry) = player.geometry.as_ref().map(|geometry| with_size(geometry, size)) else {
            return;
        };
        let geometry = geometry.as_ref();
        let located = matched(self.frames.locate(now, relay, geometry), &self.link);
        player.is_located =
            geometry.natural.is_some() && located.as_ref().is_ok_and(|at| !at.visible.is_empty());
        let lost = player.lost;
        let is_seen = !geometry.place.visible.is_empty();
        let code = match &located {
            Err(Nowhere::Unknown) if is_seen => Some(ErrorCode::PLACE_UNKNOWN),
            Err(Nowhere::Unmatched) if is_seen => Some(ErrorCode::STYLE_UNMATCHED),
            Err(Nowhere::Unknown | Nowhere::Unmatched | Nowhere::Late) | Ok(_) => None,
        };
        player.lost = code.map(|code| (player.lost.map_or(now, |(since, _)| since), code));
        player.geometry_seq += 1;
        let located = located.unwrap_or_default();
        let mut message = set_geometry(player.id, player.geometry_seq, geometry, located);
        message.outline = self.config.settings().is_on("outline");
        if self.config.settings().is_on("overlay") {
            message.label = player.label(&self.words);
        }
        let title = self.relays.get(&relay).map_or("", |relay| self.tabs.title(relay.tab));
        if self.link.is_remote_window() && is_lost_among_windows(&mut message, title, &self.link) {
            player.lost = Some((lost.map_or(now, |(since, _)| since), ErrorCode::PLACE_UNKNOWN));
        }
        // Laid out before there is a picture, and shown with it.
        if !player.beginning.has_picture {
            message.soon = !message.visible.is_empty();
            player.beginning.is_seen = message.soon;
            message.visible.clear();
        }
        // A full queue drops this one; the next heartbeat brings a newer one.
        let _queued = self.link.send(GEOMETRY_STREAM, ToDeviceKind::SetGeometry(Box::new(message)));
    }

    /// Tells the device where an element of a call is.
    fn place_screen(&mut self, now: Monotonic, relay: u32, ms: u32) {
        let Some(screen) = self.calls.screen_mut(relay, ms) else { return };
        let Some(geometry) = &screen.geometry else { return };
        let mut located = matched(self.frames.locate(now, relay, geometry), &self.link);
        if located == Err(Nowhere::Unmatched) {
            // Nobody else can draw it: better without what can't be matched than not at all.
            let mut plain = geometry.clone();
            plain.place.nodes.clear();
            located = self.frames.locate(now, relay, &plain);
        }
        screen.geometry_seq += 1;
        let mut message = set_geometry(screen.id, screen.geometry_seq, geometry, located.unwrap_or_default());
        if self.link.is_remote_window() {
            let title = self.relays.get(&relay).map_or("", |relay| self.tabs.title(relay.tab));
            is_lost_among_windows(&mut message, title, &self.link);
        }
        let _queued = self.link.send(GEOMETRY_STREAM, ToDeviceKind::SetGeometry(Box::new(message)));
    }

    /// Tells the device where everything is, now that the session's windows are elsewhere.
    fn place_all(&mut self, now: Monotonic) {
        let relays: Vec<u32> = self.relays.keys().copied().collect();
        for relay in relays {
            for ms in self.players.numbers_of(relay) {
                self.place(now, relay, ms);
            }
            for ms in self.calls.screens_of(relay) {
                self.place_screen(now, relay, ms);
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not about calls is the players' business")]
    pub fn handle_hook(&mut self, now: Monotonic, wall_us: u64, relay: u32, event: HookEvent) {
        if !self.relays.get(&relay).is_some_and(|r| r.bound) || !self.allowed(now, relay) {
            return;
        }
        let Some(Relay { origin, tab, url, .. }) = self.relays.get(&relay) else { return };
        let device_fetches = self.config.fetches_by_device(origin);
        let muted = self.tabs.is_muted(*tab);
        let calls = self.config.covers_calls(url);
        match event {
            HookEvent::OpenCall {} => {
                let (players, link, out) = (&mut self.players, &mut self.link, &mut self.outputs);
                let contract = self.config.settings().is_on("callsContract");
                self.calls.open(relay, origin, Coverage { calls, contract }, players, link, out);
            }
            HookEvent::Request(request) => {
                let shares = self.config.settings().is_on("callsShareDevice");
                self.calls.request(relay, request, shares, &mut self.link, &mut self.outputs);
            }
            HookEvent::Screen(screen) => {
                self.calls.screen(relay, origin, screen, &mut self.players, &mut self.link);
            }
            HookEvent::CallStays {} => self.calls.stay(relay),
            HookEvent::CloseScreen { ms } => self.calls.close_screen(relay, ms, &mut self.link),
            HookEvent::Playback(wish) if self.calls.playback(relay, wish, muted, &mut self.link) => {}
            event => {
                // A document that is covered for its calls alone plays in the session.
                let barred = calls && !self.config.covers(url);
                let document = Document { relay, origin, muted, device_fetches, barred };
                self.players.handle_hook(now, document, event, &mut self.link, &mut self.outputs);
            }
        }
        self.drain_link(now, wall_us);
    }

    /// What [`Output::Fetch`] has given.
    pub fn handle_fetched(&mut self, now: Monotonic, wall_us: u64, player: u32, got: FetchedEvent) {
        self.players.fetched_by_worker(player, got, &mut self.link, &mut self.outputs);
        self.drain_link(now, wall_us);
    }

    /// The hook has sent something that is no message.
    pub fn handle_nonsense(&mut self, now: Monotonic, relay: u32, what: &str) {
        if !self.allowed(now, relay) {
            return;
        }
        let what: String = what.chars().take(200).collect();
        let text = format!("{}: {what}", ErrorCode::INVALID_PAGE_MESSAGE);
        self.outputs.push_back(Output::Log { level: "debug", text });
    }

    // ---- tabs --------------------------------------------------------------------------------------------------

    pub fn handle_tab(&mut self, tab: i32, url: &str) {
        self.tabs.set_page(tab, url, &self.config);
        self.settle();
    }

    /// What the tab is called: it tells windows apart that lie over each other.
    pub fn handle_tab_title(&mut self, tab: i32, title: &str) {
        self.tabs.set_title(tab, title);
    }

    pub fn handle_tab_closed(&mut self, tab: i32) {
        self.tabs.remove(tab);
    }

    /// The person has muted the tab, or not any more: what it plays on the device is to be heard no more than in the session.
    pub fn handle_tab_muted(&mut self, now: Monotonic, wall_us: u64, tab: i32, muted: bool) {
        self.tabs.set_muted(tab, muted);
        for (relay, _) in self.relays.iter().filter(|(_, relay)| relay.tab == tab) {
            self.players.set_muted(*relay, muted, &mut self.link, &mut self.outputs);
        }
        self.drain_link(now, wall_us);
    }

    /// What works, what doesn't, and why: for the popup and for logs.
    #[must_use]
    pub fn status(&self) -> Status<'_> {
        let (bridge, client, engine) = self.link.versions();
        let code = (!self.link.is_ready()).then(|| self.link.status());
        let [frames_presented, frames_dropped] = self.players.frames();
        Status {
            ready: self.link.is_ready(),
            code: code.map(|code| code.to_string()),
            sentence: code.map(ErrorCode::sentence),
            remedy: code.map(ErrorCode::remedy),
            bridge,
            client,
            engine,
            documents: self.relays.values().filter(|relay| relay.bound).count(),
            redirected: self.players.redirected().count(),
            connections: self.calls.connections(),
            placed: self.players.located(),
            frames_presented,
            frames_dropped,
            drift_us: self.players.drift_us(),
            in_session: self
                .players
                .reasons()
                .filter_map(|(relay, code)| self.in_session(relay, code))
                .collect(),
            fetch_refused: self
                .players
                .fetch_refused
                .iter()
                .filter_map(|(relay, code)| self.in_session(*relay, *code))
                .collect(),
            sites: self.config.count(),
            settings: self.config.settings().effective().collect(),
            problems: self.config.settings().problems(),
            missing_permissions: self.config.missing_permissions(),
        }
    }

    fn in_session(&self, relay: u32, code: ErrorCode) -> Option<InSession> {
        let tab = self.relays.get(&relay)?.tab;
        Some(InSession { tab, code: code.to_string(), sentence: code.sentence(), remedy: code.remedy() })
    }

    // ---- logs --------------------------------------------------------------------------------------------------

    /// Begins a log bundle. `correlation` must be random.
    pub fn begin_logs(&mut self, now: Monotonic, correlation: &str) {
        self.collector.begin(now, correlation);
        self.link.set_log_control(self.collector.control());
    }

    /// Ends it; [`Self::take_logs`] has it some time later.
    pub fn end_logs(&mut self, now: Monotonic) {
        let [bridge, client] = self.link.collectors();
        self.collector.end(now, bridge, client);
        self.link.set_log_control(self.collector.control());
    }

    /// The bundle that is ready; given once.
    #[must_use]
    pub fn take_logs(&mut self) -> Option<Bundle> {
        self.collector.take()
    }

    // ---- time and outputs --------------------------------------------------------------------------------------

    pub fn handle_timeout(&mut self, now: Monotonic, wall_us: u64) {
        self.link.handle_timeout(now, wall_us);
        self.players.handle_timeout(now, &mut self.link, &mut self.outputs);
        self.collector.handle_timeout(now);
        self.link.set_log_control(self.collector.control());
        if let Some(metrics) = self.meter.handle_timeout(now, &self.link, &self.players) {
            self.link.show(metrics);
        }
        self.drain_link(now, wall_us);
    }

    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &'static str)> {
        let (logs, meter) = (self.collector.poll_timeout(), self.meter.poll_timeout());
        [self.link.poll_timeout(), self.players.poll_timeout(), logs, meter].into_iter().flatten().min()
    }

    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front().or_else(|| self.link.poll_action().map(Output::Link))?;
        if let Output::Log { level, text } = &output {
            self.collector.note(self.wall_us, level, text);
        }
        Some(output)
    }

    fn drain_link(&mut self, now: Monotonic, wall_us: u64) {
        self.wall_us = wall_us;
        while let Some(event) = self.link.poll_event() {
            match event {
                LinkEvent::Collected(from, chunk) => self.collector.handle_chunk(from, chunk),
                LinkEvent::Ready => {
                    self.meter.device_ready(now);
                    let (bridge, client, engine) = self.link.versions();
                    let [bridge, client] = [bridge, client].map(|v| v.unwrap_or("?"));
                    let text = format!("device ready: bridge {bridge}, client {client}, engine {engine}");
                    self.outputs.push_back(Output::Log { level: "info", text });
                    self.players.revert_all(ErrorCode::DEVICE_NOT_READY, &mut self.outputs);
                    self.calls.lose_all(ErrorCode::DEVICE_NOT_READY, &mut self.outputs);
                    self.tell_relays(true);
                }
                LinkEvent::Lost(code) => {
                    let text = format!("no device: {code} {}", code.sentence());
                    self.outputs.push_back(Output::Log { level: "info", text });
                    self.players.revert_all(code, &mut self.outputs);
                    self.calls.lose_all(code, &mut self.outputs);
                    self.tell_relays(false);
                }
                LinkEvent::Device(kind) => {
                    if let Some(kind) = self.calls.handle_device(kind, &mut self.outputs) {
                        self.players.handle_device(now, wall_us, kind, &mut self.link, &mut self.outputs);
                        for (relay, ms) in std::mem::take(&mut self.players.to_place) {
                            self.place(now, relay, ms);
                        }
                    }
                }
                LinkEvent::WindowsChanged => self.place_all(now),
                LinkEvent::Log { level, text } => {
                    let level = match level.as_str() {
                        "error" => "error",
                        "warn" => "warn",
                        "info" => "info",
                        _ => "debug",
                    };
                    self.outputs.push_back(Output::Log { level, text: format!("bridge: {text}") });
                }
            }
        }
        self.settle();
    }

    fn tell_relays(&mut self, ready: bool) {
        for relay in self.relays.keys() {
            let command = RelayCommand { ready, ..RelayCommand::default() };
            self.outputs.push_back(Output::ToRelay { relay: *relay, command });
        }
    }

    /// Icons, and what the frames around players are asked for, follow from everything else.
    fn settle(&mut self) {
        let mut placed = self.players.placed();
        placed.extend(self.calls.placed());
        self.frames.settle(self.link.is_ready(), &placed, &mut self.outputs);
        self.link.watch_windows(!placed.is_empty());
        let relays = &self.relays;
        let playing: Vec<i32> =
            self.players.redirected().filter_map(|relay| relays.get(&relay)).map(|relay| relay.tab).collect();
        let bound: Vec<i32> = relays.values().filter(|relay| relay.bound).map(|relay| relay.tab).collect();
        let reasons = self.players.reasons().chain(self.calls.stays());
        let reasons: Vec<(i32, ErrorCode)> =
            reasons.filter_map(|(relay, code)| Some((relays.get(&relay)?.tab, code))).collect();
        let calls: Vec<i32> =
            self.calls.active().filter_map(|relay| relays.get(&relay)).map(|relay| relay.tab).collect();
        self.tabs.update(&self.link, &playing, &calls, &bound, &reasons, &mut self.outputs);
    }

    /// A bucket of messages for each document: a page that floods loses its own messages and nobody else's.
    fn allowed(&mut self, now: Monotonic, relay: u32) -> bool {
        let Some(state) = self.relays.get_mut(&relay) else { return false };
        let passed = u64::try_from(now.since(state.filled_at).as_millis()).unwrap_or(u64::MAX);
        let more = passed.saturating_mul(RATE) / 1000;
        if more > 0 {
            state.allowance = state.allowance.saturating_add(more).min(2 * RATE);
            state.filled_at = now;
        }
        if state.allowance > 0 {
            state.allowance -= 1;
            return true;
        }
        // What was lost can't be made good: the document's players go back to the session.
        if self.players.revert_all_of(relay, ErrorCode::PAGE_FLOOD, &mut self.link, &mut self.outputs) {
            let text = format!("{}: a page sends too much", ErrorCode::PAGE_FLOOD);
            self.outputs.push_back(Output::Log { level: "warn", text });
        }
        false
    }
}

/// Puts the place right by what the bridge sees of the session's windows; true if there is no window that it can be in.
fn is_lost_among_windows(message: &mut SetGeometry, title: &str, link: &DeviceLink) -> bool {
    let was_seen = !message.visible.is_empty();
    let single = link.has_single_windows();
    let fate = session_windows::bind(message, title, link.windows(), single);
    if single {
        title.clone_into(&mut message.title);
    }
    was_seen && (fate == Fate::Lost || !link.can_watch_windows())
}

fn to_u32(value: f64) -> u32 {
    u32::try_from(to_u64(value)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "a test picks out what it is about")]
mod tests;
