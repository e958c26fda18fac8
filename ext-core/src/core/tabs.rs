//! One icon a tab, always true: computed from the state of everything, sent when it differs.

use std::collections::VecDeque;

use offstage_protocol::{ErrorCode, SortedMap};

use super::Output;
use super::session_windows::MOST_TITLE;
use crate::config::Config;
use crate::link::DeviceLink;

/// Most tabs that have an icon of their own.
const MOST_TABS: usize = 5000;
/// Most characters of an address that are looked at.
const MOST_URL: usize = 2000;

/// The states of the status icon, named as the icon files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IconState {
    /// This page can't be redirected.
    Grey,
    /// The client can't be reached.
    Off,
    /// Ready, nothing plays.
    Ready,
    /// Video plays on the device.
    Video,
    /// A call runs on the device, with video or without.
    Call,
}

impl IconState {
    /// The beginning of the icon files' names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grey => "grey",
            Self::Off => "off",
            Self::Ready => "ready",
            Self::Video => "video",
            Self::Call => "call",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Tab {
    pub(super) url: String,
    pub(super) covered: bool,
    /// It is known for its calls.
    pub(super) calls: bool,
    /// Its calls go to the device.
    pub(super) redirected_calls: bool,
    pub(super) shown: Option<(IconState, Option<ErrorCode>)>,
    title: String,
}

#[derive(Debug, Default)]
pub(super) struct Tabs {
    tabs: SortedMap<i32, Tab>,
    muted: SortedMap<i32, ()>,
}

impl Tabs {
    /// The tab shows another page now; the browser has put its default icon (grey) back.
    pub(super) fn set_page(&mut self, tab: i32, url: &str, config: &Config) {
        if self.tabs.len() >= MOST_TABS && !self.tabs.contains_key(&tab) {
            return;
        }
        let url: String = url.chars().take(MOST_URL).collect();
        let (covered, calls) = (config.covers(&url), config.is_call_site(&url));
        let redirected_calls = config.covers_calls(&url);
        let title = String::new();
        self.tabs.insert(tab, Tab { covered, calls, redirected_calls, url, shown: None, title });
    }

    pub(super) fn set_title(&mut self, tab: i32, title: &str) {
        if let Some(tab) = self.tabs.get_mut(&tab) {
            tab.title = title.trim().chars().take(MOST_TITLE).collect();
        }
    }

    /// Empty where it isn't known.
    pub(super) fn title(&self, tab: i32) -> &str {
        self.tabs.get(&tab).map_or("", |tab| &tab.title)
    }

    pub(super) fn get(&self, tab: i32) -> Option<&Tab> {
        self.tabs.get(&tab)
    }

    pub(super) fn set_config(&mut self, config: &Config) {
        for tab in self.tabs.values_mut() {
            tab.covered = config.covers(&tab.url);
            tab.calls = config.is_call_site(&tab.url);
            tab.redirected_calls = config.covers_calls(&tab.url);
        }
    }

    pub(super) fn set_muted(&mut self, tab: i32, muted: bool) {
        if !muted {
            self.muted.remove(&tab);
        } else if self.muted.len() < MOST_TABS {
            self.muted.insert(tab, ());
        }
    }

    pub(super) fn is_muted(&self, tab: i32) -> bool {
        self.muted.contains_key(&tab)
    }

    pub(super) fn remove(&mut self, tab: i32) {
        self.muted.remove(&tab);
        self.tabs.remove(&tab);
    }

    /// `playing`: tabs in which the device plays; `calls`: tabs whose call it carries, which counts for more; `frames`: tabs with a covered frame that has media; `reasons`: tabs whose video went
    /// back to the session, and why.
    pub(super) fn update(
        &mut self,
        link: &DeviceLink,
        playing: &[i32],
        calls: &[i32],
        frames: &[i32],
        reasons: &[(i32, ErrorCode)],
        outputs: &mut VecDeque<Output>,
    ) {
        for (id, tab) in self.tabs.iter_mut() {
            let wanted = if calls.contains(id) {
                (IconState::Call, None)
            } else if playing.contains(id) {
                (IconState::Video, None)
            } else if !tab.covered && !tab.redirected_calls && !frames.contains(id) {
                (IconState::Grey, tab.calls.then_some(ErrorCode::PERMISSION_MISSING))
            } else if !link.is_ready() {
                (IconState::Off, Some(link.status()))
            } else {
                (IconState::Ready, reasons.iter().find(|(tab, _)| tab == id).map(|(_, code)| *code))
            };
            if tab.shown.as_ref() != Some(&wanted) {
                outputs.push_back(Output::SetIcon { tab: *id, state: wanted.0, why: wanted.1 });
                tab.shown = Some(wanted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_before_video_and_only_in_its_tab() {
        let (mut tabs, mut outputs) = (Tabs::default(), VecDeque::new());
        for tab in 1..=3 {
            tabs.set_page(tab, "https://a.test/", &Config::default());
        }
        let link = DeviceLink::new("0.0.0");
        tabs.update(&link, &[1, 3], &[1, 2], &[], &[], &mut outputs);
        let shown = |outputs: &mut VecDeque<Output>| -> Vec<(i32, &'static str)> {
            let icon = |output| {
                let Output::SetIcon { tab, state, .. } = output else { panic!("{output:?}") };
                (tab, state.name())
            };
            outputs.drain(..).map(icon).collect()
        };
        assert_eq!(shown(&mut outputs), [(1, "call"), (2, "call"), (3, "video")]);
        tabs.update(&link, &[1, 3], &[], &[], &[], &mut outputs);
        assert_eq!(shown(&mut outputs), [(1, "video"), (2, "grey")]);
    }
}
