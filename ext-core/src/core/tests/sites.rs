//! What the icon says on the sites of the list.

use super::*;

#[test]
fn calls_of_listed_sites_go_to_the_device_where_the_browser_permits_it() {
    let mut world = World::new(&["https://*/*"]);
    let listed = [site("calls", &["https://calls.org/*"])];
    let unpermitted = Some(ErrorCode::PERMISSION_MISSING);
    for (granted, url, expected) in [
        (
            json!(["https://calls.org/*"]),
            "https://calls.org/",
            (IconState::Off, Some(ErrorCode::CLIENT_UNREACHABLE)),
        ),
        (json!([]), "https://calls.org/", (IconState::Grey, unpermitted)),
        (json!(["https://calls.org/*"]), "https://example.org/", (IconState::Grey, None)),
    ] {
        world.core.handle_config(&sources(&json!({ "shipped": { "sites": listed }, "granted": granted })));
        world.core.handle_tab(1, "https://other.example/");
        world.core.handle_tab(1, url);
        world.run();
        let told = world.log.iter().rev().find_map(|output| match output {
            Output::SetIcon { state, why, .. } => Some((*state, *why)),
            _ => None,
        });
        assert_eq!(told, Some(expected), "{url}");
    }
}
