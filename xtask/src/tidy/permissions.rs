//! What the stores are told of the extension's permissions: every one has its reason, and every one is used.

use std::collections::BTreeSet;

use serde_json::Value;

/// Where the reasons are.
pub(super) const PAGE: &str = "manifest/store/permissions.md";

/// Permissions of the extension's interfaces, and what of the scripts needs them.
const USES: [(&str, &str); 6] = [
    ("declarativeNetRequestWithHostAccess", "chrome.declarativeNetRequest."),
    ("nativeMessaging", "chrome.runtime.connectNative("),
    ("scripting", "chrome.scripting."),
    ("storage", "chrome.storage."),
    ("tabs", "chrome.tabs."),
    ("webNavigation", "chrome.webNavigation."),
];

/// What is missing or unused, a sentence each.
pub(super) fn check(manifest: &Value, page: &str, scripts: &str) -> Vec<String> {
    let list = |key: &str| manifest.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let permissions: Vec<Value> = list("permissions");
    let mut asked: BTreeSet<&str> = permissions.iter().filter_map(Value::as_str).collect();
    let mut complaints = Vec::new();
    for permission in &asked {
        match USES.iter().find(|(name, _)| name == permission) {
            Some((_, call)) if scripts.contains(call) => {}
            _ => complaints.push(format!("the manifest asks for {permission}, which no script uses")),
        }
    }
    asked.extend(
        ["host_permissions", "optional_host_permissions"].into_iter().filter(|key| !list(key).is_empty()),
    );
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let explained: BTreeSet<&str> =
        rows.filter(|(_, reason)| reason.len() > 20).map(|(name, _)| name).collect();
    complaints.extend(asked.difference(&explained).map(|name| format!("{PAGE} has no reason for {name}")));
    complaints.extend(
        explained.difference(&asked).map(|name| format!("{PAGE} explains {name}, which isn't asked for")),
    );
    complaints
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_permission_without_reason_or_use_and_a_reason_without_permission_are_told() {
        let manifest = json!({ "permissions": ["tabs", "storage"], "host_permissions": ["https://a.org/*"] });
        let page = "| `tabs` | Shows the state of each tab. |\n| `host_permissions` | The sites that are listed. |\n";
        let with = |more: &str| {
            check(&manifest, &format!("{page}{more}"), "chrome.tabs.query(); chrome.storage.local")
        };
        assert_eq!(with(""), ["manifest/store/permissions.md has no reason for storage"]);
        assert_eq!(with("| `storage` | Keeps the person's settings. |\n"), Vec::<String>::new());
        let more =
            "| `storage` | Keeps the person's settings. |\n| `cookies` | Nothing that anybody needs. |\n";
        assert_eq!(with(more).len(), 1);
        assert!(
            check(&manifest, page, "chrome.tabs.query()").iter().any(|text| text.contains("no script uses"))
        );
    }
}
