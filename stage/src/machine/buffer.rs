//! The queue of one source buffer: one operation at a time, answered in order, each exactly once.

use std::collections::VecDeque;

use offstage_protocol::ErrorCode;
use offstage_protocol::message::{Append, AppendSettings, BufferChanged, Tracks};

use crate::machine::container::{Init, find_init, has_init_segments};
use crate::machine::event::{BufferSettings, BufferSnapshot, Command, Exception, Outcome};
use crate::machine::limits::{MAX_APPEND_BYTES, MAX_INIT, MAX_RANGES};
use crate::machine::playback::is_newer;

/// An operation that a session asked for and that has not been answered.
#[derive(Debug)]
pub(crate) struct Op {
    /// The session's number; `None` for one of our own, which is not answered.
    pub(crate) id: Option<u32>,
    /// Order of arrival among everything of the player.
    pub(crate) serial: u64,
    kind: Kind,
    begun: bool,
    failure: Option<Failure>,
    /// The segment parser has taken a part of an append that failed: it must forget it.
    reset: bool,
    /// What the buffer held after the newest part of this operation.
    after: Option<BufferSnapshot>,
}

#[derive(Debug)]
enum Kind {
    Append(Pieces),
    Remove {
        start: f64,
        end: f64,
    },
    Abort,
    ChangeType {
        mime: String,
    },
    /// An empty append, which takes the end of the stream back.
    Reopen,
}

#[derive(Debug)]
struct Pieces {
    settings: Option<BufferSettings>,
    waiting: VecDeque<Vec<u8>>,
    /// The last piece has arrived.
    complete: bool,
    head: Head,
}

/// The search for an initialization segment at the start of an append.
#[derive(Debug)]
enum Head {
    /// The bytes so far.
    Collecting(Vec<u8>),
    /// To be probed, once.
    Found {
        bytes: Vec<u8>,
        sound: bool,
    },
    /// The probe's number.
    Probing(u64),
    Settled(Option<Tracks>),
}

#[derive(Debug)]
struct Failure {
    code: ErrorCode,
    exception: String,
}

impl Failure {
    fn threw(exception: Exception) -> Self {
        let code = match exception.name.as_str() {
            "QuotaExceededError" => ErrorCode::QUOTA_EXCEEDED,
            "NotSupportedError" => ErrorCode::UNSUPPORTED_TYPE,
            _ => ErrorCode::APPEND_FAILED,
        };
        Self { code, exception: exception.name }
    }
}

/// An initialization segment to be probed for a source buffer.
#[derive(Debug, PartialEq)]
pub(crate) struct InitFound {
    pub(crate) mime: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sound: bool,
}

/// What a step of a buffer gave.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Run(Command),
    Answer(BufferChanged),
    /// Something was done inside; step again.
    Again,
    /// Nothing can be done now.
    Idle,
}

/// One source buffer of a player.
#[derive(Debug)]
pub(crate) struct Buffer {
    player: u32,
    id: u32,
    /// The type as it is now, for the probes.
    mime: String,
    /// What comes next begins with initialization segments: by the type as it will be when everything in the queue is done.
    has_inits: bool,
    /// `addSourceBuffer` has been carried out.
    pub(crate) added: bool,
    queue: VecDeque<Op>,
    /// The browser works on the first operation of the queue.
    running: bool,
    waiting_bytes: usize,
    /// The newest append's number: what comes late for an older one is dropped.
    newest_append: Option<u32>,
    /// The beginning of an initialization segment that the next append goes on with.
    begun_init: Vec<u8>,
    /// What the media are has been asked for, since the type was set.
    probed: bool,
}

impl Buffer {
    pub(crate) fn new(player: u32, id: u32, mime: String) -> Self {
        Self {
            player,
            id,
            has_inits: has_init_segments(&mime),
            mime,
            added: false,
            queue: VecDeque::new(),
            running: false,
            waiting_bytes: 0,
            newest_append: None,
            begun_init: Vec::new(),
            probed: false,
        }
    }

    pub(crate) fn mime(&self) -> &str {
        &self.mime
    }

    pub(crate) fn running(&self) -> bool {
        self.running
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(crate) fn waiting_ops(&self) -> usize {
        self.queue.len()
    }

    /// The arrival number of the operation that is answered next.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.queue.front().map(|op| op.serial)
    }

    /// Takes a piece of an append.
    pub(crate) fn append(&mut self, serial: u64, piece: Append) {
        let continues = self.queue.back().is_some_and(|op| {
            op.id == Some(piece.op) && matches!(&op.kind, Kind::Append(pieces) if !pieces.complete)
        });
        if !continues {
            // The rest of an append that another operation has cut; it has its answer.
            if self.newest_append.is_some_and(|newest| !is_newer(piece.op, newest)) {
                return;
            }
            self.newest_append = Some(piece.op);
            self.cut_incomplete();
            let pieces = Pieces {
                settings: piece.settings.map(clean_settings),
                waiting: VecDeque::new(),
                complete: false,
                head: Head::Collecting(core::mem::take(&mut self.begun_init)),
            };
            self.push(Some(piece.op), serial, Kind::Append(pieces));
        }
        let Some(Op { kind: Kind::Append(pieces), failure, .. }) = self.queue.back_mut() else {
            return;
        };
        pieces.complete = piece.last;
        if failure.is_some() {
            return;
        }
        // Only media without initialization segments are asked about by their first bytes.
        let raw = !self.probed && !self.has_inits;
        if let Some(begun) = pieces.look(&piece.data, raw) {
            self.begun_init = begun;
        }
        self.probed |= matches!(pieces.head, Head::Found { .. });
        if !piece.data.is_empty() {
            self.waiting_bytes += piece.data.len();
            pieces.waiting.push_back(piece.data);
        }
    }

    pub(crate) fn remove(&mut self, serial: u64, op: u32, start: f64, end: f64) {
        self.push(Some(op), serial, Kind::Remove { start, end });
    }

    pub(crate) fn abort(&mut self, serial: u64, op: u32) {
        self.begun_init = Vec::new();
        self.push(Some(op), serial, Kind::Abort);
    }

    pub(crate) fn change_type(&mut self, serial: u64, op: u32, mime: String) {
        self.begun_init = Vec::new();
        self.probed = false;
        self.has_inits = has_init_segments(&mime);
        self.push(Some(op), serial, Kind::ChangeType { mime });
    }

    /// Before all that waits: it was asked for before that arrived.
    pub(crate) fn reopen(&mut self, serial: u64) {
        self.queue.push_front(Op::new(None, serial, Kind::Reopen));
    }

    fn push(&mut self, id: Option<u32>, serial: u64, kind: Kind) {
        self.cut_incomplete();
        self.queue.push_back(Op::new(id, serial, kind));
    }

    /// An append whose last piece never came, because another operation follows it, ends as a failure.
    fn cut_incomplete(&mut self) {
        if let Some(Op { kind: Kind::Append(pieces), failure, .. }) = self.queue.back_mut()
            && !pieces.complete
        {
            pieces.complete = true;
            failure.get_or_insert(Failure { code: ErrorCode::UNEXPECTED_MESSAGE, exception: String::new() });
        }
    }

    /// What the probe is to be fed with, once an initialization segment has been found.
    pub(crate) fn take_init(&mut self) -> Option<InitFound> {
        let Op { kind: Kind::Append(pieces), .. } = self.queue.front_mut()? else {
            return None;
        };
        if !matches!(pieces.head, Head::Found { .. }) {
            return None;
        }
        match core::mem::replace(&mut pieces.head, Head::Settled(None)) {
            Head::Found { bytes, sound } => Some(InitFound { mime: self.mime.clone(), bytes, sound }),
            Head::Collecting(_) | Head::Probing(_) | Head::Settled(_) => None,
        }
    }

    /// The running append waits for this probe.
    pub(crate) fn await_probe(&mut self, probe: u64) {
        self.set_head(Head::Probing(probe));
    }

    pub(crate) fn settle_tracks(&mut self, tracks: Option<Tracks>) {
        self.set_head(Head::Settled(tracks));
    }

    fn set_head(&mut self, head: Head) {
        if let Some(Op { kind: Kind::Append(pieces), .. }) = self.queue.front_mut() {
            pieces.head = head;
        }
    }

    pub(crate) fn awaits_probe(&self, probe: u64) -> bool {
        matches!(
            self.queue.front(),
            Some(Op { kind: Kind::Append(Pieces { head: Head::Probing(own), .. }), .. }) if *own == probe
        )
    }

    /// The browser's answer to the running command.
    pub(crate) fn done(&mut self, snapshot: BufferSnapshot, outcome: Outcome) {
        if !core::mem::take(&mut self.running) {
            return;
        }
        let Some(op) = self.queue.front_mut() else {
            return;
        };
        let landed = op.after.replace(snapshot).is_some();
        match outcome {
            Outcome::Done => {
                if let Kind::ChangeType { mime } = &op.kind {
                    self.mime.clone_from(mime);
                }
            }
            Outcome::Threw(exception) => {
                // A second exception is that of the reset.
                op.reset = op.failure.is_none() && landed && matches!(op.kind, Kind::Append(_));
                op.failure.get_or_insert_with(|| Failure::threw(exception));
            }
            Outcome::Failed => {
                op.failure = Some(Failure { code: ErrorCode::APPEND_FAILED, exception: String::new() });
            }
        }
    }

    /// Takes the next step with the first operation; `allowed_before` is the arrival number that must wait.
    pub(crate) fn step(&mut self, allowed_before: u64) -> Step {
        if self.running || !self.added {
            return Step::Idle;
        }
        let (player, buffer) = (self.player, self.id);
        let Some(op) = self.queue.front_mut() else {
            return Step::Idle;
        };
        if !op.begun && op.serial > allowed_before {
            return Step::Idle;
        }
        let first = !core::mem::replace(&mut op.begun, true);
        let failed = op.failure.is_some();
        let command = match &mut op.kind {
            Kind::Append(pieces) => {
                if failed {
                    let dropped: usize = pieces.waiting.drain(..).map(|piece| piece.len()).sum();
                    self.waiting_bytes -= dropped;
                    if core::mem::take(&mut op.reset) {
                        self.running = true;
                        return Step::Run(Command::Abort { player, buffer });
                    }
                    if !pieces.complete {
                        return Step::Idle;
                    }
                    None
                } else if pieces.waiting.is_empty() && !(first && pieces.complete) {
                    let tracks_known = matches!(pieces.head, Head::Settled(_));
                    if !pieces.complete || !tracks_known {
                        // Nothing of it has run yet when the first piece was empty.
                        op.begun = !first;
                        return Step::Idle;
                    }
                    None
                } else {
                    let data = join(&mut pieces.waiting);
                    self.waiting_bytes -= data.len();
                    Some(Command::Append { player, buffer, settings: pieces.settings.take(), data })
                }
            }
            Kind::Remove { start, end } => {
                first.then_some(Command::Remove { player, buffer, start: *start, end: *end })
            }
            Kind::Abort => first.then_some(Command::Abort { player, buffer }),
            Kind::ChangeType { mime } => {
                first.then(|| Command::ChangeType { player, buffer, mime: mime.clone() })
            }
            Kind::Reopen => {
                first.then(|| Command::Append { player, buffer, settings: None, data: Vec::new() })
            }
        };
        if let Some(command) = command {
            self.running = true;
            return Step::Run(command);
        }
        let Some(op) = self.queue.pop_front() else {
            return Step::Idle;
        };
        match op.answer(player, buffer) {
            Some(answer) => Step::Answer(answer),
            None => Step::Again,
        }
    }

    /// Ends the buffer: the answers to all that has completely arrived.
    pub(crate) fn abandon(&mut self, code: ErrorCode) -> Vec<BufferChanged> {
        self.waiting_bytes = 0;
        self.running = false;
        let ops = core::mem::take(&mut self.queue);
        ops.into_iter()
            .filter(|op| !matches!(&op.kind, Kind::Append(pieces) if !pieces.complete))
            .filter_map(|op| op.id)
            .map(|op| refusal(self.player, self.id, op, code))
            .collect()
    }
}

impl Op {
    fn new(id: Option<u32>, serial: u64, kind: Kind) -> Self {
        Self { id, serial, kind, begun: false, failure: None, reset: false, after: None }
    }

    fn answer(self, player: u32, buffer: u32) -> Option<BufferChanged> {
        let id = self.id?;
        let after = self.after.unwrap_or_default();
        let (code, exception) =
            self.failure.map_or((0, String::new()), |failure| (failure.code.number(), failure.exception));
        let tracks = match self.kind {
            Kind::Append(Pieces { head: Head::Settled(tracks), .. }) => tracks,
            Kind::Append(_) | Kind::Remove { .. } | Kind::Abort | Kind::ChangeType { .. } | Kind::Reopen => {
                None
            }
        };
        Some(BufferChanged {
            player,
            buffer,
            op: id,
            code,
            ranges_us: ranges_us(&after.ranges),
            timestamp_offset: after.timestamp_offset,
            tracks,
            exception,
            parsing: after.parsing,
        })
    }
}

impl Pieces {
    /// Follows the head of the append until it is known whether there is an initialization segment. `raw`: the media have none, and
    /// their first bytes say what they are. Answers the beginning of a segment that the append does not complete.
    fn look(&mut self, data: &[u8], raw: bool) -> Option<Vec<u8>> {
        let Head::Collecting(head) = &mut self.head else {
            return None;
        };
        let room = MAX_INIT - head.len();
        head.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        let more = !self.complete && head.len() < MAX_INIT;
        let init = if raw { Init::Incomplete } else { find_init(head) };
        let mut begun = None;
        self.head = match init {
            // A segment that ends where the data ends may go on in the next piece; the engine takes it as it is.
            Init::Complete { length, sound } => {
                head.truncate(length);
                Head::Found { bytes: core::mem::take(head), sound }
            }
            Init::Incomplete if more => return None,
            Init::Incomplete if raw && !head.is_empty() => {
                Head::Found { bytes: core::mem::take(head), sound: true }
            }
            Init::Incomplete => {
                begun = Some(core::mem::take(head)).filter(|head| head.len() < MAX_INIT);
                Head::Settled(None)
            }
            Init::None => Head::Settled(None),
        };
        begun
    }
}

/// The answer to an operation that was not carried out.
pub(crate) fn refusal(player: u32, buffer: u32, op: u32, code: ErrorCode) -> BufferChanged {
    BufferChanged { player, buffer, op, code: code.number(), ..BufferChanged::default() }
}

/// What a buffer holds after the end of the stream was said: no answer to an operation, so the operation is 0.
pub(crate) fn held_at_end(player: u32, buffer: u32, snapshot: &BufferSnapshot) -> BufferChanged {
    BufferChanged {
        player,
        buffer,
        ranges_us: ranges_us(&snapshot.ranges),
        timestamp_offset: snapshot.timestamp_offset,
        ..BufferChanged::default()
    }
}

/// As many waiting pieces as fit one append; at least one.
fn join(waiting: &mut VecDeque<Vec<u8>>) -> Vec<u8> {
    let mut data = waiting.pop_front().unwrap_or_default();
    while let Some(next) = waiting.front() {
        if data.len() + next.len() > MAX_APPEND_BYTES {
            break;
        }
        data.append(&mut waiting.pop_front().unwrap_or_default());
    }
    data
}

fn clean_settings(settings: AppendSettings) -> BufferSettings {
    let start = settings.append_window_start;
    let start = if start.is_finite() && start >= 0.0 { start } else { 0.0 };
    let end = settings.append_window_end.filter(|end| *end > start).unwrap_or(f64::INFINITY);
    BufferSettings {
        timestamp_offset: settings.timestamp_offset.filter(|offset| offset.is_finite()),
        append_window_start: start,
        append_window_end: end,
        sequence_mode: settings.sequence_mode,
    }
}

pub(crate) fn ranges_us(ranges: &[(f64, f64)]) -> Vec<u64> {
    ranges.iter().take(MAX_RANGES).flat_map(|(start, end)| [micros(*start), micros(*end)]).collect()
}

/// Seconds as microseconds, rounded to the nearest.
pub(crate) fn micros(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a negative or missing time is zero here"
    )]
    let micros = (seconds * 1e6).round() as u64;
    micros
}
