//! One message of each kind, every field set to something that is not its default.

use prost::Message;

use crate::message::{
    Abort, AddSourceBuffer, Append, AppendSettings, Blend, BridgeKind, BridgeMessage, BufferChanged,
    CallAnswer, CallEvent, CallFailed, CallRequest, ChangeType, ChannelDown, ChannelUp, Clip, Close,
    CloseAll, CloseCall, ClosePlayer, CodeCount, Control, ControlKind, Credit, DeviceChanged, EndOfStream,
    FetchCancelled, FetchRange, FetchedRange, FramePresented, FromDevice, FromDeviceKind, FromStage,
    FromStageKind, Hello, HidePicture, Layout, LogChunk, LogControl, LogLine, Metrics, OpenCall, OpenFile,
    OpenPlayer, Ping, PlacePicture, PlayTracks, PlayerFailed, PlayerState, Pong, Rect, Remove,
    RemoveSourceBuffer, SessionInfo, SessionWindow, SessionWindows, SetDuration, SetGeometry, SetPlayback,
    StageCall, StreamClosed, ToDevice, ToDeviceKind, ToStage, ToStageKind, TrackRef, Tracks, Turn, Veil,
    WatchFrames, WatchWindows, WindowAsked, WindowHint,
};

/// Whether bytes read as the sample.
type Agrees = Box<dyn Fn(&[u8]) -> bool>;

/// A message with its file's name.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) agrees: Agrees,
}

pub(super) fn hello() -> Hello {
    Hello {
        component: "extension".into(),
        version: "0.1.0".into(),
        protocol_min: 1,
        protocol_max: 1,
        features: vec!["mse".into(), "stand-in".into()],
        connection_id: 0x0123_4567_89ab_cdef,
        epoch: 3,
    }
}

fn rect() -> Rect {
    Rect { x: -8, y: 120, width: 1280, height: 720 }
}

fn control() -> Vec<ControlKind> {
    vec![
        ControlKind::Hello(hello()),
        ControlKind::Ping(Ping { id: 7, wall_us: 1_700_000_000_000_000 }),
        ControlKind::Pong(Pong {
            id: 7,
            ping_wall_us: 1_700_000_000_000_000,
            wall_us: 1_700_000_000_000_900,
        }),
        ControlKind::Credit(Credit { stream: 16, total_bytes: 1_048_576 }),
        ControlKind::Close(Close { code: 1010, detail: "protocol 1 to 1 here, 2 to 3 there".into() }),
        ControlKind::StreamClosed(StreamClosed { stream: 16 }),
    ]
}

fn bridge() -> Vec<BridgeKind> {
    vec![
        BridgeKind::Hello(Hello { component: "bridge".into(), ..hello() }),
        BridgeKind::ChannelUp(ChannelUp { kind: "unix".into(), epoch: 3 }),
        BridgeKind::ChannelDown(ChannelDown { code: 1201, detail: "no socket".into(), retry_ms: 1600 }),
        BridgeKind::Log(LogLine { level: "warn".into(), text: "client went away".into() }),
        BridgeKind::Session(SessionInfo {
            os: "linux".into(),
            session_type: "xrdp".into(),
            browser_pid: 4711,
            channel: "xrdp".into(),
            channel_reason: "OFFSTAGE_CHANNEL is xrdp".into(),
        }),
        BridgeKind::LogControl(LogControl { level: "debug".into(), correlation: "5f0c".into() }),
        BridgeKind::LogChunk(LogChunk { correlation: "5f0c".into(), lines: lines(), last: true }),
        BridgeKind::WatchWindows(WatchWindows { on: true }),
        BridgeKind::Windows(SessionWindows {
            seq: 3,
            screen: Some(rect()),
            windows: vec![SessionWindow {
                inner: Some(rect()),
                outer: Some(rect()),
                shown: true,
                covered: vec![rect()],
                title: "Film".into(),
            }],
        }),
        BridgeKind::Metrics(Metrics {
            players: 2,
            redirected: 3,
            in_session: vec![CodeCount { code: 1322, count: 4 }],
            sent_bytes: 5,
            received_bytes: 6,
            frames_presented: 7,
            frames_dropped: 8,
            drift_p50_us: Some(9),
            drift_p99_us: Some(10),
            round_trip_us: Some(11),
            connected: 12,
            ready: true,
        }),
    ]
}

fn lines() -> Vec<String> {
    vec!["info channel is up".into(), "warn no channel".into()]
}

fn to_device() -> Vec<ToDeviceKind> {
    let (player, buffer, op) = (5, 16, 9);
    let mime = || "video/mp4; codecs=\"avc1.640028\"".to_owned();
    let settings = AppendSettings {
        timestamp_offset: Some(-2.5),
        append_window_start: 0.25,
        append_window_end: Some(60.0),
        sequence_mode: true,
    };
    let hint = WindowHint {
        outer: Some(Rect { x: 10, y: 20, width: 1600, height: 900 }),
        viewport_x: 0,
        viewport_y: 85,
        viewport_width: 1600,
        viewport_height: 815,
        calibrated: true,
        screen: Some(Rect { x: 0, y: 0, width: 1920, height: 1080 }),
    };
    vec![
        ToDeviceKind::OpenPlayer(OpenPlayer { player, origin: "https://example.org".into() }),
        ToDeviceKind::ClosePlayer(ClosePlayer { player }),
        ToDeviceKind::AddSourceBuffer(AddSourceBuffer { player, buffer, mime: mime() }),
        ToDeviceKind::RemoveSourceBuffer(RemoveSourceBuffer { player, buffer }),
        ToDeviceKind::Append(Append {
            player,
            buffer,
            op,
            last: true,
            settings: Some(settings),
            data: vec![0, 1, 2, 0xff],
        }),
        ToDeviceKind::Remove(Remove { player, buffer, op, start: 1.5, end: Some(20.123_456) }),
        ToDeviceKind::Abort(Abort { player, buffer, op }),
        ToDeviceKind::ChangeType(ChangeType { player, buffer, op, mime: mime() }),
        ToDeviceKind::SetDuration(SetDuration { player, seconds: Some(634.566) }),
        ToDeviceKind::EndOfStream(EndOfStream { player, ended: true }),
        ToDeviceKind::SetPlayback(SetPlayback {
            player,
            seq: 4,
            paused: true,
            rate: 1.25,
            volume: 0.5,
            muted: true,
            preserves_pitch: true,
            seek_id: 2,
            seek_to: 12.34,
        }),
        ToDeviceKind::WatchFrames(WatchFrames { player, on: true }),
        ToDeviceKind::LogControl(LogControl { level: String::new(), correlation: "5f0c".into() }),
        ToDeviceKind::OpenCall(OpenCall { call: 6, origin: "https://call.example".into() }),
        ToDeviceKind::CloseCall(CloseCall { call: 6 }),
        ToDeviceKind::CallRequest(CallRequest {
            call: 6,
            request: 7,
            verb: "replaceTrack".into(),
            target: 1,
            transceiver: "mid:0".into(),
            arguments: "[4]".into(),
            data: vec![1, 2],
        }),
        ToDeviceKind::PlayTracks(PlayTracks {
            player,
            call: 6,
            tracks: vec![TrackRef { target: 1, transceiver: "mid:0".into() }],
            sink: "a1".into(),
        }),
        ToDeviceKind::SetGeometry(Box::new(SetGeometry {
            player,
            seq: 400,
            rect: Some(rect()),
            visible: vec![rect(), Rect { x: 3, y: 4, width: 5, height: 6 }],
            window: Some(hint),
            object_fit: "cover".into(),
            object_position: "50% 0%".into(),
            label: "On your device · 1280×720".into(),
            outline: true,
            clips: vec![Clip { corners: vec![0, 0, 160, 0, -16, 1600], even_odd: true }],
            turn: Some(turn()),
            blend: Some(blend()),
            filter: "blur(2px)".into(),
            veils: vec![veil()],
            soon: true,
            title: "Film".into(),
        })),
        ToDeviceKind::OpenFile(OpenFile { player, resource: 1, extension: "m3u8".into() }),
        ToDeviceKind::FetchedRange(FetchedRange {
            player,
            request: 7,
            status: 200,
            total: Some(5_000_000_000),
            mime: "video/mp4".into(),
            data: vec![0, 1, 2, 0xff],
            location: "https://a.example/film.mp4?k=1".into(),
            referer: "https://b.example/".into(),
        }),
    ]
}

fn from_device() -> Vec<FromDeviceKind> {
    let player = 5;
    vec![
        FromDeviceKind::DeviceChanged(DeviceChanged {
            ready: true,
            code: 1206,
            detail: "looked in 6 places".into(),
            engine: "Chromium 156.0.8078.79".into(),
        }),
        FromDeviceKind::PlayerFailed(PlayerFailed {
            player,
            code: 1303,
            detail: "PIPELINE_ERROR_DECODE".into(),
        }),
        FromDeviceKind::BufferChanged(BufferChanged {
            player,
            buffer: 16,
            op: 9,
            code: 1304,
            ranges_us: vec![0, 4_004_000, 6_000_000, 20_123_456],
            timestamp_offset: -2.5,
            tracks: Some(Tracks {
                width: 1920,
                height: 1080,
                has_audio: true,
                duration_us: Some(634_566_000),
            }),
            exception: "QuotaExceededError".into(),
            parsing: true,
        }),
        FromDeviceKind::PlayerState(PlayerState {
            player,
            seq: 4,
            media_time_us: -1,
            wall_us: 1_700_000_000_000_000,
            advancing: true,
            seeking: true,
            ended: true,
            ready_state: 4,
            width: 1920,
            height: 1080,
            frames_presented: 600,
            frames_dropped: 3,
            seek_id: 2,
            video_bytes: 9_000_000,
            audio_bytes: 800_000,
        }),
        FromDeviceKind::FramePresented(FramePresented {
            player,
            seek_id: 2,
            media_time_us: -1,
            wall_us: 1_700_000_000_000_000,
            display_after_us: 16_700,
            count: 601,
            width: 1920,
            height: 1080,
            processing_us: 4_000,
        }),
        FromDeviceKind::FetchRange(FetchRange {
            player,
            request: 7,
            resource: 1,
            start: 5,
            end: 524_293,
            refused: 1350,
        }),
        FromDeviceKind::LogChunk(LogChunk { correlation: "5f0c".into(), lines: lines(), last: false }),
        FromDeviceKind::FetchCancelled(FetchCancelled { player, request: 7 }),
        FromDeviceKind::CallAnswer(CallAnswer {
            call: 6,
            request: 7,
            exception: "NotAllowedError".into(),
            detail: "Permission denied".into(),
            result: "{}".into(),
        }),
        FromDeviceKind::CallEvent(CallEvent {
            call: 6,
            target: 1,
            event: "connection.connectionstatechange".into(),
            detail: "{}".into(),
            data: vec![3],
        }),
        FromDeviceKind::CallFailed(CallFailed { call: 6, code: 1507, detail: "x".into() }),
    ]
}

fn to_stage() -> Vec<ToStageKind> {
    vec![
        ToStageKind::Device(ToDevice {
            kind: Some(ToDeviceKind::OpenPlayer(OpenPlayer { player: 5, ..OpenPlayer::default() })),
        }),
        ToStageKind::Layout(layout()),
        ToStageKind::CloseAll(CloseAll { players: vec![5, 6, 300] }),
        ToStageKind::Call(StageCall { call: 6, salt: "5a".into(), permitted: true }),
        ToStageKind::EndCall(CloseCall { call: 6 }),
        ToStageKind::PlacePicture(PlacePicture {
            player: 5,
            rect: Some(Rect { x: -20, y: 160, width: 640, height: 360 }),
            visible: vec![Rect { x: 20, y: 0, width: 620, height: 300 }],
            clips: vec![Clip { corners: vec![0, 0, 160, -8, 80, 200], even_odd: true }],
        }),
        ToStageKind::HidePicture(HidePicture { player: 5 }),
    ]
}

fn layout() -> Layout {
    let (object_fit, object_position) = ("cover".into(), "50% 0%".into());
    let label = "On your device".into();
    Layout {
        player: 5,
        width: 1280,
        height: 720,
        object_fit,
        object_position,
        label,
        outline: true,
        turn: Some(turn()),
        blend: Some(blend()),
        filter: "blur(2px)".into(),
        veils: vec![veil()],
    }
}

fn turn() -> Turn {
    Turn { width: 640.0, height: 360.5, a: 0.0, b: 1.0, c: -1.0, d: 0.0, e: 360.5, f: 0.0 }
}

fn veil() -> Veil {
    let (background, radius) = ("linear-gradient(rgba(0, 0, 0, 0), rgb(0, 0, 0))".into(), "4px".into());
    Veil { x: -16, y: 800, width: 10_240, height: 960, background, radius, opacity: 0.75 }
}

fn blend() -> Blend {
    Blend { opacity: 0.5, ground: 0x00ff_8000 }
}

fn from_stage() -> Vec<FromStageKind> {
    let failed = PlayerFailed { player: 5, code: 1303, detail: String::new() };
    vec![
        FromStageKind::Hello(Hello { component: "stage".into(), ..hello() }),
        FromStageKind::Device(FromDevice { kind: Some(FromDeviceKind::PlayerFailed(failed)) }),
        FromStageKind::WindowAsked(WindowAsked { player: 5 }),
        FromStageKind::LaidOut(layout()),
    ]
}

/// All of them. A kind without a sample is found by [`super::golden`] through the schema.
pub(super) fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    for kind in control() {
        samples.push(sample("control", &kind, Control { kind: Some(kind.clone()) }));
    }
    for kind in bridge() {
        samples.push(sample("bridge_message", &kind, BridgeMessage { kind: Some(kind.clone()) }));
    }
    for kind in to_device() {
        samples.push(sample("to_device", &kind, ToDevice { kind: Some(kind.clone()) }));
    }
    for kind in from_device() {
        samples.push(sample("from_device", &kind, FromDevice { kind: Some(kind.clone()) }));
    }
    for kind in to_stage() {
        samples.push(sample("to_stage", &kind, ToStage { kind: Some(kind.clone()) }));
    }
    for kind in from_stage() {
        samples.push(sample("from_stage", &kind, FromStage { kind: Some(kind.clone()) }));
    }
    samples
}

fn sample<M>(family: &str, kind: &impl core::fmt::Debug, message: M) -> Sample
where
    M: Message + Default + PartialEq + 'static,
{
    let text = format!("{kind:?}");
    let variant = text.split('(').next().unwrap();
    Sample {
        name: format!("{family}.{}", super::schema::snake(variant)),
        bytes: message.encode_to_vec(),
        agrees: Box::new(move |bytes| M::decode(bytes).is_ok_and(|read| read == message)),
    }
}
