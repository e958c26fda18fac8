//! The one table of all settings. Schema, templates and docs of policies are checked against it by `cargo xtask tidy`.

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Policies nest at the dot, the person's storage doesn't.
    pub key: &'static str,
    pub kind: Kind,
    /// Whether the person may set it; policy may set every one.
    pub is_persons: bool,
    pub title: &'static str,
    pub description: &'static str,
}

/// What a setting holds, with its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Switch(bool),
    /// The options and the default one.
    Choice(&'static [&'static str], &'static str),
    /// Patterns of pages.
    Sites(Default),
    /// Keys of settings.
    Keys,
}

/// What a list of patterns holds as long as nobody says anything, and how the sources come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// The shipped list. The person's entries are added to it; policy's stand for themselves.
    Shipped,
    /// Nothing; the entries of all sources count.
    Joined,
    /// Nothing; patterns of whole origins only, for nothing else of a document is the browser's word.
    Origins,
}

pub(crate) const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

/// All settings, in the order in which they are shown.
pub static TABLE: [Setting; 14] = [
    Setting {
        key: "enabled",
        kind: Kind::Switch(true),
        is_persons: true,
        title: "Redirect media",
        description: "False turns redirection off: everything plays in the session.",
    },
    Setting {
        key: "video.allSites",
        kind: Kind::Switch(false),
        is_persons: true,
        title: "Redirect video on all websites",
        description: "Videos of all websites are redirected, except of those that are blocked. The extension needs the browser's \
            permission for all websites.",
    },
    Setting {
        key: "video.sites",
        kind: Kind::Sites(Default::Shipped),
        is_persons: true,
        title: "Sites whose video is redirected",
        description: "Patterns of pages, in place of the built-in list: example.com (with everything below it), .example.com (itself \
            only), https://example.com:8443/path (everything that begins with it), https://*.example.com/* (a match pattern).",
    },
    Setting {
        key: "video.blocked",
        kind: Kind::Sites(Default::Joined),
        is_persons: true,
        title: "Sites whose video is never redirected",
        description: "Patterns of pages whose video plays in the session, whatever else covers them. What the person blocks is blocked \
            besides, unless this setting is locked.",
    },
    Setting {
        key: "calls.allSites",
        kind: Kind::Switch(false),
        is_persons: true,
        title: "Redirect calls on all websites",
        description: "Calls of all websites are redirected, except of those that are blocked. Takes hold once the extension redirects calls.",
    },
    Setting {
        key: "calls.sites",
        kind: Kind::Sites(Default::Shipped),
        is_persons: true,
        title: "Sites whose calls are redirected",
        description: "Patterns of pages, in place of the built-in list. Takes hold once the extension redirects calls.",
    },
    Setting {
        key: "calls.blocked",
        kind: Kind::Sites(Default::Joined),
        is_persons: true,
        title: "Sites whose calls are never redirected",
        description: "Patterns of pages whose calls stay in the session, whatever else covers them.",
    },
    Setting {
        key: "fetch.device",
        kind: Kind::Sites(Default::Origins),
        is_persons: false,
        title: "Sites whose files the device fetches",
        description: "Patterns of whole origins (such as https://*.example.org/*) of the pages whose media files the device may fetch \
            by itself, instead of the session. The device has to allow it, too.",
    },
    Setting {
        key: "overlay",
        kind: Kind::Switch(false),
        is_persons: true,
        title: "Status overlay",
        description: "Shows on each redirected video that it is redirected.",
    },
    Setting {
        key: "outline",
        kind: Kind::Switch(false),
        is_persons: true,
        title: "Outline",
        description: "Draws an outline around each redirected video.",
    },
    Setting {
        key: "log.level",
        kind: Kind::Choice(&LEVELS, "info"),
        is_persons: true,
        title: "Log level",
        description: "The least that is logged: error, warn, info or debug.",
    },
    Setting {
        key: "compatibility",
        kind: Kind::Switch(false),
        is_persons: false,
        title: "Page contract for call redirection",
        description: "Publishes the known properties of call redirection on navigator.mediaDevices, so that contact-centre pages find \
            them. Takes hold once the extension redirects calls.",
    },
    Setting {
        key: "hideAdvanced",
        kind: Kind::Switch(false),
        is_persons: false,
        title: "Hide advanced settings",
        description: "The extension's window shows state and switches, and no advanced settings.",
    },
    Setting {
        key: "locked",
        kind: Kind::Keys,
        is_persons: false,
        title: "Locked settings",
        description: "Names of settings that the person can't change, such as video.allSites. What policy sets is locked anyway.",
    },
];

/// The setting of a key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|setting| setting.key == key)
}
