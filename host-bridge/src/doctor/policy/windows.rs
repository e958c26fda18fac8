//! Policies in the registry: lists are keys with a text per entry, the settings of extensions one text of JSON.

use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;

use super::Policy;
use super::ThirdParty;
use crate::doctor::Questions;
use crate::install::places::Browser;

/// A browser's policies, each with where it is; none where nothing is set.
pub(super) fn policies(questions: &Questions, browser: Browser) -> Vec<(String, Policy)> {
    let key = browser.policy_key();
    let of = |root: Root| {
        let list = |name: &str| registry::texts(root, &format!(r"{key}\{name}")).unwrap_or_default();
        let extensions = registry::text(root, key, "ExtensionSettings").ok().flatten();
        let managed = questions.extensions.iter().filter(|id| {
            let settings = format!(r"{key}\3rdparty\extensions\{id}\policy");
            registry::exists(root, &settings)
        });
        let policy = Policy {
            allowlist: list("NativeMessagingAllowlist"),
            blocklist: list("NativeMessagingBlocklist"),
            user_level_hosts: registry::number(root, key, "NativeMessagingUserLevelHosts")
                .ok()
                .flatten()
                .map(|number| number != 0),
            extensions_allowed: list("ExtensionInstallAllowlist"),
            extensions_blocked: list("ExtensionInstallBlocklist"),
            extensions: extensions.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            third_party: ThirdParty {
                extensions: managed.map(|id| (id.to_string(), serde_json::Value::Null)).collect(),
            },
        };
        (format!(r"{root}\{key}"), policy)
    };
    [Root::Machine, Root::User].into_iter().map(of).collect()
}
