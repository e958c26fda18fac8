//! Which window is the remote desktop's.

use std::fmt;
use std::str::FromStr;

/// Longest name that is compared.
const MAX_NAME: usize = 256;

/// How the window of a remote-desktop client is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteWindow {
    /// By its number.
    Id(u32),
    /// By one of the two names of its `WM_CLASS`; on Windows by its class.
    Class(String),
    /// By a part of its title.
    Title(String),
    /// By the process that it belongs to.
    Process(u32),
}

/// A window as [`RemoteWindow`] knows it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'c> {
    pub id: u32,
    pub classes: &'c [&'c str],
    pub title: &'c str,
    /// The process, if it is known.
    pub process: Option<u32>,
}

/// The text names no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a window's number (0x…), nor class:NAME, nor title:TEXT, nor pid:NUMBER")]
pub struct NotAWindow;

impl RemoteWindow {
    /// Whether this window is meant.
    #[must_use]
    pub fn matches(&self, window: &Candidate<'_>) -> bool {
        match self {
            Self::Id(id) => *id == window.id,
            Self::Class(name) => window.classes.contains(&name.as_str()),
            Self::Title(part) => window.title.contains(part.as_str()),
            Self::Process(process) => window.process == Some(*process),
        }
    }
}

/// Windows that fit so alike, and have the same title, can't be told apart.
const SAME: u32 = 1;

/// Which of windows with these titles and misfits is meant by the beginning of its title: the best of those that have it, whatever the
/// others are like; of all if none has it. None if it fits worse than `worst`, or if several are as good.
pub(super) fn the_one<W: Copy>(title: &str, worst: u32, mut windows: Vec<(String, u32, W)>) -> Option<W> {
    let is_titled = |known: &str| !title.is_empty() && known.starts_with(title);
    if windows.iter().any(|(known, ..)| is_titled(known)) {
        windows.retain(|(known, ..)| is_titled(known));
    }
    let (_, least, best) = windows.iter().min_by_key(|(_, misfit, _)| *misfit)?;
    let alike = windows.iter().filter(|(_, misfit, _)| *misfit <= least.saturating_add(SAME)).count();
    (*least <= worst && alike == 1).then_some(*best)
}

impl FromStr for RemoteWindow {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let name = |name: &str| (!name.is_empty() && name.len() <= MAX_NAME).then(|| name.to_owned());
        if let Some(class) = text.strip_prefix("class:") {
            return name(class).map(Self::Class).ok_or(NotAWindow);
        }
        if let Some(title) = text.strip_prefix("title:") {
            return name(title).map(Self::Title).ok_or(NotAWindow);
        }
        if let Some(process) = text.strip_prefix("pid:") {
            return process.parse().ok().filter(|process| *process != 0).map(Self::Process).ok_or(NotAWindow);
        }
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        parsed.ok().filter(|id| *id != 0).map(Self::Id).ok_or(NotAWindow)
    }
}

impl fmt::Display for RemoteWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id:#x}"),
            Self::Class(name) => write!(f, "class:{name}"),
            Self::Title(text) => write!(f, "title:{text}"),
            Self::Process(process) => write!(f, "pid:{process}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_named_by_number_class_or_title() {
        let check = |text: &str, expected: Option<RemoteWindow>| {
            assert_eq!(text.parse().ok(), expected, "{text}");
            if let Some(expected) = expected {
                assert_eq!(expected.to_string().parse(), Ok(expected));
            }
        };
        check("0x1a", Some(RemoteWindow::Id(26)));
        check("26", Some(RemoteWindow::Id(26)));
        check("class:xfreerdp", Some(RemoteWindow::Class("xfreerdp".to_owned())));
        check("title:my office", Some(RemoteWindow::Title("my office".to_owned())));
        check("pid:4711", Some(RemoteWindow::Process(4711)));
        for wrong in ["", "0", "0x", "class:", "title:", "xfreerdp", "0x1ffffffff", "pid:", "pid:0", "pid:x"]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn of_windows_that_fit_alike_the_title_tells_which_is_meant() {
        let window = |window: u32, title: &str, misfit: u32| (title.to_owned(), misfit, window);
        let check =
            |title: &str, windows, expected| assert_eq!(the_one(title, 64, windows), expected, "{title}");
        let both = vec![window(1, "Film - Chromium on office", 3), window(2, "News - Chromium on office", 3)];
        check("Film", both.clone(), Some(1));
        check("News", both.clone(), Some(2));
        check("", both.clone(), None);
        check("Gone", both, None);
        check("Film", vec![window(1, "Film - Chromium", 3), window(2, "Film - Chromium", 9)], Some(1));
        check("Gone", vec![window(1, "Film - Chromium", 60)], Some(1));
        check("Film", vec![window(1, "Film", 60), window(2, "News", 0)], Some(1));
        check("Film", vec![window(1, "Film", 300), window(2, "News", 0)], None);
        check("Gone", vec![window(1, "Film", 65)], None);
        check("Film", vec![], None);
    }

    #[test]
    fn a_class_is_meant_whole_and_a_title_in_part() {
        let classes = ["xfreerdp", "FreeRDP"];
        let check = |which: &str, expected| {
            let which: RemoteWindow = which.parse().unwrap();
            let title = "FreeRDP: office.example";
            let window = Candidate { id: 26, classes: &classes, title, process: Some(5) };
            assert_eq!(which.matches(&window), expected, "{which}");
        };
        check("0x1a", true);
        check("27", false);
        check("class:FreeRDP", true);
        check("class:freerdp", false);
        check("title:office", true);
        check("title:home", false);
        check("pid:5", true);
        check("pid:26", false);
    }
}
