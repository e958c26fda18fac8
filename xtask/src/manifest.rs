//! From the one manifest template to a manifest per browser.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use offstage_ext_core::sites::SiteList;
use offstage_settings::pattern::Pattern;
use serde_json::{Map, Value, json};

use crate::workspace::Workspace;

/// The browsers that the extension is made for; each is a prefix in the template.
pub(crate) const BROWSERS: [&str; 3] = ["chrome", "edge", "chromium"];

/// The manifest for `browser` as it is written into the package.
pub(crate) fn make(workspace: &Workspace, browser: &str) -> Result<String> {
    let template: Value =
        json5::from_str(&workspace.read("manifest/extension.json5")?).context("manifest/extension.json5")?;
    let Value::Object(mut manifest) = resolve(template, browser)? else {
        bail!("the template is not an object")
    };
    if manifest.get("host_permissions") == Some(&json!(["sites"])) {
        let list: SiteList =
            serde_json::from_str(&workspace.read("www/sites/sites.json")?).context("www/sites/sites.json")?;
        manifest.insert("host_permissions".to_owned(), json!(hosts(&list)?));
    }
    manifest.insert("version".to_owned(), Value::String(env!("CARGO_PKG_VERSION").to_owned()));
    Ok(serde_json::to_string_pretty(&Value::Object(manifest))? + "\n")
}

/// The whole origins of the sites whose video or calls are redirected.
fn hosts(list: &SiteList) -> Result<BTreeSet<String>> {
    let origins = |text: &String| {
        let pattern = Pattern::parse(text).with_context(|| format!("{text} is no match pattern"))?;
        let origins = pattern.common_origins(&pattern).context("a pattern has origins")?;
        Ok(origins.text().to_owned())
    };
    list.patterns(false).iter().chain(&list.patterns(true)).map(origins).collect()
}

/// Takes `__browser__key` in place of `key`, everywhere; other browsers' keys go, and null deletes.
fn resolve(value: Value, browser: &str) -> Result<Value> {
    match value {
        Value::Object(entries) => {
            let (prefixed, plain): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|(key, _)| key.starts_with("__"));
            let mut resolved = Map::new();
            for (key, value) in plain {
                resolved.insert(key, resolve(value, browser)?);
            }
            for (key, value) in prefixed {
                let (prefix, name) = key
                    .strip_prefix("__")
                    .and_then(|rest| rest.split_once("__"))
                    .with_context(|| format!("{key}: a prefix is written __browser__key"))?;
                if !BROWSERS.contains(&prefix) {
                    bail!("{key}: {prefix} is none of {BROWSERS:?}");
                }
                if prefix == browser {
                    resolved.insert(name.to_owned(), resolve(value, browser)?);
                }
            }
            resolved.retain(|_, value| !value.is_null());
            Ok(Value::Object(resolved))
        }
        Value::Array(entries) => entries.into_iter().map(|entry| resolve(entry, browser)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_ask_for_the_hosts_of_the_list_without_paths_and_once() {
        let site = json!({ "id": "a", "name": "A", "kind": "video", "pages": ["https://a.org/x/*", "https://a.org/y"], "frames": ["https://*.b.org/*"] });
        let calls = json!({ "id": "c", "name": "C", "kind": "calls", "pages": ["https://c.org/*"] });
        let list: SiteList = serde_json::from_value(json!({ "sites": [site, calls] })).unwrap();
        assert_eq!(
            hosts(&list).unwrap().into_iter().collect::<Vec<_>>(),
            ["https://*.b.org/*", "https://a.org/*", "https://c.org/*"]
        );
    }

    #[test]
    fn a_prefixed_key_wins_in_its_browser_and_null_deletes() {
        let template = json!({
            "a": 1, "__edge__a": 2, "b": { "c": 3, "__chrome__c": null }, "__chromium__d": [{ "__chromium__e": 4, "e": 5 }],
        });
        assert_eq!(resolve(template.clone(), "chrome").unwrap(), json!({ "a": 1, "b": {} }));
        assert_eq!(resolve(template.clone(), "edge").unwrap(), json!({ "a": 2, "b": { "c": 3 } }));
        let chromium = json!({ "a": 1, "b": { "c": 3 }, "d": [{ "e": 4 }] });
        assert_eq!(resolve(template, "chromium").unwrap(), chromium);
    }

    #[test]
    fn a_prefix_that_names_no_browser_is_an_error() {
        assert!(resolve(json!({ "__safari__a": 1 }), "chrome").is_err());
        assert!(resolve(json!({ "__a": 1 }), "chrome").is_err());
    }
}
