//! What the icon says on the sites of the list.

use super::*;

#[test]
fn the_icon_says_that_calls_stay_where_they_are_expected() {
    let mut world = World::new(&["https://*/*"]);
    let listed = [site("calls", &["https://calls.org/*"])];
    world.core.handle_config(&sources(&json!({ "shipped": { "sites": listed } })));
    for (url, stay) in [("https://calls.org/", true), ("https://example.org/", false)] {
        world.core.handle_tab(1, url);
        world.run();
        let mut told = world.log.iter().rev().filter_map(|output| match output {
            Output::SetIcon { why, .. } => Some(*why == Some(ErrorCode::CALLS_STAY)),
            _ => None,
        });
        assert_eq!((world.icon(1), told.next()), (Some(IconState::Grey), Some(stay)));
    }
}
