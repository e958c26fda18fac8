//! The extension's window: what it shows of a tab, what its switches mean.

use offstage_protocol::ErrorCode;

use super::{Core, IconState};
use offstage_settings::Value;
use offstage_settings::pattern::Pattern;
use offstage_view::{Feature, Named, Numbers, Shown, Switch, Version, View, Wrong, mark_old};

/// What the person switches in the window, apart from the site.
const SWITCHES: [&str; 5] = ["videoAllSites", "callsAllSites", "callsShareDevice", "overlay", "outline"];

impl Core {
    /// What the window shows while this tab is in front.
    #[must_use]
    pub fn view(&self, tab: i32) -> View {
        let (url, covered, [calls, redirected_calls], state) = self.tabs.about(tab);
        let host = host_of(url);
        let settings = self.config.settings();
        let locked = |key: &str| settings.effective().any(|row| row.key == key && row.locked);
        let playing =
            self.players.redirected().any(|relay| self.relays.get(&relay).is_some_and(|r| r.tab == tab));
        let back =
            self.players.reasons().find(|(relay, _)| self.relays.get(relay).is_some_and(|r| r.tab == tab));
        let frames = self.relays.values().any(|relay| relay.tab == tab && relay.bound);
        let (video, code) = if playing {
            ("device", None)
        } else if !settings.is_on("enabled") {
            ("session", Some(ErrorCode::SWITCHED_OFF))
        } else if !covered && !frames {
            if host.is_empty() { ("none", None) } else { ("session", Some(ErrorCode::NOT_COVERED)) }
        } else if !self.link.is_ready() {
            ("session", Some(self.link.status()))
        } else if let Some((_, code)) = back {
            ("session", Some(code))
        } else {
            ("ready", None)
        };
        let stays =
            self.calls.stays().find(|(relay, _)| self.relays.get(relay).is_some_and(|r| r.tab == tab));
        let stays = stays.map(|(_, code)| code);
        let calling = self.calls.active().any(|relay| self.relays.get(&relay).is_some_and(|r| r.tab == tab));
        let (call, call_code) = if calling {
            ("device", None)
        } else if redirected_calls && !self.link.is_ready() {
            ("session", Some(self.link.status()))
        } else if let Some(code) = stays {
            ("session", Some(code))
        } else if redirected_calls {
            ("ready", None)
        } else if calls {
            ("session", Some(ErrorCode::PERMISSION_MISSING))
        } else {
            ("none", None)
        };
        let feature = |name: &str, state: &str, code: Option<ErrorCode>| Feature {
            name: name.to_owned(),
            state: state.to_owned(),
            why: code.map(ErrorCode::number),
        };
        let (bridge, client, engine) = self.link.versions();
        let version = |part: &str, version: &str| Version {
            part: part.to_owned(),
            version: version.to_owned(),
            behind: false,
        };
        let mut versions = vec![
            version("extension", self.link.version()),
            version("bridge", bridge.unwrap_or_default()),
            version("client", client.unwrap_or_default()),
            version("engine", engine),
        ];
        mark_old(&mut versions);
        let switch = |key: &str| Named {
            key: key.to_owned(),
            switch: Switch { on: settings.is_on(key), locked: locked(key) },
        };
        let advanced = !settings.is_on("hideAdvanced");
        let [shown, dropped] = self.players.frames();
        View {
            state: state.name().to_owned(),
            features: vec![feature("video", video, code), feature("calls", call, call_code)],
            site: Switch {
                on: covered,
                locked: host.is_empty() || locked("videoBlocked") || locked("videoSites"),
            },
            switches: SWITCHES.into_iter().map(switch).collect(),
            advanced,
            host,
            collecting: self.collector.is_running(),
            versions,
            numbers: Numbers {
                players: self.players.redirected().count(),
                shown,
                dropped,
                drift_us: self.players.drift_us(),
                round_trip_us: self
                    .link
                    .round_trip()
                    .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
                sent_bytes: self.link.sent,
                received_bytes: self.link.received,
            },
            channel: self.link.channel().to_owned(),
            settings: settings
                .effective()
                .map(|row| Shown {
                    key: row.key.to_owned(),
                    value: text_of(&row.value),
                    source: row.source.name().to_owned(),
                })
                .collect(),
            problems: settings
                .problems()
                .iter()
                .map(|p| Wrong { key: p.key.clone(), text: p.text.clone(), code: p.code.clone() })
                .collect(),
        }
    }

    /// What the person's settings are to be, so that the site of this tab is redirected, or not.
    ///
    /// # Errors
    /// As [`offstage_settings::Settings::set`].
    pub fn switch_site(&self, tab: i32, on: bool) -> Result<Vec<(&'static str, Value)>, ErrorCode> {
        let (url, covered, ..) = self.tabs.about(tab);
        let host = host_of(url);
        if host.is_empty() {
            return Err(ErrorCode::NOT_COVERED);
        }
        let settings = self.config.settings();
        let own = format!(".{host}");
        let matches = |text: &String| Pattern::parse_site(text).is_some_and(|pattern| pattern.matches(url));
        let [mut blocked, mut sites] = ["videoBlocked", "videoSites"].map(|key| settings.of_person(key));
        if on == covered {
            return Ok(Vec::new());
        }
        if on {
            let was_blocked = blocked.iter().any(matches);
            blocked.retain(|text| !matches(text));
            if !was_blocked {
                sites.push(own);
            }
        } else {
            let added = sites.contains(&own);
            sites.retain(|text| *text != own);
            if !added {
                blocked.push(own);
            }
        }
        [("videoBlocked", blocked), ("videoSites", sites)]
            .into_iter()
            .filter(|(key, list)| settings.of_person(key) != *list)
            .map(|(key, list)| {
                Ok((key, settings.set(key, &Value::List(list.into_iter().map(Value::Text).collect()))?))
            })
            .collect()
    }
}

/// The host of a page that could be redirected.
fn host_of(url: &str) -> String {
    let Some(("http" | "https", rest)) = url.split_once("://") else { return String::new() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Nothing | Value::Object(_) => String::new(),
        Value::Switch(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(list) => list.iter().map(text_of).collect::<Vec<_>>().join(", "),
    }
}

impl super::tabs::Tabs {
    /// Address, whether its video is covered, whether it is known for calls and whether they are redirected, the icon.
    fn about(&self, tab: i32) -> (&str, bool, [bool; 2], IconState) {
        self.get(tab).map_or(("", false, [false; 2], IconState::Grey), |tab| {
            (
                &tab.url,
                tab.covered,
                [tab.calls, tab.redirected_calls],
                tab.shown.as_ref().map_or(IconState::Grey, |(state, _)| *state),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn core(managed: serde_json::Value, local: serde_json::Value) -> Core {
        let shipped = json!({ "sites": [{ "id": "a", "name": "A", "kind": "video", "pages": ["https://*.film.example/*"] },
            { "id": "b", "name": "B", "kind": "calls", "pages": ["https://phone.example/*"] }] });
        let mut core = Core::new("1.2.3", "On your device");
        core.handle_config(
            &serde_json::from_value(json!({ "shipped": shipped, "managed": managed, "local": local }))
                .unwrap(),
        );
        for (tab, url) in [
            (1, "https://www.film.example/1"),
            (2, "https://other.example:8443/"),
            (3, "chrome://newtab/"),
            (4, "https://phone.example/x"),
        ] {
            core.handle_tab(tab, url);
        }
        core
    }

    fn features(core: &Core, tab: i32) -> Vec<String> {
        let of = |feature: Feature| {
            let code = feature.why.map(|why| format!(" OFS-{why}")).unwrap_or_default();
            format!("{} {}{code}", feature.name, feature.state)
        };
        core.view(tab).features.into_iter().map(of).collect()
    }

    #[test]
    fn every_page_is_told_what_it_may_have_and_why_not() {
        let fresh = core(json!({}), json!({}));
        assert_eq!(features(&fresh, 1), ["video session OFS-1201", "calls none"]);
        assert_eq!(features(&fresh, 2), ["video session OFS-1501", "calls none"]);
        assert_eq!(features(&fresh, 3), ["video none", "calls none"]);
        assert_eq!(features(&fresh, 4), ["video session OFS-1501", "calls session OFS-1201"]);
        assert_eq!(features(&core(json!({ "enabled": false }), json!({})), 1)[0], "video session OFS-1502");
        let view = fresh.view(2);
        assert_eq!((view.host.as_str(), view.site), ("other.example", Switch { on: false, locked: false }));
        assert_eq!(fresh.view(3).site, Switch { on: false, locked: true });
        assert_eq!(
            (view.versions[0].version.as_str(), view.settings.len()),
            ("1.2.3", offstage_settings::extension::SETTINGS.len())
        );
    }

    #[test]
    fn the_switch_of_a_site_leads_there_and_back() {
        let set = |core: &Core, tab, on| {
            let stored = core.switch_site(tab, on).unwrap();
            serde_json::to_value(stored.into_iter().collect::<std::collections::BTreeMap<_, _>>()).unwrap()
        };
        let fresh = core(json!({}), json!({}));
        assert_eq!(set(&fresh, 1, false), json!({ "videoBlocked": [".www.film.example"] }));
        assert_eq!(set(&fresh, 2, true), json!({ "videoSites": [".other.example"] }));
        assert_eq!(set(&fresh, 2, false), json!({}));
        let changed = core(
            json!({}),
            json!({ "videoBlocked": ["film.example", "x.example"], "videoSites": [".other.example"] }),
        );
        assert_eq!(set(&changed, 1, true), json!({ "videoBlocked": ["x.example"] }));
        assert_eq!(set(&changed, 2, false), json!({ "videoSites": [] }));
        let locked = core(json!({ "videoSites": ["film.example"] }), json!({}));
        assert_eq!(locked.switch_site(2, true), Err(ErrorCode::POLICY_DENIED));
        assert!(locked.view(2).site.locked);
        assert_eq!(fresh.switch_site(3, true), Err(ErrorCode::NOT_COVERED));
    }
}
