//! How much of everything the stage keeps. A session that asks for more loses the player that asked.

use core::time::Duration;

/// Players at once. Each has a popup and decoders; an engine gives up far below a hundred.
pub(super) const MAX_PLAYERS: usize = 32;
/// Source buffers of one player. Chromium takes 16.
pub(super) const MAX_BUFFERS: usize = 16;
/// Operations waiting in one source buffer.
pub(super) const MAX_OPS: usize = 1024;
/// Operations of one player that wait for its MediaSource.
pub(super) const MAX_SOURCE_OPS: usize = 64;
/// Bytes waiting in all source buffers of one player: more than a page appends before it waits for an answer.
pub(super) const MAX_PLAYER_BYTES: usize = 64 << 20;
/// Bytes waiting in all players.
pub(super) const MAX_TOTAL_BYTES: usize = 192 << 20;
/// Bytes joined into one `appendBuffer` when several pieces wait.
pub(super) const MAX_APPEND_BYTES: usize = 4 << 20;
/// The longest MIME type taken.
pub(super) const MAX_MIME: usize = 512;
/// The longest extension of a file's name taken.
pub(super) const MAX_EXTENSION: usize = 8;
/// The longest `object-fit` or `object-position` taken.
pub(super) const MAX_CSS: usize = 128;
/// Tints over one picture, and the longest text of one.
pub(super) const MAX_VEILS: usize = 8;
pub(super) const MAX_VEIL: usize = 1024;
/// The longest side of a picture, in CSS pixels.
pub(super) const MAX_SIDE: u32 = 16_384;
/// The furthest a picture may be from the upper left corner of the session's screen, in pixels.
pub(super) const MAX_OFFSET: i32 = 65_536;
/// Parts of a picture that are seen; with more of them it is hidden.
pub(super) const MAX_PARTS: usize = 16_384;
/// Outlines that cut a picture in a page.
pub(crate) const MAX_CLIPS: usize = 3;
/// Numbers of one of them.
pub(super) const MAX_CORNERS: usize = 8192;
/// Layouts of one player that have been set and not been seen on the screen.
pub(super) const MAX_LAYOUTS: usize = 8;
/// Buffered ranges reported. Chromium merges what touches; a thousand gaps are no video.
pub(super) const MAX_RANGES: usize = 1024;
/// Bytes of an append that are looked at for an initialization segment.
pub(super) const MAX_INIT: usize = 1 << 20;
/// Probes running at once; others wait.
pub(super) const MAX_PROBES: usize = 4;
/// Probe results kept, and the largest segment whose result is kept.
pub(super) const MAX_CACHED_PROBES: usize = 32;
/// The largest initialization segment kept as a key of the cache.
pub(super) const MAX_CACHED_INIT: usize = 64 << 10;

/// How long a popup may take from `window.open` to its load.
pub(super) const WINDOW_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a probe may take.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the state is reported while the player plays.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_millis(250);
/// How often it is reported at first: the position of an element that has just begun to move is not steady yet.
pub(super) const FIRST_REPORTS_INTERVAL: Duration = Duration::from_millis(50);
/// How many such first reports there are.
pub(super) const FIRST_REPORTS: u8 = 10;
/// How often the position is read until it is seen to move.
pub(super) const CONFIRM_INTERVAL: Duration = Duration::from_millis(20);
/// How long to wait before `play()` is tried again.
pub(super) const PLAY_RETRY: Duration = Duration::from_millis(250);
/// When a layout counts as seen although no animation frame came: a window that is not mapped may get none.
pub(super) const PAINT_TIMEOUT: Duration = Duration::from_millis(500);
/// A place is said again every second; without three of them the picture is hidden.
pub(super) const PLACE_TIMEOUT: Duration = Duration::from_secs(3);
