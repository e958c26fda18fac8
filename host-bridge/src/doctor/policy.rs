//! Does an administrator's policy keep a browser from starting the bridge?
//!
//! <https://chromeenterprise.google/policies/#NativeMessaging>. Browsers read all files of the folder
//! `policies/managed`, on Windows keys of the registry; where they contradict each other, the answer here names each that forbids.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::collections::BTreeMap;

use offstage_protocol::error::ErrorCode;
use serde::Deserialize;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;
use crate::doctor::Answer;
use crate::doctor::Questions;
use crate::install::manifest::HOST_NAME;
use crate::install::manifest_files;
use crate::install::places::Scope;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Policy {
    #[serde(rename = "NativeMessagingAllowlist")]
    allowlist: Vec<String>,
    #[serde(rename = "NativeMessagingBlocklist")]
    blocklist: Vec<String>,
    #[serde(rename = "NativeMessagingUserLevelHosts")]
    user_level_hosts: Option<bool>,
    #[serde(rename = "ExtensionInstallAllowlist")]
    extensions_allowed: Vec<String>,
    #[serde(rename = "ExtensionInstallBlocklist")]
    extensions_blocked: Vec<String>,
    #[serde(rename = "ExtensionSettings")]
    extensions: BTreeMap<String, ExtensionSetting>,
    #[serde(rename = "3rdparty")]
    third_party: ThirdParty,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ExtensionSetting {
    installation_mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ThirdParty {
    extensions: BTreeMap<String, serde_json::Value>,
}

pub(crate) fn examine(questions: &Questions) -> Vec<Answer> {
    let mut answers = Vec::new();
    for browser in &questions.browsers {
        let machine = manifest_files(&Scope::Machine(questions.root.clone()), &[*browser]);
        let for_machine = machine.iter().any(|file| file.is_file());
        for (place, policy) in own::policies(questions, *browser) {
            if let Some(what) = objection(&policy, for_machine) {
                let detail = format!("{place}: {what}");
                answers.push(Answer::fail(browser.name(), ErrorCode::BRIDGE_FORBIDDEN, detail));
            }
            for id in &questions.extensions {
                answers.extend(of_extension(&policy, &id.to_string()).map(|said| match said {
                    Ok(what) => Answer::ok(browser.name(), format!("{place}: {what}")),
                    Err(what) => {
                        let detail = format!("{place}: {what}");
                        Answer::fail(browser.name(), ErrorCode::EXTENSION_FORBIDDEN, detail)
                    }
                }));
            }
        }
    }
    answers
}

fn objection(policy: &Policy, for_machine: bool) -> Option<String> {
    let blocked = policy.blocklist.iter().any(|name| name == "*" || name == HOST_NAME);
    if blocked && !policy.allowlist.iter().any(|name| name == HOST_NAME) {
        return Some(format!(
            "NativeMessagingBlocklist covers {HOST_NAME} and NativeMessagingAllowlist doesn't name it"
        ));
    }
    if policy.user_level_hosts == Some(false) && !for_machine {
        return Some("NativeMessagingUserLevelHosts is off: \"install --system\" is needed".to_owned());
    }
    None
}

/// What a policy has to say of the extension: what it does for it, or how it keeps it away.
///
/// <https://chromeenterprise.google/policies/#ExtensionSettings>: an extension's own entry beats the one of `*`, and both the older lists.
fn of_extension(policy: &Policy, id: &str) -> Option<Result<String, String>> {
    let mode =
        |name: &str| policy.extensions.get(name).and_then(|setting| setting.installation_mode.as_deref());
    let forbids = |mode: &str| matches!(mode, "blocked" | "removed");
    match (mode(id), mode("*")) {
        (Some(own), _) if forbids(own) => return Some(Err(format!("ExtensionSettings has {id} {own}"))),
        (Some(own), _) => {
            let managed = if policy.third_party.extensions.contains_key(id) { ", with settings" } else { "" };
            return Some(Ok(format!("the extension is {own}{managed}")));
        }
        (None, Some(all)) if forbids(all) => {
            return Some(Err(format!("ExtensionSettings has all extensions {all} and doesn't name {id}")));
        }
        (None, _) => {}
    }
    let named =
        |list: &[String], with_all: bool| list.iter().any(|name| name == id || with_all && name == "*");
    if named(&policy.extensions_blocked, true) && !named(&policy.extensions_allowed, false) {
        return Some(Err(format!(
            "ExtensionInstallBlocklist covers {id} and ExtensionInstallAllowlist doesn't name it"
        )));
    }
    policy.third_party.extensions.contains_key(id).then(|| Ok("settings for the extension".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_may_install_the_extension_or_keep_it_away() {
        let id = "a".repeat(32);
        let said = |json: serde_json::Value| {
            let policy: Policy = serde_json::from_value(json).unwrap();
            of_extension(&policy, &id).map(|said| said.is_ok())
        };
        let mode = |name: &str, mode: &str| serde_json::json!({ "ExtensionSettings": { name: { "installation_mode": mode } } });
        assert_eq!(said(serde_json::json!({ "Else": 1 })), None);
        assert_eq!(said(mode(&id, "force_installed")), Some(true));
        assert_eq!(said(mode(&id, "blocked")), Some(false));
        assert_eq!(said(mode("*", "blocked")), Some(false));
        assert_eq!(said(mode("*", "allowed")), None);
        let both = serde_json::json!({ "ExtensionSettings": {
            "*": { "installation_mode": "blocked" }, &id: { "installation_mode": "allowed" } } });
        assert_eq!(said(both), Some(true));
        assert_eq!(said(serde_json::json!({ "ExtensionInstallBlocklist": ["*"] })), Some(false));
        let listed =
            serde_json::json!({ "ExtensionInstallBlocklist": ["*"], "ExtensionInstallAllowlist": [id] });
        assert_eq!(said(listed), None);
        let managed = serde_json::json!({ "3rdparty": { "extensions": { &id: { "enabled": true } } } });
        assert_eq!(said(managed), Some(true));
    }

    fn check(json: &str, for_machine: bool, forbidden: bool) {
        let policy: Policy = serde_json::from_str(json).unwrap();
        assert_eq!(objection(&policy, for_machine).is_some(), forbidden, "{json}");
    }

    #[test]
    fn block_and_allow_lists() {
        check("{}", false, false);
        check(r#"{"NativeMessagingBlocklist": ["*"]}"#, false, true);
        check(r#"{"NativeMessagingBlocklist": ["org.offstage.bridge"]}"#, false, true);
        check(r#"{"NativeMessagingBlocklist": ["org.other"], "Else": 1}"#, false, false);
        check(
            r#"{"NativeMessagingBlocklist": ["*"], "NativeMessagingAllowlist": ["org.offstage.bridge"]}"#,
            false,
            false,
        );
    }

    #[test]
    fn manifests_of_users_may_be_switched_off() {
        check(r#"{"NativeMessagingUserLevelHosts": false}"#, false, true);
        check(r#"{"NativeMessagingUserLevelHosts": false}"#, true, false);
        check(r#"{"NativeMessagingUserLevelHosts": true}"#, false, false);
    }
}
