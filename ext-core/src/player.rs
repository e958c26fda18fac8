//! One player: what its native buffers hold, what the device's hold, and what makes the first equal to the second.

use std::collections::VecDeque;

use offstage_protocol::message::{BufferChanged, Tracks};
use offstage_protocol::{ErrorCode, Monotonic, Ranges, SortedMap};
use serde_bytes::ByteBuf;

use crate::choice::Choice;
use crate::clock::{Drifts, Trim};
use crate::core::FilePlayer;
use crate::hook::{HookStep, seconds};
use crate::reconcile::{Step, reconcile_for};
use crate::standin::{self, StandInConfig};

/// Passes that may follow one answer before the difference is left as it is.
const MOST_FIXES: u8 = 4;

/// Most media that one answer of the device may add; a browser's own quota of bytes ends far below it.
const MOST_APPENDED_US: u64 = 6 * 3600 * 1_000_000;

/// Where a player is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The device gets what the session has kept; the session plays.
    Moving,
    /// The swap has been ordered.
    Swapping,
    /// The device plays.
    Device,
    /// The page has been told to play in the session. Until it says that its own picture is there the device plays on,
    /// until this time at the latest; none yet if nobody has looked at the clock since.
    Leaving(Option<Monotonic>),
}

impl Phase {
    #[must_use]
    pub fn is_leaving(self) -> bool {
        matches!(self, Self::Leaving(_))
    }
}

/// A player's first picture on the device, for which the page's first data wait.
#[derive(Debug, Default)]
pub struct Beginning {
    /// The element is where its picture will be seen.
    pub is_seen: bool,
    /// The device has a picture: it may be shown.
    pub has_picture: bool,
    /// Nothing waits for it any more.
    pub is_over: bool,
    /// The device's answers that the page has yet to be told, in their order.
    pub held: VecDeque<BufferChanged>,
    /// Until when they may wait.
    pub until: Option<Monotonic>,
}

/// One player on the device.
#[derive(Debug)]
pub struct Player {
    /// Its id on the connection.
    pub id: u32,
    pub phase: Phase,
    pub buffers: SortedMap<u32, Buffer>,
    /// Set if it plays a file instead of what source buffers hold.
    pub file: Option<FilePlayer>,
    /// The page's newest wish and how the device stands to it.
    pub wish: Option<crate::hook::PlaybackEvent>,
    pub wish_seq: u32,
    /// The person has muted the tab.
    pub tab_muted: bool,
    /// When it came.
    pub wished_at: Monotonic,
    pub extra_seeks: u32,
    /// It has been stopped in play. An engine chooses its frames for the moment in which they are seen: the last one may be one ahead of the
    /// position at which it has stopped, so that only a seek shows the frame of that.
    pub stopped: bool,
    /// The newest seek that the device has been told.
    pub seek_told: u32,
    pub advancing: bool,
    /// The device has played to its end: the stand-in may go on to its own.
    pub ended: bool,
    /// When the session's picture is to stand still, if the player is still on its way to the device.
    pub still_at: Option<Monotonic>,
    /// Since when the device should have been playing and wasn't.
    pub stalled_since: Option<Monotonic>,
    /// Where it is in its frame, as the relay has told; since when the device can't show it there, and why.
    pub geometry: Option<crate::hook::Geometry>,
    pub lost: Option<(Monotonic, ErrorCode)>,
    pub is_located: bool,
    pub geometry_seq: u32,
    /// How it begins on the device.
    pub beginning: Beginning,
    /// What the hook has last been told of [`HookCommand::Counted`](crate::hook::HookCommand::Counted).
    pub counts: [f64; 4],
    /// Frames that the device has presented and dropped so far, by its own count.
    pub frames: [u64; 2],
    pub trim: Trim,
    pub drifts: Drifts,
    /// How well it does on the device.
    pub choice: Choice,
}

impl Player {
    /// What is written over the picture: that it plays on the device, in these words, and in which size it comes.
    #[must_use]
    pub fn label(&self, words: &str) -> String {
        self.size().map_or_else(
            || words.to_owned(),
            |(width, height)| format!("{} · {width}×{height}", words.trim_end_matches(['.', '。'])),
        )
    }

    /// The picture's natural size, as the device says.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        let tracks = self.buffers.iter().filter_map(|(_, buffer)| buffer.tracks.as_ref());
        tracks.map(|tracks| (tracks.width, tracks.height)).find(|(width, height)| *width > 0 && *height > 0)
    }

    #[must_use]
    pub fn new(id: u32, replay: bool) -> Self {
        Self {
            id,
            phase: if replay { Phase::Moving } else { Phase::Device },
            buffers: SortedMap::new(),
            wish: None,
            wish_seq: 0,
            tab_muted: false,
            wished_at: Monotonic::default(),
            file: None,
            extra_seeks: 0,
            stopped: false,
            seek_told: 0,
            advancing: false,
            ended: false,
            still_at: None,
            stalled_since: None,
            geometry: None,
            lost: None,
            is_located: false,
            geometry_seq: 0,
            beginning: Beginning::default(),
            counts: [0.0; 4],
            frames: [0; 2],
            trim: Trim::default(),
            drifts: Drifts::default(),
            choice: Choice::default(),
        }
    }
}

/// One SourceBuffer on both sides.
#[derive(Debug)]
pub struct Buffer {
    pub stream: u32,
    pub native: Ranges,
    pub device: Ranges,
    pub tracks: Option<Tracks>,
    /// What the native buffer has been prepared for; none while it is as the page made it.
    given: Option<StandInConfig>,
    fixes: u8,
    /// Where the last append of orders ended, in µs.
    appended_to: u64,
    /// Operations of the page that the device has not answered.
    pub unanswered: u32,
    /// Since when the device owes an answer.
    pub asked_at: Option<Monotonic>,
}

/// The orders that bring one native buffer to the device's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Orders {
    pub r#type: Option<String>,
    pub steps: Vec<HookStep>,
    /// Seconds that the real initialization segment gave as the duration, for a MediaSource that has none yet.
    pub duration: Option<f64>,
}

impl Buffer {
    #[must_use]
    pub fn new(stream: u32) -> Self {
        Self {
            stream,
            native: Ranges::new(),
            device: Ranges::new(),
            tracks: None,
            given: None,
            fixes: 0,
            appended_to: 0,
            unanswered: 0,
            asked_at: None,
        }
    }

    /// An operation is on its way to the device.
    pub fn ask(&mut self, now: Monotonic) {
        self.unanswered += 1;
        self.asked_at = Some(now);
    }

    /// Takes the device's word on what its buffer holds.
    ///
    /// # Errors
    /// The code that the device gave, or the one for a device whose buffer gave an exception.
    pub fn handle_changed(&mut self, changed: &BufferChanged) -> Result<(), ErrorCode> {
        // An operation 0 answers nothing: the end of the stream has changed what is held.
        if changed.op != 0 {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        if self.unanswered == 0 {
            self.asked_at = None;
        }
        if changed.code != 0 {
            return Err(ErrorCode::from_u32(changed.code).unwrap_or(ErrorCode::APPEND_FAILED));
        }
        self.device = Ranges::from_flat(&changed.ranges_us);
        if let Some(tracks) = changed.tracks {
            self.tracks = Some(tracks);
        }
        self.fixes = 0;
        Ok(())
    }

    /// The hook's word on what the native buffer holds. `true` if it is not what the device holds and another pass
    /// may help.
    #[must_use]
    pub fn handle_native(&mut self, native: Ranges) -> bool {
        self.native = native;
        let config = self.config();
        let equal = reconcile_for(&config, &self.native, &self.device, self.appended_to).is_empty();
        if self.unanswered > 0 || equal || self.fixes >= MOST_FIXES {
            return false;
        }
        self.fixes += 1;
        true
    }

    /// What to do natively so that the buffer holds what the device's holds.
    ///
    /// # Errors
    /// [`ErrorCode::STAND_IN_FAILED`] if the device buffers media of which it never said what it is, or more than can be.
    pub fn orders(&mut self) -> Result<Orders, ErrorCode> {
        let config = self.config();
        let steps = reconcile_for(&config, &self.native, &self.device, self.appended_to);
        let appended = steps.iter().fold(0_u64, |sum, step| match *step {
            Step::Append { start_us, end_us } => sum.saturating_add(end_us.saturating_sub(start_us)),
            Step::Remove { .. } => sum,
        });
        if appended > MOST_APPENDED_US {
            return Err(ErrorCode::STAND_IN_FAILED);
        }
        let Some(tracks) = self.tracks else {
            return if steps.iter().any(|step| matches!(step, Step::Append { .. })) {
                Err(ErrorCode::STAND_IN_FAILED)
            } else {
                let steps = steps.iter().map(|step| native_step(*step, &config)).collect();
                Ok(Orders { r#type: None, steps, duration: None })
            };
        };
        if let Some(Step::Append { end_us, .. }) = steps.last() {
            self.appended_to = *end_us;
        }
        let mime = standin::mime(&config);
        let new_type = self.given.as_ref().is_none_or(|given| standin::mime(given) != mime);
        let mut out = Vec::new();
        if self.given.as_ref() != Some(&config) {
            out.push(HookStep::Append(ByteBuf::from(standin::init_segment(&config))));
        }
        out.extend(steps.iter().map(|step| native_step(*step, &config)));
        self.given = Some(config);
        Ok(Orders { r#type: new_type.then_some(mime), steps: out, duration: tracks.duration_us.map(seconds) })
    }

    /// What the stand-in must be; before the device has said what its media is, only the kinds of gaps matter.
    fn config(&self) -> StandInConfig {
        let video = match self.tracks {
            Some(tracks) => (tracks.width > 0 && tracks.height > 0).then_some((tracks.width, tracks.height)),
            None => Some((16, 16)),
        };
        // No duration: with one in the initialization segment, Chromium waits for four pictures before it begins.
        StandInConfig { video, audio: self.tracks.is_some_and(|tracks| tracks.has_audio), duration_us: None }
    }

    /// Orders that put the stand-in over everything, real media included.
    ///
    /// # Errors
    /// As [`Self::orders`].
    pub fn swap_orders(&mut self) -> Result<Orders, ErrorCode> {
        // Seen as empty, so that everything is written; what is too much goes in the pass after it.
        let native = std::mem::take(&mut self.native);
        self.given = None;
        self.fixes = 0;
        let orders = self.orders();
        self.native = native;
        orders
    }
}

fn native_step(step: Step, config: &StandInConfig) -> HookStep {
    match step {
        Step::Append { start_us, end_us } => {
            HookStep::Append(ByteBuf::from(standin::media_segments(config, start_us, end_us)))
        }
        Step::Remove { start_us, end_us } => HookStep::Remove((seconds(start_us), seconds(end_us))),
    }
}
