//! One element's playback: the newest wish, what must be done for it, and what is reported back.

use core::time::Duration;

use offstage_protocol::Monotonic;
use offstage_protocol::message::{FramePresented, PlayerState, SetPlayback};

use crate::machine::event::{Command, PlaySettings, PresentedFrame, VideoMoment, VideoSnapshot};
use crate::machine::limits::{
    CONFIRM_INTERVAL, FIRST_REPORTS, FIRST_REPORTS_INTERVAL, PLAY_RETRY, REPORT_INTERVAL,
};

/// HTMLMediaElement.HAVE_METADATA: a seek works from here on.
const HAVE_METADATA: u16 = 1;
/// HTMLMediaElement.HAVE_FUTURE_DATA: playback can advance.
const HAVE_FUTURE_DATA: u16 = 3;
/// The rates that Chromium plays; it throws outside them.
const RATES: (f64, f64) = (0.0625, 16.0);
/// Less movement than this between two readings is none.
const STILL: f64 = 0.000_5;
/// So far may an element have played, in seconds, since the seek that is looked for.
const NEAR: f64 = 0.5;
/// A position that has not moved for so long stands still.
const STALL: Duration = Duration::from_millis(100);
/// Over how long a position is watched before it is said to advance.
const SETTLE: Duration = Duration::from_millis(30);
/// After so long an unsteady movement counts too.
const SETTLE_LIMIT_US: u64 = 400_000;

/// What must be done to the element, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Adjust(PlaySettings),
    Seek(f64),
    Play,
    Pause,
    /// Read it, because a wish has been carried out.
    Read,
}

/// The playback of one player.
#[derive(Debug, Default)]
pub(crate) struct Playback {
    /// The element exists.
    attached: bool,
    wish: Option<SetPlayback>,
    applied_seq: u32,
    settings: Option<PlaySettings>,
    /// The newest seek that was asked for, and whether it has been issued.
    seek_id: u32,
    seek_issued: bool,
    /// The newest seek that has ended.
    seek_done: u32,
    play_pending: bool,
    play_not_before: Monotonic,
    /// What is believed of the element: the newest reading, corrected by what was asked of it since.
    seen: VideoSnapshot,
    /// Where the position was when its movement was last judged.
    reference: Option<(f64, u64)>,
    /// When the movement began to be judged, on the wall clock.
    first_seen_us: u64,
    stalled: bool,
    advancing: bool,
    /// When a report is due though nothing changes.
    report_at: Monotonic,
    /// When the element has to be read next.
    sample_at: Option<Monotonic>,
    /// How many of the next reports follow faster.
    first_reports: u8,
    sent: Option<PlayerState>,
    /// The session wants to hear of each frame.
    frames: bool,
    /// The newest frame that the running seek may have led to.
    frame_of_seek: Option<PresentedFrame>,
}

impl Playback {
    pub(crate) fn attach(&mut self) {
        self.attached = true;
        self.seen.paused = true;
    }

    /// A new wish; an older one than the newest is ignored.
    pub(crate) fn wish(&mut self, wish: SetPlayback) {
        let newer = self.wish.is_none_or(|old| is_newer(wish.seq, old.seq));
        if !newer {
            return;
        }
        if is_newer(wish.seek_id, self.seek_id) {
            self.seek_id = wish.seek_id;
            self.seek_issued = false;
        }
        self.wish = Some(wish);
    }

    /// What to do now. Empty when the element is as wished or cannot be yet.
    pub(crate) fn actions(&mut self, now: Monotonic) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(wish) = self.wish.filter(|_| self.attached) else {
            return actions;
        };
        let settings = settings(&wish);
        if self.settings != Some(settings) {
            self.settings = Some(settings);
            self.first_reports = FIRST_REPORTS;
            actions.push(Action::Adjust(settings));
        }
        let seekable = self.seen.ready_state >= HAVE_METADATA;
        let to = if wish.seek_to.is_finite() { wish.seek_to.max(0.0) } else { 0.0 };
        if self.seek_id != self.seek_done && !self.seek_issued && seekable {
            self.seek_issued = true;
            self.seen.ended = false;
            self.seen.seeking = true;
            actions.push(Action::Seek(to));
        }
        if wish.paused {
            if !self.seen.paused || self.play_pending {
                self.seen.paused = true;
                self.play_pending = false;
                actions.push(Action::Pause);
            }
        } else if self.seen.paused && !self.seen.ended && !self.play_pending && now >= self.play_not_before {
            self.seen.paused = false;
            self.play_pending = true;
            self.play_not_before = now.after(PLAY_RETRY);
            actions.push(Action::Play);
        }
        if self.applied_seq != wish.seq {
            self.applied_seq = wish.seq;
            actions.push(Action::Read);
        }
        actions
    }

    pub(crate) fn play_started(&mut self) {
        self.play_pending = false;
    }

    /// A `play()` was rejected: true if that is a failure rather than the work of a later wish.
    pub(crate) fn play_refused(&mut self, exception: &str) -> bool {
        self.play_pending = false;
        self.seen.paused = true;
        exception == "NotAllowedError" && self.wish.is_some_and(|wish| !wish.paused)
    }

    /// Takes a reading of the element.
    pub(crate) fn see(&mut self, now: Monotonic, moment: VideoMoment, snapshot: VideoSnapshot) {
        let was_advancing = self.advancing;
        match moment {
            VideoMoment::Waiting => self.stalled = true,
            VideoMoment::Playing => self.stalled = false,
            VideoMoment::Seeked | VideoMoment::Sampled | VideoMoment::Changed => {}
        }
        // An element that plays from its first data on may be where it was told to go without a `seeked` of its own.
        let there = moment == VideoMoment::Seeked
            || (snapshot.ready_state >= HAVE_FUTURE_DATA && self.is_near_target(snapshot.current_time));
        if self.seek_issued && !snapshot.seeking && there {
            self.seek_done = self.seek_id;
            self.seek_issued = false;
        }
        self.judge(&snapshot);
        self.seen = snapshot;
        if self.advancing && !was_advancing {
            self.first_reports = FIRST_REPORTS;
        }
        self.sample_at = if self.advancing {
            Some(self.report_at)
        } else if self.could_advance() {
            Some(now.after(CONFIRM_INTERVAL))
        } else {
            None
        };
    }

    /// The session wants to hear of each frame, or doesn't any more.
    pub(crate) fn watch_frames(&mut self, player: u32, on: bool) -> Option<Command> {
        let changes = self.frames != on;
        self.frames = on;
        (changes && self.attached).then_some(Command::WatchFrames { player, on })
    }

    pub(crate) fn watches_frames(&self) -> bool {
        self.frames
    }

    /// Takes a frame; gives what is told of it now.
    pub(crate) fn see_frame(&mut self, player: u32, frame: PresentedFrame) -> Option<FramePresented> {
        if !self.frames {
            return None;
        }
        // It may be there before its seek's `seeked`; one from before the seek is told of no more.
        if self.seek_issued {
            // The frame at a position began before it.
            let to = self.wish.map_or(0.0, |wish| wish.seek_to);
            self.frame_of_seek = Some(frame).filter(|frame| (frame.media_time - to).abs() < NEAR);
            return None;
        }
        Some(self.frame(player, &frame))
    }

    /// What to tell of the frame that a seek has led to, once the seek has ended.
    pub(crate) fn take_frame_of_seek(&mut self, player: u32) -> Option<FramePresented> {
        if self.seek_issued {
            return None;
        }
        let frame = self.frame_of_seek.take()?;
        Some(self.frame(player, &frame))
    }

    fn frame(&self, player: u32, frame: &PresentedFrame) -> FramePresented {
        FramePresented {
            player,
            seek_id: self.seek_done,
            media_time_us: signed_micros(frame.media_time),
            wall_us: frame.wall_us,
            display_after_us: frame.display_after_us,
            count: frame.count,
            width: frame.width,
            height: frame.height,
            processing_us: frame.processing_us,
        }
    }

    /// The report that is due after a reading: something has changed, or the last one is too old.
    pub(crate) fn report(&mut self, now: Monotonic, player: u32) -> Option<PlayerState> {
        let state = self.state(player);
        let changed = self.sent.as_ref().is_none_or(|sent| lasting(sent) != lasting(&state));
        let due = changed || (self.advancing && self.report_at <= now);
        if !due {
            return None;
        }
        let interval = if self.first_reports > 0 { FIRST_REPORTS_INTERVAL } else { REPORT_INTERVAL };
        self.first_reports = self.first_reports.saturating_sub(1);
        self.report_at = now.after(interval);
        if self.advancing {
            self.sample_at = Some(self.report_at);
        }
        self.sent = Some(state.clone());
        Some(state)
    }

    /// Whether the position is one that the newest seek leads to; a reading from before it seldom is.
    fn is_near_target(&self, position: f64) -> bool {
        self.wish.is_some_and(|wish| (-STILL..NEAR).contains(&(position - wish.seek_to)))
    }

    /// Whether the position really moves: it must have been seen to.
    fn judge(&mut self, snapshot: &VideoSnapshot) {
        let may = !snapshot.paused
            && !snapshot.seeking
            && !snapshot.ended
            && snapshot.ready_state >= HAVE_FUTURE_DATA
            && !self.stalled;
        if !may {
            self.advancing = false;
            self.reference = None;
            return;
        }
        let Some((time, wall_us)) = self.reference else {
            self.advancing = false;
            self.reference = Some((snapshot.current_time, snapshot.wall_us));
            self.first_seen_us = snapshot.wall_us;
            return;
        };
        let elapsed = Duration::from_micros(snapshot.wall_us.saturating_sub(wall_us));
        let moved = (snapshot.current_time - time).abs();
        if self.advancing {
            if moved <= STILL && elapsed < STALL {
                return;
            }
            self.advancing = moved > STILL;
        } else {
            if elapsed < SETTLE {
                return;
            }
            // The clock stumbles when sound begins; a position told then would be tens of milliseconds off.
            let rate = self.wish.map_or(1.0, |wish| wish.rate);
            let steady = moved >= 0.8 * rate * elapsed.as_secs_f64();
            let patient = snapshot.wall_us.saturating_sub(self.first_seen_us) < SETTLE_LIMIT_US;
            self.advancing = moved > STILL && (steady || !patient);
        }
        self.reference = Some((snapshot.current_time, snapshot.wall_us));
    }

    /// The element says that it plays, yet it has not been seen to move.
    fn could_advance(&self) -> bool {
        self.reference.is_some() && self.wish.is_some_and(|wish| wish.rate != 0.0)
    }

    /// When the element has to be read next, or a play retried.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        let wants_play = self.wish.is_some_and(|wish| !wish.paused)
            && self.attached
            && self.seen.paused
            && !self.seen.ended
            && !self.play_pending;
        let retry = wants_play.then_some(self.play_not_before);
        [self.sample_at, retry].into_iter().flatten().min()
    }

    /// Whether a reading is due; asking counts as reading, so that a reading that never comes is not asked for in a loop.
    pub(crate) fn take_sample_due(&mut self, now: Monotonic) -> bool {
        let due = self.sample_at.is_some_and(|at| at <= now);
        if due {
            self.sample_at = Some(now.after(REPORT_INTERVAL));
        }
        due
    }

    pub(crate) fn state(&self, player: u32) -> PlayerState {
        let seen = &self.seen;
        PlayerState {
            player,
            seq: self.applied_seq,
            media_time_us: signed_micros(seen.current_time),
            wall_us: seen.wall_us,
            advancing: self.advancing,
            seeking: seen.seeking,
            ended: seen.ended,
            ready_state: u32::from(seen.ready_state),
            width: seen.width,
            height: seen.height,
            frames_presented: seen.presented,
            frames_dropped: seen.dropped,
            seek_id: self.seek_done,
            video_bytes: seen.video_bytes,
            audio_bytes: seen.audio_bytes,
        }
    }
}

/// A state without what changes by itself.
fn lasting(state: &PlayerState) -> PlayerState {
    let media_time_us = if state.advancing { 0 } else { state.media_time_us };
    PlayerState {
        wall_us: 0,
        media_time_us,
        frames_presented: 0,
        frames_dropped: 0,
        video_bytes: 0,
        audio_bytes: 0,
        ..state.clone()
    }
}

fn settings(wish: &SetPlayback) -> PlaySettings {
    let rate = match wish.rate {
        rate if rate.is_nan() || rate <= 0.0 => 0.0,
        rate => rate.clamp(RATES.0, RATES.1),
    };
    let volume = if wish.volume.is_nan() { 1.0 } else { wish.volume.clamp(0.0, 1.0) };
    PlaySettings { rate, volume, muted: wish.muted, preserves_pitch: wish.preserves_pitch }
}

/// Whether a counter that may wrap has gone on.
pub(crate) fn is_newer(new: u32, old: u32) -> bool {
    let ahead = new.wrapping_sub(old);
    ahead != 0 && ahead < u32::MAX / 2
}

/// Seconds as microseconds, rounded to the nearest.
fn signed_micros(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates; no media is that long")]
    let micros = (seconds * 1e6).round() as i64;
    micros
}
