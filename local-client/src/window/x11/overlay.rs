//! The frames: one for each window of the engine, of which the players' are children of the browser's
//! window.
//!
//! A frame's bounding shape is what is seen of the picture, its input shape is empty, so clicks and keys
//! go to what lies below. The server keeps the frame's content whole (composite redirect), so that
//! moving and uncovering it never shows stale pixels and costs the engine nothing. Being a child of the
//! browser's window, it is stacked, covered, moved and minimised with it.

use std::collections::BTreeMap;
use std::time::Instant;

use x11rb::connection::Connection as _;
use x11rb::connection::RequestConnection as _;
use x11rb::protocol::Event;
use x11rb::protocol::composite;
use x11rb::protocol::composite::ConnectionExt as _;
use x11rb::protocol::res;
use x11rb::protocol::shape;
use x11rb::protocol::shape::ConnectionExt as _;
use x11rb::protocol::xproto::Atom;
use x11rb::protocol::xproto::ChangeWindowAttributesAux;
use x11rb::protocol::xproto::ClipOrdering;
use x11rb::protocol::xproto::ConfigureWindowAux;
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::protocol::xproto::CreateWindowAux;
use x11rb::protocol::xproto::EventMask;
use x11rb::protocol::xproto::InputFocus;
use x11rb::protocol::xproto::Rectangle;
use x11rb::protocol::xproto::StackMode;
use x11rb::protocol::xproto::UNMAP_NOTIFY_EVENT;
use x11rb::protocol::xproto::UnmapNotifyEvent;
use x11rb::protocol::xproto::Window;
use x11rb::protocol::xproto::WindowClass;
use x11rb::rust_connection::RustConnection;

use crate::window::DisplayFailure;
use crate::window::ParentHint;
use crate::window::Placement;
use crate::window::WindowCommand;
use crate::window::WindowEvent;
use crate::window::matching::Matching;
use crate::window::matching::Role;
use crate::window::region;
use crate::window::region::Shape;
use crate::window::sizes::CHOOSER;
use crate::window::sizes::PARKED;
use crate::window::sizes::fits;
use crate::window::sizes::stepped;
use crate::window::x11::DisplayError;
use crate::window::x11::X11Config;
use crate::window::x11::gone_is_none;
use crate::window::x11::parent;
use crate::window::x11::parent::ExtentAtoms;
use crate::window::x11::parent::Parent;
use crate::window::x11::remote::Names;
use crate::window::x11::remote::Remote;
use crate::window::x11::taking::Watch;

/// The state of a window that nobody manages.
const WITHDRAWN: u32 = 0;

/// All windows on one display.
#[derive(Debug)]
pub struct Overlay<'c> {
    conn: &'c RustConnection,
    root: Window,
    /// Never mapped; holds the frames that nobody is to see.
    park: Window,
    fixed_parent: Option<Window>,
    remote: Option<Remote>,
    single: Option<Names>,
    atoms: ExtentAtoms,
    wm_state: Atom,
    watch: Watch,
    matching: Matching,
    /// By the engine's window.
    taken: BTreeMap<Window, Taken>,
    players: BTreeMap<u32, Player>,
    /// The engine's own page is on the screen: the person chooses what a call is to show.
    choosing: bool,
    events: Vec<WindowEvent>,
}

/// A window of the engine inside its frame.
#[derive(Debug)]
struct Taken {
    frame: Window,
    role: Role,
    size: (u16, u16),
}

/// What is wanted for a player, and what is.
#[derive(Debug, Default)]
struct Player {
    window: Option<Window>,
    /// The least size of its window.
    reserved: (u16, u16),
    wanted: Option<Placement>,
    parent: Option<ChosenParent>,
    shown: Option<Shape>,
}

#[derive(Debug)]
struct ChosenParent {
    parent: Parent,
    hint: ParentHint,
}

impl<'c> Overlay<'c> {
    /// Prepares the display; fails if it lacks what the overlay needs.
    pub fn new(conn: &'c RustConnection, screen: usize, config: &X11Config) -> Result<Self, DisplayError> {
        for (name, extension) in [
            ("SHAPE", shape::X11_EXTENSION_NAME),
            ("Composite", composite::X11_EXTENSION_NAME),
            ("X-Resource", res::X11_EXTENSION_NAME),
        ] {
            if conn.extension_information(extension)?.is_none() {
                let detail = format!("the display lacks the extension {name}");
                return Err(DisplayError { reason: DisplayFailure::Unsuitable, detail });
            }
        }
        gone_is_none(conn.composite_query_version(0, 4)?.reply())?;
        let Some(screen) = conn.setup().roots.get(screen) else {
            let detail = "the display has no such screen".to_owned();
            return Err(DisplayError { reason: DisplayFailure::Unsuitable, detail });
        };
        let root = screen.root;
        conn.change_window_attributes(
            root,
            &ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY),
        )?;
        let park = conn.generate_id()?;
        conn.create_window(
            x11rb::COPY_DEPTH_FROM_PARENT,
            park,
            root,
            -10,
            -10,
            1,
            1,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &CreateWindowAux::new().override_redirect(1),
        )?;
        Ok(Self {
            conn,
            root,
            park,
            fixed_parent: config.fixed_parent,
            remote: config.remote.clone().map(|which| Remote::new(conn, which)).transpose()?,
            single: config.single.clone().map(|which| Names::new(conn, which)).transpose()?,
            atoms: ExtentAtoms::new(conn)?,
            wm_state: gone_is_none(conn.intern_atom(false, b"WM_STATE")?.reply())?
                .map_or(0, |reply| reply.atom),
            watch: Watch::default(),
            matching: Matching::default(),
            taken: BTreeMap::new(),
            players: BTreeMap::new(),
            choosing: false,
            events: Vec::new(),
        })
    }

    pub fn take_events(&mut self) -> Vec<WindowEvent> {
        std::mem::take(&mut self.events)
    }

    pub fn handle_command(&mut self, command: WindowCommand) -> Result<(), DisplayError> {
        match command {
            WindowCommand::EngineStarted { pid } => {
                self.drop_everything()?;
                self.watch.engine_started(pid);
                // Windows that were made before this command was carried out.
                if let Some(tree) = gone_is_none(self.conn.query_tree(self.root)?.reply())? {
                    for window in tree.children {
                        self.window_created(window)?;
                    }
                }
            }
            WindowCommand::EngineGone => {
                self.watch.engine_gone();
                self.drop_everything()?;
            }
            WindowCommand::Expect { player } => {
                self.players.entry(player).or_default();
                if let Some(window) = self.matching.expect(player, Instant::now()) {
                    self.adopt(window, player)?;
                }
            }
            WindowCommand::Reserve { player, width, height } => self.reserve(player, width, height)?,
            WindowCommand::Place(placement) => {
                let player = placement.player;
                self.players.entry(player).or_default().wanted = Some(placement);
                self.show(player)?;
            }
            WindowCommand::Hide { player } => {
                if let Some(state) = self.players.get_mut(&player) {
                    state.wanted = None;
                }
                self.show(player)?;
            }
            WindowCommand::Close { player } => {
                // The window itself is the stage's to close; until then it stays parked.
                if let Some(state) = self.players.remove(&player)
                    && let Some(taken) = state.window.and_then(|window| self.taken.get(&window))
                {
                    self.conn.unmap_window(taken.frame)?;
                    self.conn.reparent_window(taken.frame, self.park, 0, 0)?;
                }
            }
            WindowCommand::Choose { on } => {
                self.choosing = on;
                self.show_engine()?;
            }
        }
        Ok(())
    }

    /// Shows the engine's own page in the middle of the screen, with the dialog that lies in it, and gives it the keyboard; or parks it again.
    fn show_engine(&mut self) -> Result<(), DisplayError> {
        let engine = self.taken.iter().find(|(_, taken)| taken.role == Role::Engine);
        let Some((window, frame)) = engine.map(|(window, taken)| (*window, taken.frame)) else {
            return Ok(());
        };
        if !self.choosing {
            self.conn.unmap_window(frame)?;
            self.no_input(frame)?;
            self.no_input(window)?;
            self.conn.reparent_window(frame, self.park, 0, 0)?;
            return Ok(());
        }
        let Some(screen) = gone_is_none(self.conn.get_geometry(self.root)?.reply())? else { return Ok(()) };
        let (width, height) = (CHOOSER.0.min(screen.width), CHOOSER.1.min(screen.height));
        let middle = |whole: u16, part: u16| i16::try_from((whole - part) / 2).unwrap_or(0);
        let (x, y) = (middle(screen.width, width), middle(screen.height, height));
        self.configure_popup(window, width, height)?;
        for each in [frame, window] {
            self.conn.shape_mask(shape::SO::SET, shape::SK::INPUT, each, 0, 0, x11rb::NONE)?;
        }
        self.conn.reparent_window(frame, self.root, x, y)?;
        self.conn.configure_window(
            frame,
            &ConfigureWindowAux::new()
                .width(u32::from(width))
                .height(u32::from(height))
                .stack_mode(StackMode::ABOVE),
        )?;
        self.conn.map_window(frame)?;
        self.conn.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)?;
        Ok(())
    }

    pub fn handle_event(&mut self, event: &Event) -> Result<(), DisplayError> {
        if let Event::CreateNotify(event) = event {
            if event.parent == self.root && !event.override_redirect {
                self.window_created(event.window)?;
            }
        } else if let Event::PropertyNotify(event) = event {
            if event.atom == self.wm_state
                && self.taken.contains_key(&event.window)
                && self.is_managed(event.window)?
            {
                tracing::debug!(window = event.window, "a window manager has a window that was taken");
                self.let_go(event.window)?;
            }
            if self.watch.classified(self.conn, event.window)? {
                let role = self.matching.window(event.window, Instant::now());
                self.take(event.window, role)?;
            }
        } else if let Event::MapNotify(event) = event {
            if self.watch.appeared(event.window) {
                self.take(event.window, Role::Stray)?;
            }
        } else if let Event::MapRequest(event) = event {
            if self.taken.contains_key(&event.window) {
                self.conn.map_window(event.window)?;
            }
        } else if let Event::ConfigureRequest(event) = event {
            // The engine's wish is refused by asking for what is: it then learns its real size.
            if let Some(taken) = self.taken.get(&event.window) {
                let (width, height) = taken.size;
                self.configure_popup(event.window, width, height)?;
            }
        } else if let Event::ReparentNotify(event) = event {
            // A window manager that was about to manage the window when it was taken puts it into a frame of its own, or back.
            if let Some(taken) = self.taken.get(&event.window).filter(|taken| taken.frame != event.parent) {
                tracing::debug!(window = event.window, "takes a window back");
                if event.parent != self.root {
                    self.let_go(event.window)?;
                }
                self.conn.reparent_window(event.window, taken.frame, 0, 0)?;
                self.conn.map_window(event.window)?;
            }
        } else if let Event::UnmapNotify(event) = event {
            // The same manager takes it off the screen when it learns that the window is not its own.
            if event.event == event.window && self.taken.contains_key(&event.window) {
                self.conn.map_window(event.window)?;
            }
        } else if let Event::DestroyNotify(event) = event {
            self.window_destroyed(event.window)?;
        } else if let Event::Error(error) = event {
            tracing::trace!(?error, "a request came too late");
        }
        if self.remote.as_ref().is_some_and(|remote| remote.concerns(event)) {
            self.look_for_remote()?;
        }
        Ok(())
    }

    /// Looks where the remote desktop's window is, if the pictures lie in one, and tells what has changed.
    pub fn look_for_remote(&mut self) -> Result<(), DisplayError> {
        let Some(remote) = &mut self.remote else { return Ok(()) };
        let Some(event) = remote.look(self.conn, self.root)? else { return Ok(()) };
        self.events.push(event);
        // What was asked for was meant for the window as it was: nothing is shown until the client has said where that is now.
        let players: Vec<u32> = self.players.keys().copied().collect();
        for player in players {
            if let Some(state) = self.players.get_mut(&player) {
                state.wanted = None;
            }
            self.show(player)?;
        }
        Ok(())
    }

    /// Looks for missing parents and drops what never came.
    pub fn handle_tick(&mut self) -> Result<(), DisplayError> {
        for player in self.matching.expire(Instant::now()) {
            tracing::debug!(player, "the engine made no window");
            self.events.push(WindowEvent::Lost { player });
        }
        self.look_for_remote()?;
        if self.choosing
            && let Some(taken) = self.taken.values().find(|taken| taken.role == Role::Engine)
        {
            let above = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
            self.conn.configure_window(taken.frame, &above)?;
        }
        let hidden: Vec<u32> = self
            .players
            .iter()
            .filter(|(_, state)| state.wanted.is_some() && state.window.is_some() && state.shown.is_none())
            .map(|(player, _)| *player)
            .collect();
        for player in hidden {
            self.show(player)?;
        }
        Ok(())
    }

    /// Takes the pictures off the screen before the connection ends.
    pub fn finish(&mut self) -> Result<(), DisplayError> {
        self.drop_everything()
    }

    fn window_created(&mut self, window: Window) -> Result<(), DisplayError> {
        if self.watch.created(self.conn, window)? {
            let role = self.matching.window(window, Instant::now());
            self.take(window, role)?;
        }
        Ok(())
    }

    /// Puts a window of the engine into a parked frame; a player's goes on to its place.
    fn take(&mut self, window: Window, role: Role) -> Result<(), DisplayError> {
        let frame = self.conn.generate_id()?;
        let (width, height) = PARKED;
        self.conn.create_window(
            x11rb::COPY_DEPTH_FROM_PARENT,
            frame,
            self.park,
            0,
            0,
            width,
            height,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &CreateWindowAux::new()
                .override_redirect(1)
                .background_pixel(0)
                .event_mask(EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY),
        )?;
        self.conn.composite_redirect_subwindows(frame, composite::Redirect::AUTOMATIC)?;
        self.no_input(frame)?;
        self.conn.change_window_attributes(
            window,
            &ChangeWindowAttributesAux::new()
                .background_pixmap(x11rb::NONE)
                .event_mask(EventMask::STRUCTURE_NOTIFY | EventMask::PROPERTY_CHANGE),
        )?;
        self.no_input(window)?;
        self.let_go(window)?;
        self.conn.reparent_window(window, frame, 0, 0)?;
        tracing::debug!(window, ?role, "took a window of the engine");
        self.taken.insert(window, Taken { frame, role: Role::Waiting, size: PARKED });
        // A window that was mapped before it was taken is mapped still.
        self.conn.map_window(window)?;
        match role {
            Role::Engine | Role::Waiting | Role::Stray => {
                if let Some(taken) = self.taken.get_mut(&window) {
                    taken.role = role;
                }
                self.configure_popup(window, width, height)?;
            }
            Role::Player(player) => self.adopt(window, player)?,
        }
        Ok(())
    }

    /// Whether a window manager says that it manages a window (ICCCM, section 4.1.3.1).
    fn is_managed(&self, window: Window) -> Result<bool, DisplayError> {
        let state = self.conn.get_property(false, window, self.wm_state, self.wm_state, 0, 1)?.reply();
        let state = gone_is_none(state)?.and_then(|reply| reply.value32()?.next());
        Ok(state.is_some_and(|state| state != WITHDRAWN))
    }

    /// Has a window manager that manages a window already let go of it (ICCCM, section 4.1.4): one that comes first when this client gets no
    /// time. Mapped again when the window has told that it isn't.
    fn let_go(&self, window: Window) -> Result<(), DisplayError> {
        self.conn.unmap_window(window)?;
        let withdrawn = UnmapNotifyEvent {
            response_type: UNMAP_NOTIFY_EVENT,
            sequence: 0,
            event: self.root,
            window,
            from_configure: false,
        };
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        self.conn.send_event(false, self.root, mask, withdrawn)?;
        Ok(())
    }

    fn adopt(&mut self, window: Window, player: u32) -> Result<(), DisplayError> {
        let Some(taken) = self.taken.get_mut(&window) else {
            return Ok(());
        };
        taken.role = Role::Player(player);
        // A player that was closed in the meantime has no entry; its window stays parked.
        let Some(state) = self.players.get_mut(&player) else {
            return Ok(());
        };
        state.window = Some(window);
        let (width, height) = state.reserved;
        let (width, height) = (width.max(PARKED.0), height.max(PARKED.1));
        self.events.push(WindowEvent::Adopted { player });
        self.configure_popup(window, width, height)?;
        self.show(player)
    }

    fn reserve(&mut self, player: u32, width: u32, height: u32) -> Result<(), DisplayError> {
        let state = self.players.entry(player).or_default();
        state.reserved = (stepped(width), stepped(height));
        let (width, height) = state.reserved;
        if let Some(window) = state.window
            && let Some(taken) = self.taken.get(&window)
        {
            let (width, height) = (width.max(taken.size.0), height.max(taken.size.1));
            if (width, height) != taken.size {
                self.configure_popup(window, width, height)?;
            }
        }
        Ok(())
    }

    /// Gives the engine's window its size, and its frame if that is parked.
    fn configure_popup(&mut self, window: Window, width: u16, height: u16) -> Result<(), DisplayError> {
        if let Some(taken) = self.taken.get_mut(&window) {
            taken.size = (width, height);
            self.conn.configure_window(
                window,
                &ConfigureWindowAux::new()
                    .x(0)
                    .y(0)
                    .width(u32::from(width))
                    .height(u32::from(height))
                    .border_width(0),
            )?;
        }
        Ok(())
    }

    /// Brings the player's frame to where it is wanted, or hides it.
    fn show(&mut self, player: u32) -> Result<(), DisplayError> {
        let Some(state) = self.players.get(&player) else {
            return Ok(());
        };
        let Some((window, taken)) =
            state.window.and_then(|window| self.taken.get(&window).map(|taken| (window, taken)))
        else {
            return Ok(());
        };
        let (frame, size) = (taken.frame, taken.size);
        let Some(wanted) = state.wanted.clone() else {
            return self.hide(player, frame);
        };
        let before = state.parent.as_ref().map(|chosen| chosen.parent.window);
        let Some(parent) = self.parent_for(player, &wanted.parent)? else {
            return self.hide(player, frame);
        };
        // An engine draws only what is mapped: a window that is wanted soon is, with nothing of it seen.
        let ahead = wanted.visible.is_empty();
        let (visible, clips) = if ahead {
            (std::slice::from_ref(&wanted.rect), &[][..])
        } else {
            (&*wanted.visible, &*wanted.clips)
        };
        let top = if wanted.parent.calibrated { parent.top } else { parent.top + parent.lower };
        let Some(mut shape) = region::shape(&wanted.rect, visible, clips, parent.left, top) else {
            return self.hide(player, frame);
        };
        if ahead {
            shape.pieces.clear();
        }
        let shown = self.players.get(&player).and_then(|state| state.shown.clone());
        if before != Some(parent.window) {
            self.conn.reparent_window(frame, parent.window, shape.x, shape.y)?;
            // Its end takes our frame with it: that has to be known.
            if parent.window != self.root {
                self.conn.change_window_attributes(
                    parent.window,
                    &ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY),
                )?;
            }
        } else if shown.as_ref() == Some(&shape) {
            return Ok(());
        }
        if shown.as_ref().is_none_or(|shown| shown.pieces != shape.pieces) {
            let pieces: Vec<Rectangle> = shape
                .pieces
                .iter()
                .map(|piece| Rectangle { x: piece.x, y: piece.y, width: piece.width, height: piece.height })
                .collect();
            self.conn.shape_rectangles(
                shape::SO::SET,
                shape::SK::BOUNDING,
                ClipOrdering::UNSORTED,
                frame,
                0,
                0,
                &pieces,
            )?;
        }
        self.conn.configure_window(
            frame,
            &ConfigureWindowAux::new()
                .x(i32::from(shape.x))
                .y(i32::from(shape.y))
                .width(u32::from(shape.width))
                .height(u32::from(shape.height))
                .stack_mode(StackMode::ABOVE),
        )?;
        if shown.is_none() || before != Some(parent.window) {
            self.conn.map_window(frame)?;
        }
        if !fits(size.0, shape.width) || !fits(size.1, shape.height) {
            let (width, height) = (stepped(u32::from(shape.width)), stepped(u32::from(shape.height)));
            self.configure_popup(window, width.max(PARKED.0), height.max(PARKED.1))?;
        }
        if let Some(state) = self.players.get_mut(&player) {
            state.shown = Some(shape);
        }
        Ok(())
    }

    fn hide(&mut self, player: u32, frame: Window) -> Result<(), DisplayError> {
        if let Some(state) = self.players.get_mut(&player)
            && state.shown.take().is_some()
        {
            self.conn.unmap_window(frame)?;
        }
        Ok(())
    }

    /// The window that the player's picture lies in; looked for again when the hint has changed or
    /// the known one does not fit.
    fn parent_for(&mut self, player: u32, hint: &ParentHint) -> Result<Option<Parent>, DisplayError> {
        if let Some(remote) = &self.remote {
            let parent = remote.content().map(|window| Parent { window, ..Parent::default() });
            return self.remember_parent(player, hint, parent);
        }
        if let Some(window) = self.fixed_parent {
            let parent = parent::judge(self.conn, self.root, &self.atoms, window, None)?;
            return self.remember_parent(player, hint, parent);
        }
        let known = self.players.get(&player).and_then(|state| state.parent.as_ref());
        if let Some(ChosenParent { parent, hint: known_hint }) = known {
            let known = *parent;
            if known_hint == hint {
                return Ok(Some(known));
            }
            // The hint changes with every step of a window that is moved or resized, and the window stays
            // the same: only a bad fit is a reason to look at all the others.
            let again = parent::judge(self.conn, self.root, &self.atoms, known.window, hint.outer.as_ref())?;
            let same_title = self.single.is_none() || known_hint.title == hint.title;
            if let Some(again) = again.filter(|again| again.misfit <= parent::GOOD_FIT && same_title) {
                return self.remember_parent(player, hint, Some(again));
            }
        }
        let found = match &self.single {
            Some(names) => parent::find_named(self.conn, self.root, &self.atoms, hint, names)?,
            None => parent::find(self.conn, self.root, &self.atoms, hint)?,
        };
        self.remember_parent(player, hint, found)
    }

    fn remember_parent(
        &mut self,
        player: u32,
        hint: &ParentHint,
        parent: Option<Parent>,
    ) -> Result<Option<Parent>, DisplayError> {
        if let Some(state) = self.players.get_mut(&player) {
            state.parent = parent.map(|parent| ChosenParent { parent, hint: hint.clone() });
        }
        Ok(parent)
    }

    fn window_destroyed(&mut self, window: Window) -> Result<(), DisplayError> {
        self.watch.forget(window);
        self.matching.forget(window);
        if let Some(taken) = self.taken.remove(&window) {
            self.conn.destroy_window(taken.frame)?;
            if let Role::Player(player) = taken.role
                && self.players.get(&player).is_some_and(|state| state.window == Some(window))
            {
                self.players.remove(&player);
                self.events.push(WindowEvent::Lost { player });
            }
        }
        for state in self.players.values_mut() {
            if state.parent.as_ref().is_some_and(|chosen| chosen.parent.window == window) {
                state.parent = None;
                state.shown = None;
            }
        }
        Ok(())
    }

    /// Ends all frames; the engine's windows, if any are left, go back below the park, unseen.
    fn drop_everything(&mut self) -> Result<(), DisplayError> {
        for (window, taken) in std::mem::take(&mut self.taken) {
            self.conn.unmap_window(taken.frame)?;
            self.conn.reparent_window(window, self.park, 0, 0)?;
            self.conn.destroy_window(taken.frame)?;
        }
        self.players.clear();
        self.choosing = false;
        self.matching = Matching::default();
        Ok(())
    }

    fn no_input(&self, window: Window) -> Result<(), DisplayError> {
        self.conn.shape_rectangles(
            shape::SO::SET,
            shape::SK::INPUT,
            ClipOrdering::UNSORTED,
            window,
            0,
            0,
            &[],
        )?;
        Ok(())
    }
}
