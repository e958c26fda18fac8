//! Where browsers look in the registry of Windows.
//!
//! <https://developer.chrome.com/docs/extensions/develop/concepts/native-messaging#native-messaging-host-location>: the default value of
//! the key says where the manifest is. Browsers look below the user's keys first, then below the machine's.

use super::manifest::HOST_NAME;
use super::places::Browser;

impl Browser {
    /// Its keys below `Software`, of which it looks into each that its version knows. Brave is built from Chromium's source and reads
    /// Chrome's keys on Windows; a key that nobody looks for does no harm.
    #[must_use]
    pub fn vendor_keys(self) -> &'static [&'static str] {
        match self {
            Self::Chrome => &[r"Google\Chrome"],
            Self::Chromium => &["Chromium"],
            Self::Edge => &[r"Microsoft\Edge"],
            Self::Brave => &[r"BraveSoftware\Brave-Browser", r"Google\Chrome"],
        }
    }

    /// Its key below `Software\Policies`.
    #[must_use]
    pub fn policy_key(self) -> &'static str {
        match self {
            Self::Chrome => r"Software\Policies\Google\Chrome",
            Self::Chromium => r"Software\Policies\Chromium",
            Self::Edge => r"Software\Policies\Microsoft\Edge",
            Self::Brave => r"Software\Policies\BraveSoftware\Brave",
        }
    }

    /// The name under which Windows knows where its program is.
    #[must_use]
    pub fn program_file(self) -> &'static str {
        match self {
            Self::Chrome => "chrome.exe",
            Self::Chromium => "chromium.exe",
            Self::Edge => "msedge.exe",
            Self::Brave => "brave.exe",
        }
    }
}

/// The keys that tell these browsers of the bridge, each once.
#[must_use]
pub fn keys(browsers: &[Browser]) -> Vec<String> {
    let mut keys = Vec::new();
    for vendor in browsers.iter().flat_map(|browser| browser.vendor_keys()) {
        let key = format!(r"Software\{vendor}\NativeMessagingHosts\{HOST_NAME}");
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn keys_of_all_browsers() {
        expect![[r#"
            Software\Google\Chrome\NativeMessagingHosts\org.offstage.bridge
            Software\Chromium\NativeMessagingHosts\org.offstage.bridge
            Software\Microsoft\Edge\NativeMessagingHosts\org.offstage.bridge
            Software\BraveSoftware\Brave-Browser\NativeMessagingHosts\org.offstage.bridge"#]]
        .assert_eq(&keys(&Browser::ALL).join("\n"));
    }
}
