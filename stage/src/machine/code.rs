//! The numbers of the error table that the stage uses.

/// The device's engine cannot play this type.
pub(super) const MEDIA_UNSUPPORTED: u32 = 1301;
/// The engine could not parse or decode what was appended.
pub(super) const APPEND_FAILED: u32 = 1302;
/// The engine failed to decode during playback.
pub(super) const MEDIA_DECODE: u32 = 1303;
/// The engine's buffer is full.
pub(super) const MEDIA_QUOTA: u32 = 1304;
/// An operation of a source buffer threw an exception.
pub(super) const OPERATION_REFUSED: u32 = 1305;
/// The player or the source buffer does not exist (any more).
pub(super) const NO_SUCH_PLAYER: u32 = 1306;
/// `play()` was not allowed.
pub(super) const PLAY_REFUSED: u32 = 1307;
/// More players, buffers or bytes than the device takes.
pub(super) const LIMIT: u32 = 1308;
/// The popup could not be opened or was closed.
pub(super) const WINDOW_GONE: u32 = 1208;
/// A message made no sense.
pub(super) const MALFORMED: u32 = 1003;
