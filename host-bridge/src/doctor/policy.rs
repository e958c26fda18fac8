//! Does an administrator's policy keep a browser from starting the bridge?
//!
//! <https://chromeenterprise.google/policies/#NativeMessaging>. Browsers read all files of the folder
//! `policies/managed`; where they contradict each other, the answer here names each that forbids.

use std::fs;
use std::path::Path;

use offstage_protocol::error::ErrorCode;
use serde::Deserialize;

use crate::doctor::Answer;
use crate::doctor::Questions;
use crate::install::manifest::FILE_NAME;
use crate::install::manifest::HOST_NAME;
use crate::install::places::Scope;
use crate::install::places::below;
use crate::install::places::folders;

/// Larger files are not policies that anybody wrote.
const MAX_FILE: u64 = 4 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Policy {
    #[serde(rename = "NativeMessagingAllowlist")]
    allowlist: Vec<String>,
    #[serde(rename = "NativeMessagingBlocklist")]
    blocklist: Vec<String>,
    #[serde(rename = "NativeMessagingUserLevelHosts")]
    user_level_hosts: Option<bool>,
}

pub(crate) fn examine(questions: &Questions) -> Vec<Answer> {
    let mut answers = Vec::new();
    for browser in &questions.browsers {
        let machine = folders(&Scope::Machine(questions.root.clone()), &[*browser]);
        let for_machine = machine.iter().any(|folder| folder.join(FILE_NAME).is_file());
        for folder in browser.machine_folders() {
            let managed = below(&questions.root, folder).join("policies/managed");
            let Ok(entries) = fs::read_dir(&managed) else { continue };
            let mut files: Vec<_> =
                entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
            files.sort();
            for file in files {
                if let Some(what) = read(&file).and_then(|policy| objection(&policy, for_machine)) {
                    let detail = format!("{}: {what}", file.display());
                    answers.push(Answer::fail(browser.name(), ErrorCode::BRIDGE_FORBIDDEN, detail));
                }
            }
        }
    }
    answers
}

/// The policy in a file; browsers ignore what they can't read, too.
fn read(file: &Path) -> Option<Policy> {
    let small = fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_FILE);
    let text = small.then(|| fs::read(file).ok()).flatten()?;
    serde_json::from_slice(&text).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

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
