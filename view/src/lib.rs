//! What the extension's window shows of a tab: made by `ext-core`, drawn by `popup`.

use serde::{Deserialize, Serialize};

/// Everything that the window shows; texts are the window's, apart from sentences that belong to a code.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// The icon's state.
    pub state: String,
    /// The page's host; empty for pages that can't be redirected at all.
    pub host: String,
    pub features: Vec<Feature>,
    pub site: Switch,
    /// Settings that the person switches here, in the window's order.
    pub switches: Vec<Named>,
    /// Whether what helps to find faults is shown.
    pub advanced: bool,
    /// Whether a log bundle is being collected.
    pub collecting: bool,
    pub versions: Vec<Version>,
    pub numbers: Numbers,
    /// The session's way to the device: `unix`, `xrdp`…; empty while no bridge has told.
    pub channel: String,
    pub settings: Vec<Shown>,
    pub problems: Vec<Wrong>,
}

/// Something that the product can do for a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// `video`, `calls`.
    pub name: String,
    /// `device`, `ready`, `session`, `none` (nothing of the kind is known on the page).
    pub state: String,
    /// The code of why it is not on the device.
    pub why: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    pub on: bool,
    /// Policy has decided it.
    pub locked: bool,
}

/// A setting that is on or off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub key: String,
    pub switch: Switch,
}

/// A part of the product; no version while it can't be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// `extension`, `bridge`, `client`, `engine`.
    pub part: String,
    pub version: String,
    /// It is older than the newest of the others.
    pub behind: bool,
}

/// As they are now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    pub players: usize,
    pub shown: u64,
    pub dropped: u64,
    /// Page against device lately, in microseconds.
    pub drift_us: Option<[u64; 2]>,
    pub round_trip_us: Option<u64>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

/// A setting in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub key: String,
    pub value: String,
    /// `default`, `person`, `policy`.
    pub source: String,
}

/// A setting that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    pub key: String,
    pub text: String,
    pub code: String,
}

/// Marks what is older than the newest. All parts of a release have one version; the engine has its own.
pub fn mark_old(versions: &mut [Version]) {
    let number = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    let of_release = |version: &Version| version.part != "engine" && !version.version.is_empty();
    let newest =
        versions.iter().filter(|version| of_release(version)).map(|version| number(&version.version)).max();
    for version in versions.iter_mut() {
        version.behind = of_release(version) && Some(number(&version.version)) < newest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_newest_has_to_be_updated() {
        let version =
            |part: &str, version: &str| Version { part: part.into(), version: version.into(), behind: false };
        let mut versions = [
            version("extension", "0.10.0"),
            version("bridge", "0.9.2"),
            version("client", ""),
            version("engine", "156.0"),
        ];
        mark_old(&mut versions);
        assert_eq!(versions.map(|version| version.behind), [false, true, false, false]);
    }
}
