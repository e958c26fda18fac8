//! The settings of the device, in files of the client: what this device does for sessions, whatever they want.

use crate::{Kind, Setting, list, switch};

/// The table.
pub const SETTINGS: [Setting; 10] = [
    switch(
        "play",
        true,
        "Play for sessions",
        "Whether this device plays media of remote sessions at all. False: everything plays in the session.",
    ),
    list(
        "sites",
        Kind::Origins,
        true,
        "Sites that may play",
        "Only media of these sites play on this device, whatever the session redirects. Without it those of every site that the session redirects. As a policy: in place of what the person has set.",
    ),
    list(
        "blocked",
        Kind::Origins,
        true,
        "Sites that may not play",
        "Media of these sites always play in the session. Policy's and the person's together.",
    ),
    list(
        "fetch",
        Kind::Word(&["session", "device"]),
        true,
        "Who fetches files",
        "`device` lets this device fetch files from the public internet where the policy of the session's browser wants it, too; `session` never does.",
    ),
    list(
        "fetchNetworks",
        Kind::Texts,
        true,
        "Networks to fetch from",
        "Networks that the device may fetch from although they are not public, as 10.1.0.0/16.",
    ),
    list(
        "fetchPorts",
        Kind::Ports,
        true,
        "Ports to fetch from",
        "Ports that the device may fetch from besides 80 and 443.",
    ),
    list(
        "capture",
        Kind::Word(&["ask", "allow", "deny"]),
        true,
        "Microphone and camera",
        "What happens when a call's site wants the microphone or camera of this device: `ask` the person in front of it, `allow`, or `deny`.",
    ),
    list(
        "screens",
        Kind::Word(&["ask", "deny"]),
        true,
        "Screens of this device",
        "What happens when a call's page is to show a screen of this device instead of one of the remote session: `ask` the person in front of it, each time, or `deny`; the page then shows one of the session's.",
    ),
    list(
        "captureSites",
        Kind::Origins,
        true,
        "Sites that may have microphone and camera",
        "Sites whose calls get microphone and camera of this device without a question. Policy's and the person's together.",
    ),
    list(
        "captureBlocked",
        Kind::Origins,
        true,
        "Sites that may not have microphone and camera",
        "Sites whose calls never get microphone, camera or a screen of this device. Policy's and the person's together.",
    ),
];
