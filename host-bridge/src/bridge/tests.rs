//! The machine alone: bytes and times in, bytes and commands out.

use offstage_protocol::frame::FIRST_BUFFER_STREAM;
use offstage_protocol::frame::MAX_PAYLOAD;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use tracing::Level;

use super::*;

#[test]
fn hello_comes_first_and_opens_the_way() {
    let mut test = Test::new();
    assert_eq!(test.said(), ["hello bridge"]);
    assert_eq!(test.commands(), []);
    test.hello(1, 1);
    assert_eq!(test.said(), ["session linux"]);
    assert_eq!(test.commands(), [Command::OpenChannel { epoch: 1 }]);
    test.bridge.handle_channel_open(test.now, 1);
    assert_eq!(test.said(), ["up unix 1"]);
}

#[test]
fn an_extension_without_hello_is_left() {
    let mut test = Test::new();
    test.said();
    assert_eq!(test.pass(), (HELLO_LIMIT, "hello"));
    assert_eq!(test.said(), ["error OFS-1011: the extension did not say hello", "down OFS-1011 0"]);
    assert_eq!(test.commands(), [Command::CloseChannel, Command::Exit { clean: false }]);
    assert_eq!(test.bridge.poll_timeout(), None);
}

#[test]
fn logs_and_counters_are_the_callers_and_only_an_extensions_that_has_said_hello() {
    let mut test = Test::new();
    let control = LogControl { level: "debug".into(), correlation: "a1".into() };
    let orders = [BridgeKind::LogControl(control.clone()), BridgeKind::Metrics(Metrics::default())];
    let tell = |test: &mut Test| {
        for (kind, sequence) in orders.clone().into_iter().zip(0..) {
            let payload = BridgeMessage { kind: Some(kind) }.encode_to_vec();
            test.hear_browser(&Frame::whole(BRIDGE_STREAM, sequence, &payload).encode());
        }
    };
    tell(&mut test);
    assert_eq!(test.commands(), []);
    let mut test = Test::known();
    test.commands();
    tell(&mut test);
    assert_eq!(test.commands(), [Command::Log(control), Command::Show(Box::default())]);
    test.said();
    test.bridge.handle_collected(LogChunk { correlation: "a1".into(), lines: vec!["x".into()], last: true });
    assert_eq!(test.said(), ["collected a1 [\"x\"]"]);
}

#[test]
fn windows_are_told_only_while_the_extension_asks() {
    let mut test = Test::known();
    test.commands();
    test.said();
    let ask = |test: &mut Test, on, sequence| {
        let kind = Some(BridgeKind::WatchWindows(offstage_protocol::message::WatchWindows { on }));
        let payload = BridgeMessage { kind }.encode_to_vec();
        test.hear_browser(&Frame::whole(BRIDGE_STREAM, sequence, &payload).encode());
    };
    test.bridge.handle_windows(SessionWindows::default());
    assert_eq!((test.said(), test.bridge.wants_windows()), (vec![], false));
    ask(&mut test, true, 1);
    ask(&mut test, true, 2);
    assert_eq!(test.commands(), [Command::Watch(true)], "once");
    test.bridge.handle_windows(SessionWindows::default());
    test.bridge.handle_windows(SessionWindows::default());
    assert_eq!(test.said(), ["windows 1", "windows 2"]);
    ask(&mut test, false, 3);
    assert_eq!(test.commands(), [Command::Watch(false)]);
    test.bridge.handle_windows(SessionWindows::default());
    assert_eq!(test.said(), [""; 0]);
}

#[test]
fn a_version_that_nobody_shares_is_told_and_nothing_is_opened() {
    let mut test = Test::new();
    test.said();
    test.hello(2, 3);
    assert_eq!(test.said(), ["down OFS-1106 0"]);
    assert_eq!(test.commands(), []);
    assert_eq!(test.bridge.poll_timeout(), None);
    // What it sends is read, so that its end is noticed, and dropped.
    test.hear_browser(&bulk(0));
    assert!(test.bridge.wants_browser_bytes());
    test.bridge.handle_browser_end(test.now);
    assert_eq!(test.commands(), [Command::CloseChannel, Command::Exit { clean: true }]);
}

#[test]
fn a_channel_that_cannot_be_opened_is_tried_again_ever_more_slowly() {
    let mut test = Test::known();
    let mut waits = Vec::new();
    for _ in 0..7 {
        test.bridge.handle_channel_error(test.now, test.bridge.epoch(), &ChannelError::Closed);
        let (wait, name) = test.pass();
        assert_eq!(name, "retry");
        waits.push(wait.as_millis());
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(test.said().len(), 6, "the same again is not told");
    assert_eq!(test.bridge.epoch(), 8);
}

#[test]
fn a_channel_that_lived_makes_the_next_wait_short() {
    let mut test = Test::up();
    let mut fail_after = |life| {
        test.now = test.now.after(life);
        test.bridge.handle_channel_error(test.now, test.bridge.epoch(), &ChannelError::Closed);
        let (wait, _) = test.pass();
        test.bridge.handle_channel_open(test.now, test.bridge.epoch());
        wait.as_millis()
    };
    let short = Duration::from_millis(1);
    assert_eq!(
        [fail_after(short), fail_after(short), fail_after(BACKOFF_MAX), fail_after(short)],
        [100, 200, 100, 200]
    );
}

#[test]
fn what_an_older_channel_reports_is_ignored() {
    let mut test = Test::up();
    test.bridge.handle_channel_error(test.now, 0, &ChannelError::Closed);
    test.bridge.handle_channel_bytes(test.now, 0, &[0xff; 100]);
    test.bridge.handle_channel_written(test.now, 0, 5);
    test.bridge.handle_channel_open(test.now, 0);
    assert_eq!(test.said(), [""; 0]);
    assert_eq!(test.commands(), []);
}

#[test]
fn frames_pass_only_while_the_channel_is_up_and_the_extension_has_begun_anew() {
    let mut test = Test::known();
    test.hear_browser(&begin(1));
    assert_eq!(test.bridge.poll_channel(test.now), None);
    test.bridge.handle_channel_open(test.now, 1);
    test.hear_browser(&bulk(7));
    test.hear_browser(&begin(0));
    test.hear_browser(&bulk(0));
    assert_eq!(test.take_channel(), [begin(0), bulk(0)].concat());

    test.bridge.handle_channel_error(test.now, 1, &ChannelError::Closed);
    test.hear_browser(&bulk(1));
    test.pass();
    test.bridge.handle_channel_open(test.now, 2);
    test.hear_browser(&bulk(2));
    test.hear_browser(&begin(1));
    test.hear_browser(&bulk(3));
    assert_eq!(test.bridge.poll_channel(test.now), None, "these were for the epoch before");
    test.hear_browser(&begin(2));
    test.hear_browser(&bulk(0));
    assert_eq!(test.take_channel(), [begin(2), bulk(0)].concat());
}

#[test]
fn what_waits_for_a_channel_dies_with_it() {
    let mut test = Test::up();
    test.hear_browser(&begin(1));
    test.bridge.handle_channel_bytes(test.now, 1, &bulk(0)[..100]);
    test.bridge.handle_channel_error(test.now, 1, &ChannelError::Closed);
    test.pass();
    test.said();
    test.bridge.handle_channel_open(test.now, 2);
    assert_eq!(test.bridge.poll_channel(test.now), None);
    // Half a frame of the old channel isn't completed by the new one.
    test.bridge.handle_channel_bytes(test.now, 2, &bulk(5));
    assert_eq!(test.take_browser()[FRAME_OF_CHANNEL_UP..], bulk(5));
}

#[test]
fn bytes_that_are_no_frames_are_told_from_either_side() {
    let mut test = Test::up();
    test.bridge.handle_channel_bytes(test.now, 1, &[0xff; 4]);
    assert_eq!(
        test.said(),
        [
            "warn OFS-1004: from the client: frame of 4294967295 counted bytes is longer than allowed",
            "down OFS-1004 100"
        ]
    );
    assert_eq!(test.commands(), [Command::CloseChannel]);
    assert_eq!(test.pass().1, "retry");
    assert_eq!(test.commands(), [Command::OpenChannel { epoch: 2 }]);

    test.hear_browser(&[0; 4]);
    assert_eq!(
        test.said(),
        [
            "error OFS-1003: from the extension: frame of 0 counted bytes is shorter than its header",
            "down OFS-1003 0"
        ]
    );
    assert_eq!(test.commands(), [Command::CloseChannel, Command::Exit { clean: false }]);
    assert!(!test.bridge.wants_browser_bytes());
}

#[test]
fn a_client_cannot_speak_for_the_bridge() {
    let mut test = Test::up();
    let forged = BridgeMessage { kind: Some(BridgeKind::ChannelUp(ChannelUp::default())) }.encode_to_vec();
    test.bridge.handle_channel_bytes(test.now, 1, &Frame::whole(BRIDGE_STREAM, 0, &forged).encode());
    assert_eq!(
        test.said(),
        ["warn OFS-1013: from the client: a frame of the bridge's own stream", "down OFS-1013 100"]
    );
}

#[test]
fn unknown_and_needless_messages_to_the_bridge_are_ignored() {
    let mut test = Test::up();
    // Field 99 of a later version.
    test.hear_browser(&Frame::whole(BRIDGE_STREAM, 1, &[0x9a, 0x06, 0x00]).encode());
    test.hello(7, 7);
    assert_eq!(test.said(), [""; 0]);
    assert_eq!(test.commands(), []);
}

#[test]
fn a_message_to_the_bridge_in_slices_is_refused() {
    let mut test = Test::up();
    let frame = Frame { last: false, ..Frame::whole(BRIDGE_STREAM, 1, b"") };
    test.hear_browser(&frame.encode());
    assert_eq!(test.said()[1], "down OFS-1012 0");
}

#[test]
fn a_silent_client_is_dead() {
    let mut test = Test::up();
    test.now = test.now.after(Duration::from_secs(5));
    test.bridge.handle_channel_bytes(test.now, 1, &bulk(0));
    test.bridge.poll_browser(test.now);
    assert_eq!(test.pass(), (SILENCE_LIMIT, "silence"));
    assert_eq!(test.said(), ["down OFS-1001 100"]);
    assert_eq!(test.commands(), [Command::CloseChannel]);
}

#[test]
fn silence_does_not_count_while_the_browser_is_behind() {
    let mut test = Test::up();
    while test.bridge.wants_channel_bytes() {
        test.bridge.handle_channel_bytes(test.now, 1, &bulk(0));
    }
    assert!(test.bridge.to_browser.len() < QUEUE_MARK + 2 * MAX_PAYLOAD);
    assert_eq!(test.bridge.poll_timeout(), None);
    test.now = test.now.after(Duration::from_secs(60));
    assert!(test.bridge.poll_browser(test.now).is_some());
    assert!(test.bridge.wants_channel_bytes());
    assert_eq!(test.pass(), (SILENCE_LIMIT, "silence"));
}

#[test]
fn a_client_that_takes_nothing_holds_the_browser_back_and_is_dead_at_last() {
    let mut test = Test::up();
    test.hear_browser(&begin(1));
    while test.bridge.wants_browser_bytes() {
        test.hear_browser(&bulk(0));
    }
    assert!(test.bridge.to_channel.len() < QUEUE_MARK + 2 * MAX_PAYLOAD);
    assert!(test.bridge.poll_channel(test.now).is_some());
    test.now = test.now.after(Duration::from_secs(4));
    test.bridge.handle_channel_bytes(test.now, 1, &bulk(0));
    assert_eq!(test.pass(), (STALL_LIMIT - Duration::from_secs(4), "stall"));
    assert!(test.bridge.wants_browser_bytes(), "what waited is gone");
    assert_eq!(test.commands(), [Command::CloseChannel]);
}

#[test]
fn an_opening_that_takes_too_long_is_given_up() {
    let mut test = Test::known();
    assert_eq!(test.pass(), (OPEN_LIMIT, "open"));
    assert_eq!(test.said(), ["down OFS-1201 100"]);
    assert_eq!(test.commands(), [Command::CloseChannel]);
}

#[test]
fn no_channel_is_opened_for_a_browser_that_does_not_read() {
    let mut test = Test::up();
    while test.bridge.wants_channel_bytes() {
        test.bridge.handle_channel_bytes(test.now, 1, &bulk(0));
    }
    test.bridge.handle_channel_error(test.now, 1, &ChannelError::Closed);
    let before = test.bridge.to_browser.len();
    for _ in 0..100 {
        assert_eq!(test.pass().1, "retry");
        test.bridge.handle_log_line(Level::WARN, "again");
    }
    assert_eq!(test.bridge.to_browser.len(), before, "nothing piles up");
    test.take_browser();
    test.pass();
    assert_eq!(test.commands(), [Command::CloseChannel, Command::OpenChannel { epoch: 2 }]);
    test.bridge.handle_log_line(Level::WARN, "now");
    assert_eq!(test.said(), ["warn 100 lines of the log were dropped", "warn now"]);
}

#[test]
fn the_end_waits_for_the_last_words_but_not_for_long() {
    let mut test = Test::up();
    test.hear_browser(&begin(1));
    test.bridge.handle_browser_end(test.now);
    assert_eq!(test.commands(), []);
    let words = test.bridge.poll_channel(test.now).unwrap();
    test.bridge.handle_channel_written(test.now, 1, words.len() - 1);
    assert_eq!(test.commands(), []);
    test.bridge.handle_channel_written(test.now, 1, 1);
    assert_eq!(test.commands(), [Command::CloseChannel, Command::Exit { clean: true }]);

    let mut test = Test::up();
    test.hear_browser(&begin(1));
    test.bridge.handle_browser_end(test.now);
    assert_eq!(test.pass(), (LINGER_LIMIT, "linger"));
    assert_eq!(test.commands(), [Command::CloseChannel, Command::Exit { clean: true }]);
}

#[test]
fn batches_for_the_browser_fit_into_a_message() {
    let mut test = Test::up();
    while test.bridge.wants_channel_bytes() {
        test.bridge.handle_channel_bytes(test.now, 1, &bulk(0));
    }
    while let Some(batch) = test.bridge.poll_browser(test.now) {
        assert!(batch.len() <= MAX_BATCH);
    }
}

#[test]
fn texts_are_cut_between_characters() {
    let text = "ä".repeat(MAX_TEXT);
    assert_eq!(shortened(&text).len(), MAX_TEXT);
    assert_eq!(shortened(&text[..0]), "");
    assert_eq!(shortened(&format!("x{text}")).len(), MAX_TEXT - 1);
}

/// A step of a random run.
#[derive(Clone, Debug)]
enum Step {
    Browser(Vec<u8>),
    Channel(Vec<u8>),
    Open,
    Fail,
    Pass,
    TakeBrowser,
    TakeChannel,
    Written(usize),
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::Just;
    use proptest::prelude::Strategy as _;
    let frame = (0u32..4, 0u32..2, vec(any::<u8>(), 0..40))
        .prop_map(|(stream, sequence, payload)| Frame::whole(stream * 8, sequence, &payload).encode());
    let bytes = proptest::prop_oneof![4 => frame, 1 => vec(any::<u8>(), 0..30)];
    proptest::prop_oneof![
        bytes.clone().prop_map(Step::Browser),
        bytes.prop_map(Step::Channel),
        Just(Step::Open),
        Just(Step::Fail),
        Just(Step::Pass),
        Just(Step::TakeBrowser),
        Just(Step::TakeChannel),
        (0usize..100).prop_map(Step::Written),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_leaves_it_alive_or_ended(steps in vec(step(), 0..60), known: bool) {
        let mut test = if known { Test::known() } else { Test::new() };
        let mut ended = false;
        for step in steps {
            let epoch = test.bridge.epoch();
            match step {
                Step::Browser(bytes) => test.hear_browser(&bytes),
                Step::Channel(bytes) => test.bridge.handle_channel_bytes(test.now, epoch, &bytes),
                Step::Open => test.bridge.handle_channel_open(test.now, epoch),
                Step::Fail => test.bridge.handle_channel_error(test.now, epoch, &ChannelError::Closed),
                Step::Pass => if test.bridge.poll_timeout().is_some() {
                    test.pass();
                },
                Step::TakeBrowser => drop(test.bridge.poll_browser(test.now)),
                Step::TakeChannel => drop(test.bridge.poll_channel(test.now)),
                Step::Written(length) => test.bridge.handle_channel_written(test.now, epoch, length),
            }
            ended |= test.commands().iter().any(|command| matches!(command, Command::Exit { .. }));
            // Whoever is alive waits for something, and whoever has ended for nothing.
            assert_eq!(ended, test.bridge.poll_timeout().is_none() && !test.bridge.wants_channel_bytes());
        }
    }
}

/// Bytes of the frame that says `up unix 2`.
const FRAME_OF_CHANNEL_UP: usize = 13 + 2 + 6 + 2;

struct Test {
    now: Monotonic,
    bridge: Bridge,
}

impl Test {
    fn new() -> Self {
        let hello =
            Hello { component: "bridge".to_owned(), protocol_min: 1, protocol_max: 1, ..Hello::default() };
        let session = SessionInfo { os: "linux".to_owned(), ..SessionInfo::default() };
        let now = Monotonic(1_000_000);
        Self { now, bridge: Bridge::new(now, BridgeConfig { hello, session, channel_kind: "unix" }) }
    }

    /// With hellos exchanged; the first opening has been ordered.
    fn known() -> Self {
        let mut test = Self::new();
        test.hello(1, 1);
        test.said();
        test.commands();
        test
    }

    /// With the first channel open.
    fn up() -> Self {
        let mut test = Self::known();
        test.bridge.handle_channel_open(test.now, 1);
        test.said();
        test
    }

    fn hello(&mut self, protocol_min: u32, protocol_max: u32) {
        let hello = Hello { protocol_min, protocol_max, ..Hello::default() };
        let payload = BridgeMessage { kind: Some(BridgeKind::Hello(hello)) }.encode_to_vec();
        self.hear_browser(&Frame::whole(BRIDGE_STREAM, 0, &payload).encode());
    }

    fn hear_browser(&mut self, bytes: &[u8]) {
        self.bridge.handle_browser_bytes(self.now, bytes);
    }

    /// Lets the next timer run out.
    fn pass(&mut self) -> (Duration, &'static str) {
        let (at, name) = self.bridge.poll_timeout().expect("a timer");
        let wait = at.since(self.now);
        self.now = self.now.max(at);
        self.bridge.handle_timeout(self.now);
        (wait, name)
    }

    fn commands(&mut self) -> Vec<Command> {
        core::iter::from_fn(|| self.bridge.poll_command()).collect()
    }

    fn take_browser(&mut self) -> Vec<u8> {
        core::iter::from_fn(|| self.bridge.poll_browser(self.now)).flatten().collect()
    }

    fn take_channel(&mut self) -> Vec<u8> {
        core::iter::from_fn(|| self.bridge.poll_channel(self.now)).flatten().collect()
    }

    /// What the bridge said itself, in short.
    fn said(&mut self) -> Vec<String> {
        let mut reader = FrameReader::new();
        reader.push(&self.take_browser());
        let mut said = Vec::new();
        while let Some(frame) = reader.next_raw().unwrap() {
            assert_eq!(frame.stream, BRIDGE_STREAM);
            said.push(match BridgeMessage::decode(frame.payload()).unwrap().kind.unwrap() {
                BridgeKind::Hello(hello) => format!("hello {}", hello.component),
                BridgeKind::Session(session) => format!("session {}", session.os),
                BridgeKind::ChannelUp(up) => format!("up {} {}", up.kind, up.epoch),
                BridgeKind::ChannelDown(down) => format!("down OFS-{} {}", down.code, down.retry_ms),
                BridgeKind::Log(line) => format!("{} {}", line.level, line.text),
                BridgeKind::LogChunk(chunk) => format!("collected {} {:?}", chunk.correlation, chunk.lines),
                BridgeKind::Windows(windows) => format!("windows {}", windows.seq),
                said @ (BridgeKind::LogControl(_) | BridgeKind::Metrics(_) | BridgeKind::WatchWindows(_)) => {
                    format!("never {said:?}")
                }
            });
        }
        said
    }
}

/// The first frame of a connection between the ends.
fn begin(epoch: u64) -> Vec<u8> {
    let hello = Hello { epoch, ..Hello::default() };
    let payload = Control { kind: Some(ControlKind::Hello(hello)) }.encode_to_vec();
    Frame::whole(CONTROL_STREAM, 0, &payload).encode()
}

fn bulk(sequence: u32) -> Vec<u8> {
    Frame::whole(FIRST_BUFFER_STREAM, sequence, &[0xa5; MAX_PAYLOAD]).encode()
}
