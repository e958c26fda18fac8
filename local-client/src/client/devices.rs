//! Whether this device can play: engine, stage and windows together.

use offstage_protocol::ErrorCode;
use offstage_protocol::message::DeviceChanged;

use crate::window::DisplayFailure;

/// The engine's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// About to start, or, with a process id, on its way to the stage's page.
    Starting { pid: Option<u32> },
    /// The stage's page is being loaded, or is there.
    Running { version: String },
    /// It ended or can't be started; it is tried again.
    Failed { code: ErrorCode, detail: String },
}

/// What readiness depends on.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) engine: EngineState,
    /// The stage has said hello.
    pub(crate) stage: bool,
    windows: Windows,
    /// Policy lets it play at all.
    allowed: bool,
    announced: DeviceChanged,
}

#[derive(Debug)]
enum Windows {
    Starting,
    Ready,
    Failed { code: ErrorCode, detail: String },
}

impl Default for Device {
    fn default() -> Self {
        Self {
            engine: EngineState::Starting { pid: None },
            stage: false,
            windows: Windows::Starting,
            allowed: true,
            announced: DeviceChanged::default(),
        }
    }
}

impl Device {
    pub(crate) fn set_allowed(&mut self, allowed: bool) {
        self.allowed = allowed;
    }

    pub(crate) fn windows_ready(&mut self) {
        self.windows = Windows::Ready;
    }

    pub(crate) fn windows_failed(&mut self, reason: DisplayFailure, detail: String) {
        let code = match reason {
            DisplayFailure::Missing | DisplayFailure::Gone => ErrorCode::DISPLAY_MISSING,
            DisplayFailure::Unsuitable => ErrorCode::DISPLAY_UNSUITABLE,
        };
        self.windows = Windows::Failed { code, detail };
    }

    /// The state as a session is told it.
    pub(crate) fn status(&self) -> DeviceChanged {
        let not_ready = |code: &ErrorCode, detail: &str| DeviceChanged {
            ready: false,
            code: code.number(),
            detail: if detail.is_empty() { code.sentence().to_owned() } else { detail.to_owned() },
            engine: String::new(),
        };
        if !self.allowed {
            return not_ready(&ErrorCode::CONSENT_REFUSED, "");
        }
        match (&self.windows, &self.engine) {
            (Windows::Failed { code, detail }, _) => not_ready(code, detail),
            (Windows::Starting, _) | (_, EngineState::Starting { .. }) => DeviceChanged::default(),
            (Windows::Ready, EngineState::Failed { code, detail }) => not_ready(code, detail),
            (Windows::Ready, EngineState::Running { version }) => DeviceChanged {
                ready: self.stage,
                code: 0,
                detail: String::new(),
                engine: if self.stage { version.clone() } else { String::new() },
            },
        }
    }

    /// The state, if it is another than the last one that this gave.
    pub(crate) fn changed(&mut self) -> Option<DeviceChanged> {
        let status = self.status();
        if status == self.announced {
            return None;
        }
        self.announced = status.clone();
        Some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_with_windows_engine_and_stage() {
        let mut device = Device::default();
        assert!(!device.status().ready);
        device.windows_ready();
        device.engine = EngineState::Running { version: "Chrome/1".to_owned() };
        assert_eq!((device.status().ready, device.status().code), (false, 0));
        device.stage = true;
        assert!(device.status().ready);
        assert_eq!(device.status().engine, "Chrome/1");
        device.set_allowed(false);
        assert_eq!(
            (device.status().ready, device.status().code),
            (false, ErrorCode::CONSENT_REFUSED.number())
        );
        device.set_allowed(true);
        device.windows_failed(DisplayFailure::Gone, String::new());
        assert_eq!(device.status().code, ErrorCode::DISPLAY_MISSING.number());
    }

    #[test]
    fn a_missing_engine_has_its_code() {
        let mut device = Device::default();
        device.windows_ready();
        device.engine = EngineState::Failed { code: ErrorCode::ENGINE_MISSING, detail: String::new() };
        assert_eq!(device.changed().map(|status| status.code), Some(ErrorCode::ENGINE_MISSING.number()));
        assert_eq!(device.changed(), None);
    }
}
