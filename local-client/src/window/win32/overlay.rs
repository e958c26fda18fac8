//! The engine's windows: all off the screen but those of players whose picture is seen, which lie over the browser's or the remote
//! desktop's window.
//!
//! An engine's window has a frame that Chromium draws itself. It is left as it is: the window's region shows the picture alone, and the
//! window is put where that makes the page's upper left corner the picture's.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use offstage_protocol::Span;
use offstage_protocol::message::Rect;
use offstage_support::win32::window;
use offstage_support::win32::window::Order;
use offstage_support::win32::window::Window;

use super::Config;
use super::parent;
use super::remote::Remote;
use crate::window::Placement;
use crate::window::RemoteWindow;
use crate::window::WindowCommand;
use crate::window::WindowEvent;
use crate::window::matching::Matching;
use crate::window::matching::Role;
use crate::window::region;
use crate::window::sizes::CHOOSER;
use crate::window::sizes::PARKED;
use crate::window::sizes::fits;
use crate::window::sizes::stepped;

/// Chromium's windows that lie in no other.
const CLASS: &str = "Chrome_WidgetWin_1";
/// The window in them that has the page's place (Chromium, `legacy_render_widget_host_win.cc`).
const PAGE: &str = "Chrome_RenderWidgetHostHWND";
/// Where nothing is seen. Windows itself puts minimised windows there.
const NOWHERE: i32 = -32000;
/// How often the desktop is looked at while something plays: every other frame of a screen.
const PACE: Duration = Duration::from_millis(33);
/// How often otherwise: the remote desktop's window may be found that late, and what an engine opens unasked may be seen for that long.
const IDLE_PACE: Duration = Duration::from_millis(250);

/// All windows.
#[derive(Debug)]
pub(super) struct Overlay {
    remote: Option<Remote>,
    single: Option<RemoteWindow>,
    engine: Option<u32>,
    matching: Matching,
    /// By the engine's window.
    taken: BTreeMap<Window, Taken>,
    players: BTreeMap<u32, Player>,
    /// The engine's own page is on the screen: the person chooses what a call is to show.
    choosing: bool,
    events: Vec<WindowEvent>,
}

/// A window of the engine.
#[derive(Debug)]
struct Taken {
    role: Role,
    /// What its page was given.
    size: (u16, u16),
    /// Where it was put; `None` while it is off the screen.
    place: Option<Place>,
}

/// What is wanted for a player.
#[derive(Debug, Default)]
struct Player {
    window: Option<Window>,
    /// The least size of its window.
    reserved: (u16, u16),
    wanted: Option<Placement>,
}

/// Where a picture's window is on the screen.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    owner: Window,
    left: i32,
    top: i32,
    size: (u32, u32),
    /// What its page is given of that.
    page: (u16, u16),
    /// Relative to the window.
    parts: Vec<Rect>,
}

/// A window's frame around its page.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: i32,
    top: i32,
    /// On both sides together.
    width: u32,
    height: u32,
}

impl Overlay {
    pub(super) fn new(config: Config) -> Self {
        Self {
            remote: config.remote.map(Remote::new),
            single: config.single,
            engine: None,
            matching: Matching::default(),
            taken: BTreeMap::new(),
            players: BTreeMap::new(),
            choosing: false,
            events: Vec::new(),
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<WindowEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn handle_command(&mut self, command: WindowCommand, now: Instant) {
        match command {
            WindowCommand::EngineStarted { pid } => {
                self.drop_everything();
                self.engine = Some(pid);
                self.look_for_windows(now);
            }
            WindowCommand::EngineGone => {
                self.drop_everything();
                self.engine = None;
            }
            WindowCommand::Expect { player } => {
                self.players.entry(player).or_default();
                if let Some(window) = self.matching.expect(player, now) {
                    self.adopt(window, player);
                }
            }
            WindowCommand::Reserve { player, width, height } => {
                let state = self.players.entry(player).or_default();
                state.reserved = (stepped(width), stepped(height));
                let reserved = state.reserved;
                if let Some(taken) = state.window.and_then(|window| self.taken.get_mut(&window)) {
                    taken.size = (taken.size.0.max(reserved.0), taken.size.1.max(reserved.1));
                }
                self.resize(player);
            }
            WindowCommand::Place(placement) => {
                let player = placement.player;
                self.players.entry(player).or_default().wanted = Some(placement);
                self.show(player);
            }
            WindowCommand::Hide { player } => {
                if let Some(state) = self.players.get_mut(&player) {
                    state.wanted = None;
                }
                self.show(player);
            }
            WindowCommand::Close { player } => {
                // The window itself is the stage's to close; until then it stays off the screen.
                if let Some(window) = self.players.remove(&player).and_then(|state| state.window) {
                    self.park(window);
                }
            }
            WindowCommand::Choose { on } => {
                self.choosing = on;
                self.show_engine();
            }
        }
    }

    /// How long after a look the next one is due.
    pub(super) fn pace(&self) -> Duration {
        if self.players.is_empty() { IDLE_PACE } else { PACE }
    }

    /// Looks for windows that have come or gone, and brings all to where they belong now.
    pub(super) fn handle_tick(&mut self, now: Instant) {
        for player in self.matching.expire(now) {
            tracing::debug!(player, "the engine made no window");
            self.events.push(WindowEvent::Lost { player });
        }
        self.look_for_windows(now);
        if let Some(event) = self.remote.as_mut().and_then(|remote| remote.look(self.engine)) {
            self.events.push(event);
            // What was asked for was meant for the window as it was: nothing is shown until the client has said where that is now.
            self.players.values_mut().for_each(|state| state.wanted = None);
        }
        let players: Vec<u32> = self.players.keys().copied().collect();
        for player in players {
            self.show(player);
        }
        self.repair();
    }

    /// Chromium sets styles and places anew when it likes, and Windows moves what it finds off the screen when screens come and go.
    fn repair(&self) {
        for (window, taken) in &self.taken {
            let has_input = self.choosing && taken.role == Role::Engine;
            if window::lets_through(*window) == has_input {
                window::let_through(*window, !has_input);
            }
            if has_input || taken.place.is_some() {
                continue;
            }
            let place = window::bounds(*window).map(|bounds| (bounds.x, bounds.y));
            if place.is_some_and(|place| place != (NOWHERE, NOWHERE)) {
                window::place(*window, NOWHERE, NOWHERE, None, Order::Keep);
            }
            // It may have hung when it was to have none any more.
            if window::owner(*window).is_some() {
                window::set_owner(*window, None);
            }
        }
    }

    /// Takes the pictures off the screen.
    pub(super) fn finish(&mut self) {
        self.drop_everything();
    }

    fn look_for_windows(&mut self, now: Instant) {
        let Some(engine) = self.engine else { return };
        let gone: Vec<Window> =
            self.taken.keys().copied().filter(|window| !window::exists(*window)).collect();
        for window in gone {
            self.window_destroyed(window);
        }
        // The newest is the highest, and they are to be taken in the order in which they came.
        for window in window::top_level().into_iter().rev() {
            if !self.taken.contains_key(&window) && is_page(window, engine) {
                let role = self.matching.window(window, now);
                tracing::debug!(window, ?role, "took a window of the engine");
                let taken = Taken { role: Role::Waiting, size: PARKED, place: None };
                self.taken.insert(window, taken);
                window::let_through(window, true);
                window::place(window, NOWHERE, NOWHERE, None, Order::Keep);
                match role {
                    Role::Engine | Role::Waiting | Role::Stray => {
                        if let Some(taken) = self.taken.get_mut(&window) {
                            taken.role = role;
                        }
                    }
                    Role::Player(player) => self.adopt(window, player),
                }
            }
        }
    }

    fn adopt(&mut self, window: Window, player: u32) {
        let Some(taken) = self.taken.get_mut(&window) else { return };
        taken.role = Role::Player(player);
        // A player that was closed in the meantime has no entry; its window stays off the screen.
        let Some(state) = self.players.get_mut(&player) else { return };
        state.window = Some(window);
        taken.size = (state.reserved.0.max(PARKED.0), state.reserved.1.max(PARKED.1));
        self.events.push(WindowEvent::Adopted { player });
        self.resize(player);
        self.show(player);
    }

    /// Gives the player's page the size that its window has to have, wherever that is.
    fn resize(&mut self, player: u32) {
        let window = self.players.get(&player).and_then(|state| state.window);
        let Some((window, taken)) = window.and_then(|window| Some((window, self.taken.get(&window)?))) else {
            return;
        };
        if taken.place.is_some() {
            self.show(player);
        } else if let Some(frame) = Frame::of(window) {
            window::place(window, NOWHERE, NOWHERE, Some(frame.around(taken.size)), Order::Keep);
        }
    }

    /// Brings the player's window to where it is wanted, or off the screen.
    fn show(&mut self, player: u32) {
        let Some(state) = self.players.get(&player) else { return };
        let Some(window) = state.window else { return };
        let Some(place) = state.wanted.as_ref().and_then(|wanted| self.place_for(window, wanted)) else {
            return self.park(window);
        };
        let Some(taken) = self.taken.get_mut(&window) else { return };
        taken.size = place.page;
        let before = taken.place.replace(place.clone());
        let same_owner = before.as_ref().is_some_and(|before| before.owner == place.owner);
        if !same_owner || window::owner(window) != Some(place.owner) {
            window::set_owner(window, Some(place.owner));
        }
        if !window::has_region(window, &place.parts) {
            window::set_region(window, &place.parts);
        }
        let is_there = window::bounds(window).is_some_and(|bounds| {
            (bounds.x, bounds.y, (bounds.width, bounds.height)) == (place.left, place.top, place.size)
        });
        if !same_owner || !is_there || before.as_ref() != Some(&place) || !is_above(window, place.owner) {
            window::place(window, place.left, place.top, Some(place.size), Order::Above(place.owner));
        }
    }

    /// Where a player's window has to be; `None` where nothing can be seen of it, which includes what is to be drawn ahead: off the screen
    /// a window is shown all the same, and its page draws.
    fn place_for(&self, window: Window, wanted: &Placement) -> Option<Place> {
        let (owner, around) = match &self.remote {
            Some(remote) => remote.content()?,
            None => parent::find(&wanted.parent, self.single.as_ref(), self.engine)?,
        };
        let taken = self.taken.get(&window)?;
        let frame = Frame::of(window)?;
        // Nothing cuts it at the window's edges but this.
        let edges = Span::of(&Rect { x: 0, y: 0, width: around.width, height: around.height });
        let visible: Vec<Rect> =
            wanted.visible.iter().filter_map(|part| Span::of(part).common(&edges)?.rect()).collect();
        let shape = region::shape(&wanted.rect, &visible, &wanted.clips, 0, 0)?;
        let side = |have: u16, need: u16| {
            if fits(have, need) && have >= need { have } else { stepped(need.into()) }
        };
        let size = (side(taken.size.0, shape.width), side(taken.size.1, shape.height));
        let page = (size.0.max(PARKED.0), size.1.max(PARKED.1));
        let parts = shape.pieces.iter().map(|piece| Rect {
            x: i32::from(piece.x).saturating_add(frame.left),
            y: i32::from(piece.y).saturating_add(frame.top),
            width: piece.width.into(),
            height: piece.height.into(),
        });
        Some(Place {
            owner,
            left: around.x.saturating_add(shape.x.into()).saturating_sub(frame.left),
            top: around.y.saturating_add(shape.y.into()).saturating_sub(frame.top),
            size: frame.around(page),
            page,
            parts: parts.collect(),
        })
    }

    /// Off the screen, but as large as it was: its page goes on drawing.
    fn park(&mut self, window: Window) {
        let Some(taken) = self.taken.get_mut(&window) else { return };
        if taken.place.take().is_some() {
            window::place(window, NOWHERE, NOWHERE, None, Order::Keep);
            // Who was its owner may be closing, and would take it along.
            window::set_owner(window, None);
        }
    }

    /// Shows the engine's own page in the middle of the screen, with the dialog that lies in it, and gives it the keyboard; or takes it
    /// off again.
    fn show_engine(&mut self) {
        let engine = self.taken.iter().find(|(_, taken)| taken.role == Role::Engine);
        let Some(window) = engine.map(|(window, _)| *window) else { return };
        window::let_through(window, !self.choosing);
        if !self.choosing {
            return window::place(window, NOWHERE, NOWHERE, None, Order::Keep);
        }
        let Some(area) = window::work_area() else { return };
        let size = (u32::from(CHOOSER.0).min(area.width), u32::from(CHOOSER.1).min(area.height));
        let middle = |from: i32, whole: u32, part: u32| from.saturating_add_unsigned((whole - part) / 2);
        let (left, top) = (middle(area.x, area.width, size.0), middle(area.y, area.height, size.1));
        window::place(window, left, top, Some(size), Order::Topmost);
        window::activate(window);
    }

    fn window_destroyed(&mut self, window: Window) {
        self.matching.forget(window);
        if let Some(Taken { role: Role::Player(player), .. }) = self.taken.remove(&window)
            && self.players.get(&player).is_some_and(|state| state.window == Some(window))
        {
            self.players.remove(&player);
            self.events.push(WindowEvent::Lost { player });
        }
    }

    fn drop_everything(&mut self) {
        for (window, _) in std::mem::take(&mut self.taken) {
            window::place(window, NOWHERE, NOWHERE, None, Order::Keep);
        }
        self.players.clear();
        self.choosing = false;
        self.matching = Matching::default();
    }
}

impl Frame {
    /// `None` for a window that has gone.
    fn of(window: Window) -> Option<Self> {
        let bounds = window::bounds(window)?;
        let page = window::children(window).into_iter().find(|child| window::class(*child) == PAGE);
        let page = page.and_then(window::bounds).or_else(|| window::client_bounds(window))?;
        Some(Self {
            left: page.x.saturating_sub(bounds.x),
            top: page.y.saturating_sub(bounds.y),
            width: bounds.width.saturating_sub(page.width),
            height: bounds.height.saturating_sub(page.height),
        })
    }

    /// The size of a window whose page has this one.
    fn around(&self, page: (u16, u16)) -> (u32, u32) {
        (u32::from(page.0).saturating_add(self.width), u32::from(page.1).saturating_add(self.height))
    }
}

/// Whether this is a window of the engine's with a page in it.
pub(super) fn is_page(window: Window, engine: u32) -> bool {
    window::process(window) == engine
        && window::is_visible(window)
        && window::owner(window).is_none()
        && window::class(window) == CLASS
}

fn is_above(window: Window, lower: Window) -> bool {
    window::top_level().into_iter().find(|found| [window, lower].contains(found)) == Some(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_desktop_is_looked_at_often_only_for_players() {
        let mut overlay = Overlay::new(Config::default());
        let mut after = |command| {
            overlay.handle_command(command, Instant::now());
            overlay.pace()
        };
        assert_eq!(after(WindowCommand::EngineStarted { pid: 0 }), IDLE_PACE);
        assert_eq!(after(WindowCommand::Expect { player: 1 }), PACE);
        assert_eq!(after(WindowCommand::Close { player: 1 }), IDLE_PACE);
    }
}
