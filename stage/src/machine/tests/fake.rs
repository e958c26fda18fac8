//! The machine on a bench: what it says and commands, in a form that tests can compare.

use std::collections::VecDeque;

use offstage_protocol::Monotonic;
use offstage_protocol::message::{
    AddSourceBuffer, Append, AppendSettings, BufferChanged, FramePresented, FromDeviceKind, FromStage,
    FromStageKind, Layout, OpenPlayer, PlayerState, ToDevice, ToDeviceKind, ToStage, ToStageKind,
};
use offstage_protocol::prost::Message as _;

use crate::machine::Stage;
use crate::machine::event::{Command, Event, Output};

/// What the machine said to the client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Hello,
    WindowAsked(u32),
    LaidOut(Layout),
    Changed(BufferChanged),
    Failed(u32, u32),
    State(PlayerState),
    Frame(FramePresented),
    /// The request and its exception.
    Answer(u32, String),
    Happened(String),
    CallFailed(u32),
}

impl Said {
    pub(super) fn code(&self) -> Option<u32> {
        match self {
            Self::Changed(changed) => Some(changed.code),
            Self::Failed(_, code) => Some(*code),
            Self::Hello
            | Self::WindowAsked(_)
            | Self::LaidOut(_)
            | Self::State(_)
            | Self::Frame(_)
            | Self::Answer(..)
            | Self::Happened(_)
            | Self::CallFailed(_) => None,
        }
    }

    pub(super) fn into_frame(self) -> Option<FramePresented> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Hello
            | Self::WindowAsked(_)
            | Self::LaidOut(_)
            | Self::Changed(_)
            | Self::Failed(..)
            | Self::Answer(..)
            | Self::Happened(_)
            | Self::CallFailed(_)
            | Self::State(_) => None,
        }
    }

    pub(super) fn into_state(self) -> Option<PlayerState> {
        match self {
            Self::State(state) => Some(state),
            Self::Hello
            | Self::WindowAsked(_)
            | Self::LaidOut(_)
            | Self::Changed(_)
            | Self::Failed(..)
            | Self::Answer(..)
            | Self::Happened(_)
            | Self::CallFailed(_)
            | Self::Frame(_) => None,
        }
    }
}

/// A machine, a clock, and what has come out and was not looked at yet.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) stage: Stage,
    pub(super) now: Monotonic,
    said: Vec<Said>,
    commands: VecDeque<Command>,
}

impl Bench {
    pub(super) fn send(&mut self, kind: ToDeviceKind) {
        self.send_stage(ToStageKind::Device(ToDevice { kind: Some(kind) }));
    }

    pub(super) fn layout(&mut self, layout: &Layout) {
        self.send_stage(ToStageKind::Layout(layout.clone()));
    }

    pub(super) fn send_stage(&mut self, kind: ToStageKind) {
        let bytes = ToStage { kind: Some(kind) }.encode_to_vec();
        self.stage.handle_message(self.now, &bytes).unwrap();
        self.collect();
    }

    pub(super) fn event(&mut self, event: Event) {
        self.stage.handle_event(self.now, event);
        self.collect();
    }

    /// Lets the time pass until the machine wants to be called.
    pub(super) fn pass_to_timeout(&mut self) {
        let (at, _) = self.stage.poll_timeout().unwrap();
        self.now = self.now.max(at);
        self.stage.handle_timeout(self.now);
        self.collect();
    }

    pub(super) fn commands(&mut self) -> Vec<Command> {
        self.collect();
        self.commands.drain(..).collect()
    }

    pub(super) fn said(&mut self) -> Vec<Said> {
        self.collect();
        core::mem::take(&mut self.said)
    }

    /// The newest state report.
    pub(super) fn state(&mut self) -> PlayerState {
        self.said().into_iter().filter_map(Said::into_state).next_back().unwrap()
    }

    fn collect(&mut self) {
        while let Some(output) = self.stage.poll_output() {
            match output {
                Output::Do(command) => self.commands.push_back(command),
                Output::Send(bytes) => self.said.push(understand(&bytes)),
            }
        }
    }
}

fn understand(bytes: &[u8]) -> Said {
    match FromStage::decode(bytes).unwrap().kind.unwrap() {
        FromStageKind::Hello(_) => Said::Hello,
        FromStageKind::WindowAsked(asked) => Said::WindowAsked(asked.player),
        FromStageKind::LaidOut(layout) => Said::LaidOut(layout),
        FromStageKind::Device(device) => match device.kind.unwrap() {
            FromDeviceKind::BufferChanged(changed) => Said::Changed(changed),
            FromDeviceKind::PlayerFailed(failed) => Said::Failed(failed.player, failed.code),
            FromDeviceKind::PlayerState(state) => Said::State(state),
            FromDeviceKind::FramePresented(frame) => Said::Frame(frame),
            FromDeviceKind::CallAnswer(answer) => Said::Answer(answer.request, answer.exception),
            FromDeviceKind::CallEvent(event) => Said::Happened(event.event),
            FromDeviceKind::CallFailed(failed) => Said::CallFailed(failed.call),
            kind @ (FromDeviceKind::DeviceChanged(_)
            | FromDeviceKind::FetchRange(_)
            | FromDeviceKind::FetchCancelled(_)
            | FromDeviceKind::LogChunk(_)) => panic!("the stage does not say {kind:?}"),
        },
    }
}

/// Opens a player and adds a buffer.
pub(super) fn open(bench: &mut Bench, player: u32, buffer: u32, mime: &str) {
    bench.send(ToDeviceKind::OpenPlayer(OpenPlayer { player, ..OpenPlayer::default() }));
    bench.send(ToDeviceKind::AddSourceBuffer(AddSourceBuffer { player, buffer, mime: mime.to_owned() }));
}

/// A piece of an append, with settings as if it were the first.
pub(super) fn piece(player: u32, buffer: u32, op: u32, data: &[u8], last: bool) -> ToDeviceKind {
    let settings = Some(AppendSettings::default());
    ToDeviceKind::Append(Append { player, buffer, op, last, settings, data: data.to_vec() })
}
