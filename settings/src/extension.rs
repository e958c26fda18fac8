//! The settings of the extension.

use crate::{Kind, Setting, list, switch};

/// The table.
pub const SETTINGS: [Setting; 15] = [
    switch(
        "enabled",
        true,
        "Redirect media",
        "False turns redirection off: everything plays in the session.",
    ),
    switch(
        "videoAllSites",
        false,
        "Video of all sites",
        "Redirect the video of all websites, not only of the listed ones.",
    ),
    list(
        "videoSites",
        Kind::Sites,
        true,
        "Sites with redirected video",
        "Sites whose video is redirected. As a policy: in place of the built-in list and of what the person has added; as the person's: besides the built-in list.",
    ),
    list(
        "videoBlocked",
        Kind::Sites,
        true,
        "Sites without redirected video",
        "Sites whose video always plays in the session, whatever else covers them.",
    ),
    switch(
        "callsAllSites",
        false,
        "Calls of all websites",
        "Redirect the calls of all websites: connection, microphone and camera are the device's.",
    ),
    list(
        "callsSites",
        Kind::Sites,
        true,
        "Sites with redirected calls",
        "Sites whose calls are redirected. As a policy: in place of the built-in list and of what the person has added; as the person's: besides the built-in list.",
    ),
    list(
        "callsBlocked",
        Kind::Sites,
        true,
        "Sites without redirected calls",
        "Sites whose calls always stay in the session, whatever else covers them.",
    ),
    switch(
        "callsShareDevice",
        false,
        "Share screens of the device",
        "A page of redirected calls that is to show a screen gets one of the person's device, who chooses it there, instead of one of the remote session.",
    ),
    Setting {
        person: false,
        ..switch(
            "callsContract",
            false,
            "Tell pages of redirected calls",
            "Give pages the properties of navigator.mediaDevices that Microsoft has published for call redirection (isCallRedirectionEnabled and others), which some calling applications look for.",
        )
    },
    switch(
        "overlay",
        false,
        "Status over the picture",
        "Write over each redirected video that it plays on the device, and in which size it comes.",
    ),
    switch("outline", false, "Outline", "Draw a green line around each redirected video."),
    Setting {
        person: false,
        ..switch(
            "hideAdvanced",
            false,
            "Hide advanced settings",
            "Leave out of the extension's window what helps to find faults: statistics, status over the picture, outline, settings in force.",
        )
    },
    list(
        "locked",
        Kind::Keys,
        false,
        "Locked settings",
        "Names of settings that the person can't change, although no policy gives them a value.",
    ),
    list(
        "fetchDevice",
        Kind::Origins,
        false,
        "Sites whose files the device fetches",
        "Files that a page's element plays by itself are fetched by the session, unless the page's origin is listed here and the device allows it, too.",
    ),
    list(
        "logLevel",
        Kind::Word(&["info", "error", "warn", "debug", "trace"]),
        false,
        "Log level",
        "How much the session's part logs into its own file.",
    ),
];
