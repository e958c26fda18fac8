use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use serde_json::json;

use super::*;
use crate::sites::{Kind as SiteKind, Site};

fn shipped(pages: &[&str]) -> SiteList {
    let site = |kind, pages: &[&str]| Site {
        id: "a".to_owned(),
        name: "A".to_owned(),
        kind,
        pages: pages.iter().map(|text| (*text).to_owned()).collect(),
        frames: Vec::new(),
        players: Vec::new(),
        notes: String::new(),
    };
    SiteList { sites: vec![site(SiteKind::Video, pages), site(SiteKind::Calls, &["https://calls.org/*"])] }
}

fn settings(managed: Json, local: Json) -> Settings {
    Settings::from_sources(&Sources { shipped: shipped(&["https://a.org/*"]), managed, local, granted: None })
}

fn effective(settings: &Settings, key: &str) -> (Json, Source, bool) {
    let found = settings.effective().into_iter().find(|effective| effective.key == key).unwrap();
    (found.value, found.source, found.locked)
}

fn problems(settings: &Settings) -> Vec<(&str, ErrorCode)> {
    settings.problems().iter().map(|problem| (problem.key.as_str(), problem.code)).collect()
}

#[test]
fn policy_beats_the_person_and_the_person_the_defaults() {
    let on = json!({ "video.allSites": true, "overlay": true });
    let nobody = settings(Json::Null, Json::Null);
    assert_eq!(effective(&nobody, "video.allSites"), (json!(false), Source::Default, false));
    assert_eq!(effective(&nobody, "video.sites"), (json!(["https://a.org/*"]), Source::Default, false));
    let person = settings(json!({}), on.clone());
    assert_eq!(effective(&person, "video.allSites"), (json!(true), Source::Person, false));
    assert!(person.covers("https://b.org/"));
    let policy = settings(json!({ "video": { "allSites": false } }), on.clone());
    assert_eq!(effective(&policy, "video.allSites"), (json!(false), Source::Policy, true));
    assert_eq!(policy.coverage(Feature::Video, "https://b.org/"), Err(ErrorCode::NOT_COVERED));
    let off = settings(json!({ "enabled": false }), on.clone());
    assert_eq!(off.coverage(Feature::Video, "https://a.org/"), Err(ErrorCode::SWITCHED_OFF));
    assert!(
        off.count() == 0
            && off.scripts().iter().all(|s| s.matches.is_empty() && s.exclude_matches.is_empty())
    );
    // What is locked has its default, whatever the person has set before.
    let locked = settings(json!({ "locked": ["video.allSites"] }), on);
    assert_eq!(effective(&locked, "video.allSites"), (json!(false), Source::Default, true));
    assert_eq!(effective(&locked, "overlay"), (json!(true), Source::Person, false));
    for settings in [nobody, person, policy, off, locked] {
        assert_eq!(settings.problems(), []);
    }
}

#[test]
fn lists_of_the_person_are_added_and_policys_stand_for_themselves() {
    let local = json!({ "video.sites": ["b.org"], "video.blocked": ["x.a.org"], "fetch.device": ["a.org"], "hideAdvanced": true });
    let own = settings(Json::Null, local.clone());
    assert_eq!(effective(&own, "video.sites"), (json!(["https://a.org/*", "b.org"]), Source::Person, false));
    assert!(own.covers("https://a.org/") && own.covers("http://www.b.org/x"));
    assert!(!own.fetches_by_device("https://a.org") && !own.is_on("hideAdvanced"));
    let managed = json!({ "video": { "sites": ["c.org", "a.org/live"], "blocked": ["c.org/private"] }, "fetch": { "device": ["c.org"] } });
    let both = settings(managed, local.clone());
    assert_eq!(effective(&both, "video.sites"), (json!(["c.org", "a.org/live"]), Source::Policy, true));
    assert_eq!(
        effective(&both, "video.blocked"),
        (json!(["c.org/private", "x.a.org"]), Source::Policy, false)
    );
    for (url, expected) in [
        ("https://c.org/", Ok(())),
        ("https://c.org/private/x", Err(ErrorCode::POLICY_DENIED)),
        ("https://a.org/live/1", Ok(())),
        ("https://a.org/", Err(ErrorCode::NOT_COVERED)),
        ("https://x.a.org/live", Err(ErrorCode::SWITCHED_OFF)),
        ("https://b.org/", Err(ErrorCode::NOT_COVERED)),
    ] {
        assert_eq!(both.coverage(Feature::Video, url), expected, "{url}");
    }
    assert!(both.fetches_by_device("https://c.org") && !both.fetches_by_device("https://a.org"));
    let locked = settings(json!({ "locked": ["video.blocked", "video.sites"] }), local);
    assert!(
        locked.covers("https://x.a.org/") == own.covers("https://x.a.org/")
            && !locked.covers("https://b.org/")
    );
    assert_eq!(effective(&locked, "video.blocked"), (json!([]), Source::Default, true));
}

#[test]
fn wrong_values_are_told_and_safe() {
    let managed = json!({
        "enabled": "yes", "video": { "sites": "b.org", "allsites": true, "blocked": ["c.org", "ftp://d.org", 5] },
        "log": { "level": "loud" }, "fetch": { "device": ["a.org/path", "a.org"] }, "locked": ["overlay", "overlai"], "sites": [],
    });
    let settings =
        settings(managed, json!({ "outline": 1, "video.sites": ["e.org", "?"], "of another part": {} }));
    let mut found = problems(&settings);
    found.sort_unstable();
    let mut expected = vec![
        ("enabled", ErrorCode::CONFIG_INVALID),
        ("video.sites", ErrorCode::CONFIG_INVALID),
        ("video.sites", ErrorCode::SITE_LIST_INVALID),
        ("video.allsites", ErrorCode::SETTING_UNKNOWN),
        ("video.blocked", ErrorCode::SITE_LIST_INVALID),
        ("video.blocked", ErrorCode::SITE_LIST_INVALID),
        ("log.level", ErrorCode::CONFIG_INVALID),
        ("fetch.device", ErrorCode::SITE_LIST_INVALID),
        ("locked", ErrorCode::SETTING_UNKNOWN),
        ("sites", ErrorCode::SETTING_UNKNOWN),
        ("outline", ErrorCode::CONFIG_INVALID),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    // Nothing that wasn't meant is redirected, and the person can't put something else in its place.
    assert_eq!(effective(&settings, "video.sites"), (json!([]), Source::Default, true));
    assert_eq!(effective(&settings, "enabled"), (json!(true), Source::Default, true));
    assert_eq!(effective(&settings, "video.blocked"), (json!(["c.org"]), Source::Policy, false));
    assert_eq!(effective(&settings, "fetch.device"), (json!(["a.org"]), Source::Policy, true));
    assert_eq!(settings.log_level(), "info");
    assert!(!settings.is_on("outline"));
}

#[test]
fn the_person_sets_what_is_theirs_and_right() {
    let settings = settings(
        json!({ "video": { "blocked": ["bank.org"], "allSites": true }, "locked": ["overlay"] }),
        json!({}),
    );
    for (key, value, expected) in [
        ("outline", json!(true), Ok(())),
        ("outline", Json::Null, Ok(())),
        ("outline", json!("true"), Err(ErrorCode::CONFIG_INVALID)),
        ("overlay", json!(true), Err(ErrorCode::POLICY_DENIED)),
        ("video.allSites", json!(false), Err(ErrorCode::POLICY_DENIED)),
        ("video.blocked", json!(["a.org"]), Ok(())),
        ("video.blocked", json!(["a.org", ""]), Err(ErrorCode::SITE_LIST_INVALID)),
        ("hideAdvanced", json!(true), Err(ErrorCode::POLICY_DENIED)),
        ("fetch.device", json!([]), Err(ErrorCode::POLICY_DENIED)),
        ("log.level", json!("debug"), Ok(())),
        ("log.level", json!("trace"), Err(ErrorCode::CONFIG_INVALID)),
        ("nothing", json!(1), Err(ErrorCode::SETTING_UNKNOWN)),
    ] {
        assert_eq!(settings.check(key, &value), expected, "{key} {value}");
    }
}

#[test]
fn a_site_is_switched_by_the_lists_of_the_person() {
    let mut local = json!({ "video.blocked": ["old.org"] });
    let mut switch = |managed: Json, origin: &str, on| {
        let changes = settings(managed.clone(), local.clone()).site(Feature::Video, origin, on)?;
        for (key, value) in changes {
            local[key] = value;
        }
        Ok::<_, ErrorCode>((settings(managed, local.clone()).covers(&format!("{origin}/x")), local.clone()))
    };
    let none = || json!({});
    assert_eq!(
        switch(none(), "https://a.org", false),
        Ok((false, json!({ "video.blocked": ["old.org", "https://a.org/*"] })))
    );
    assert_eq!(switch(none(), "https://a.org", true), Ok((true, json!({ "video.blocked": ["old.org"] }))));
    let with_b = json!({ "video.blocked": ["old.org"], "video.sites": ["http://b.org:8080/*"] });
    assert_eq!(switch(none(), "http://b.org:8080", true), Ok((true, with_b.clone())));
    assert_eq!(switch(none(), "http://b.org:8080", true), Ok((true, with_b)));
    assert_eq!(
        switch(json!({ "video": { "blocked": ["c.org"] } }), "https://c.org", true),
        Err(ErrorCode::POLICY_DENIED)
    );
    assert_eq!(
        switch(json!({ "locked": ["video.sites"] }), "https://d.org", true),
        Err(ErrorCode::POLICY_DENIED)
    );
    for wrong in ["null", "https://a.org/x", "*://*", "file://", ""] {
        assert!(switch(none(), wrong, false).is_err() || wrong == "*://*", "{wrong}");
    }
}

#[test]
fn what_the_browser_does_not_permit_is_not_registered() {
    let with = |granted: &[&str], local: Json| {
        let granted = Some(granted.iter().map(|text| (*text).to_owned()).collect());
        let shipped = shipped(&["https://*.a.org/*", "https://b.org/live/*"]);
        Settings::from_sources(&Sources { shipped, managed: Json::Null, local, granted })
    };
    let matches =
        |settings: &Settings| settings.scripts().iter().flat_map(|s| s.matches.clone()).collect::<Vec<_>>();
    let own = ["https://*.a.org/*", "https://b.org/*"];
    let listed = with(&own, json!({}));
    assert_eq!(matches(&listed), ["https://*.a.org/*", "https://b.org/live/*"]);
    assert!(listed.problems().is_empty() && listed.missing_permissions().is_empty());
    let all = with(&own, json!({ "video.allSites": true }));
    assert_eq!(matches(&all), own);
    assert_eq!(problems(&all), [("video.sites", ErrorCode::PERMISSION_MISSING)]);
    assert_eq!(all.missing_permissions(), ["*://*/*"]);
    assert_eq!(all.coverage(Feature::Video, "https://c.org/"), Err(ErrorCode::PERMISSION_MISSING));
    assert!(all.covers("https://b.org/x"));
    for granted in [vec!["<all_urls>"], vec!["*://*/*"], vec!["http://*/*", "https://*/*"]] {
        let all = with(&granted, json!({ "video.allSites": true }));
        assert_eq!(
            (matches(&all).first().map(String::as_str), all.missing_permissions().len()),
            (Some("*://*/*"), 0)
        );
        assert!(all.covers("https://c.org/"));
    }
    let none = with(&[], json!({}));
    assert!(matches(&none).is_empty() && none.missing_permissions() == own);
}

#[test]
fn documents_without_an_address_are_covered_where_paths_do_not_matter() {
    let check = |sites: &[&str], blocked: &[&str], expected: [[&[&str]; 2]; 2]| {
        let scripts =
            settings(json!({ "video": { "sites": sites, "blocked": blocked } }), Json::Null).scripts();
        for (scripts, [matches, excluded]) in scripts.iter().zip(expected) {
            assert_eq!(
                (scripts.matches.as_slice(), scripts.exclude_matches.as_slice()),
                (&*strings(matches), &*strings(excluded))
            );
        }
    };
    check(
        &["https://a.org/*"],
        &["https://b.org/*"],
        [[&["https://a.org/*"], &["https://b.org/*"]], [&[], &["https://b.org/*"]]],
    );
    check(
        &["https://a.org/video/*", "https://*.b.org/*", "https://.b.org/x"],
        &[],
        [[&["https://*.b.org/*"], &[]], [&["https://a.org/video/*"], &[]]],
    );
    check(
        &["https://*/*"],
        &["*://a.org/admin/*"],
        [
            [&["https://*/*"], &["*://a.org/admin/*", "*://a.org/*"]],
            [&["https://a.org/*"], &["*://a.org/admin/*"]],
        ],
    );
}

#[test]
fn lists_of_any_length_are_cut_and_told() {
    let long: Vec<String> = (0..3000).map(|n| format!("a{n}.org")).collect();
    let wrong = vec!["?"; 3000];
    let settings = settings(json!({ "video": { "sites": long, "blocked": wrong } }), Json::Null);
    assert_eq!((settings.count(), settings.problems().len()), (MOST_SITES, MOST_PROBLEMS));
}

#[test]
fn every_setting_has_a_name_of_its_own_and_says_what_it_is() {
    for setting in &TABLE {
        assert_eq!(TABLE.iter().filter(|other| other.key == setting.key).count(), 1);
        assert!(!setting.title.is_empty() && setting.description.ends_with('.'), "{}", setting.key);
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Any JSON, with what settings hold often among it.
fn json_values() -> impl Strategy<Value = Json> {
    let text = prop_oneof![
        r"\PC{0,12}",
        Just("a.org".to_owned()),
        Just("*".to_owned()),
        prop::sample::select(&TABLE[..]).prop_map(|s| s.key.to_owned())
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<f64>().prop_map(|n| json!(n)),
        text.prop_map(Json::String)
    ];
    let names = prop_oneof![
        r"\PC{0,6}",
        prop::sample::select(&TABLE[..]).prop_map(|s| s.key.to_owned()),
        prop::sample::select(vec!["video", "calls", "fetch", "log", "sites", "blocked", "allSites"])
            .prop_map(str::to_owned)
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::Array),
            prop::collection::btree_map(names.clone(), inner, 0..8)
                .prop_map(|map| Json::Object(map.into_iter().collect()))
        ]
    })
}

proptest::proptest! {
    #[test]
    fn any_sources_give_values_of_the_right_kind(managed in json_values(), local in json_values(), url in r"https?://(a\.org|\PC{0,12})/") {
        let sources = Sources { shipped: SiteList::default(), managed, local, granted: None };
        let settings = Settings::from_sources(&sources);
        proptest::prop_assert!(settings.problems().len() <= MOST_PROBLEMS);
        for (effective, setting) in settings.effective().iter().zip(&TABLE) {
            proptest::prop_assert!(read(setting, &effective.value, &mut Vec::new()).is_some(), "{:?}", effective);
        }
        for pattern in settings.scripts().iter().flat_map(|s| s.matches.iter().chain(&s.exclude_matches)) {
            proptest::prop_assert!(Pattern::parse(pattern).is_some(), "{}", pattern);
        }
        let _is_covered = settings.covers(&url);
        // What is accepted from the person is in force afterwards, and nothing else is.
        for setting in &TABLE {
            if let Some(value) = sources.local.get(setting.key) && !value.is_null() && settings.check(setting.key, value).is_ok() {
                let shown = settings.effective().into_iter().find(|shown| shown.key == setting.key);
                proptest::prop_assert!(shown.is_some_and(|shown| shown.source != Source::Default || shown.value == json!([])), "{}", setting.key);
            }
        }
    }
}
