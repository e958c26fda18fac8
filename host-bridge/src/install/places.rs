//! Where browsers look for native host manifests.
//!
//! <https://developer.chrome.com/docs/extensions/develop/concepts/native-messaging#native-messaging-host-location>; a
//! browser's folder for the user is `NativeMessagingHosts` in its user data folder, whichever that is.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use crate::install::InstallError;

/// A browser of the Chromium family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Browser {
    Chrome,
    Chromium,
    Edge,
    Brave,
}

impl Browser {
    pub const ALL: [Self; 4] = [Self::Chrome, Self::Chromium, Self::Edge, Self::Brave];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chrome => "Chrome",
            Self::Chromium => "Chromium",
            Self::Edge => "Edge",
            Self::Brave => "Brave",
        }
    }

    /// Names under which it is started.
    #[must_use]
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Chrome => &["google-chrome", "google-chrome-stable"],
            Self::Chromium => &["chromium", "chromium-browser"],
            Self::Edge => &["microsoft-edge", "microsoft-edge-stable"],
            Self::Brave => &["brave-browser", "brave"],
        }
    }

    /// Its user data folder below the user's configuration folder.
    fn user_data(self) -> &'static str {
        match self {
            Self::Chrome => "google-chrome",
            Self::Chromium => "chromium",
            Self::Edge => "microsoft-edge",
            Self::Brave => "BraveSoftware/Brave-Browser",
        }
    }

    /// Its configuration folders for the whole machine. Brave is built from Chromium's source and may look there; a
    /// file that nobody looks for does no harm.
    #[must_use]
    pub fn machine_folders(self) -> &'static [&'static str] {
        match self {
            Self::Chrome => &["/etc/opt/chrome"],
            Self::Chromium => &["/etc/chromium"],
            Self::Edge => &["/etc/opt/edge"],
            Self::Brave => &["/etc/brave", "/etc/chromium"],
        }
    }
}

/// For whom a manifest counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One user; holds that user's configuration folder.
    User(PathBuf),
    /// Everybody on the machine whose file system begins at this folder (`/`, or a package's staging folder).
    Machine(PathBuf),
    /// Whoever uses this user data folder, with any browser.
    Profile(PathBuf),
}

impl Scope {
    /// The scope of the user who runs this process.
    ///
    /// # Errors
    /// If the environment doesn't say where the configuration is.
    pub fn user() -> Result<Self, InstallError> {
        config_folder(|name| env::var_os(name)).map(Self::User).ok_or(InstallError::NoHome)
    }
}

/// The folders that hold these browsers' manifests, each once.
#[must_use]
pub fn folders(scope: &Scope, browsers: &[Browser]) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut add = |folder: PathBuf| {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    };
    match scope {
        Scope::Profile(dir) => add(dir.join("NativeMessagingHosts")),
        Scope::User(config) => {
            for browser in browsers {
                add(config.join(browser.user_data()).join("NativeMessagingHosts"));
            }
        }
        Scope::Machine(root) => {
            for folder in browsers.iter().flat_map(|browser| browser.machine_folders()) {
                add(below(root, folder).join("native-messaging-hosts"));
            }
        }
    }
    folders
}

/// An absolute path as it is below another root.
pub(crate) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The folder that browsers keep their user data in, by their own rule.
fn config_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let given = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    given("CHROME_CONFIG_HOME")
        .or_else(|| given("XDG_CONFIG_HOME"))
        .or_else(|| given("HOME").map(|home| home.join(".config")))
        .or_else(|| given("LOCALAPPDATA"))
}

#[cfg(test)]
mod tests {
    use expect_test::Expect;
    use expect_test::expect;

    use super::*;

    fn check(scope: &Scope, expected: Expect) {
        let lines: Vec<_> = folders(scope, &Browser::ALL)
            .into_iter()
            .map(|folder| folder.display().to_string().replace('\\', "/") + "\n")
            .collect();
        expected.assert_eq(&lines.concat());
    }

    #[test]
    fn folders_of_a_user() {
        check(
            &Scope::User("/home/u/.config".into()),
            expect![[r#"
                /home/u/.config/google-chrome/NativeMessagingHosts
                /home/u/.config/chromium/NativeMessagingHosts
                /home/u/.config/microsoft-edge/NativeMessagingHosts
                /home/u/.config/BraveSoftware/Brave-Browser/NativeMessagingHosts
            "#]],
        );
    }

    #[test]
    fn folders_of_a_machine() {
        check(
            &Scope::Machine("/".into()),
            expect![[r#"
                /etc/opt/chrome/native-messaging-hosts
                /etc/chromium/native-messaging-hosts
                /etc/opt/edge/native-messaging-hosts
                /etc/brave/native-messaging-hosts
            "#]],
        );
        check(
            &Scope::Machine("/build/root".into()),
            expect![[r#"
                /build/root/etc/opt/chrome/native-messaging-hosts
                /build/root/etc/chromium/native-messaging-hosts
                /build/root/etc/opt/edge/native-messaging-hosts
                /build/root/etc/brave/native-messaging-hosts
            "#]],
        );
    }

    #[test]
    fn folder_of_a_profile() {
        check(
            &Scope::Profile("/tmp/p".into()),
            expect![[r#"
                /tmp/p/NativeMessagingHosts
            "#]],
        );
    }

    #[test]
    fn the_configuration_folder_follows_the_browsers_rule() {
        let check = |set: &[(&str, &str)], expected: Option<&str>| {
            let variable =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            assert_eq!(config_folder(variable), expected.map(PathBuf::from));
        };
        check(&[("HOME", "/h")], Some("/h/.config"));
        check(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")], Some("/c"));
        check(&[("XDG_CONFIG_HOME", "/c"), ("CHROME_CONFIG_HOME", "/d")], Some("/d"));
        check(&[("LOCALAPPDATA", "/l")], Some("/l"));
        check(&[("HOME", ""), ("XDG_CONFIG_HOME", "")], None);
    }
}
