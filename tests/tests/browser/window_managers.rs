//! Desktops that people have: window managers that compose the screen, of which a test with openbox sees nothing.

use std::time::Duration;

use offstage_tests::process::freeze_pid;
use offstage_tests::xvfb::{WindowManager, xdotool};
use serde_json::json;

use crate::remote_desktop::{Far, Over, count, is_filled, keep_wanted};
use crate::scene::{PATIENCE, Scene, picture_on};

const NOTE: [u8; 3] = [0xe0, 0x40, 0x20];

#[test]
fn the_picture_belongs_to_the_page_with_gnomes_window_manager() {
    on_one_machine(WindowManager::Mutter, "gnome.png");
}

#[test]
fn the_picture_belongs_to_the_page_with_xfces_window_manager() {
    on_one_machine(WindowManager::Xfwm, "xfce.png");
}

#[test]
fn the_picture_lies_in_a_remote_desktop_between_two_gnomes() {
    let far = Far::open_with(WindowManager::Mutter, WindowManager::Mutter);
    keep_painting(&far.scene);
    far.assert_in_place("at the beginning", 1);
    let session = far.scene.session.display().unwrap();
    let over = Over::new(session);
    let note = over.show(NOTE, (300, 300, 200, 150), false);
    far.assert_whole(NOTE, "a window of another program");
    over.close(note);
    far.scene.set_window(json!({ "windowState": "minimized" }));
    far.assert_absent("the session's browser minimised");
    far.scene.set_window(json!({ "windowState": "normal" }));
    far.assert_in_place("restored", 1);
    xdotool(session, &["set_num_desktops", "2", "set_desktop", "1"]).unwrap();
    far.assert_absent("the session on another workspace");
    xdotool(session, &["set_desktop", "0"]).unwrap();
    far.assert_in_place("back on the first", 1);
    far.desktop.order(&["windowsize", "--sync", "%w", "960", "768"]).unwrap();
    far.assert_in_place("scaled to three quarters", 2);
    far.scene.session.close();
}

#[test]
fn a_starved_client_gets_its_windows_back_from_gnomes_window_manager() {
    starved(WindowManager::Mutter);
}

#[test]
fn a_starved_client_gets_its_windows_back_from_xfces_window_manager() {
    starved(WindowManager::Xfwm);
}

#[test]
fn a_starved_client_gets_its_windows_back_from_openbox() {
    starved(WindowManager::Openbox);
}

/// The engine maps a window some hundred milliseconds after it has made it: a client that gets no time then has the window manager come first.
fn starved(manager: WindowManager) {
    let mut scene = Scene::open_with("", |options| options.window_manager = manager);
    let camera = scene.session.screen().unwrap().camera().unwrap();
    keep_painting(&scene);
    scene.assert_in_place("at the beginning");
    for round in 1..=3 {
        let client = scene.session.client().unwrap().pid();
        scene.page.call("Page.reload", json!({})).unwrap();
        for _ in 0..6 {
            for (frozen, time) in [(true, 600), (false, 40)] {
                freeze_pid(client, frozen);
                std::thread::park_timeout(Duration::from_millis(time));
            }
        }
        scene.page.wait_until("!demo.error && video.readyState >= 3", PATIENCE).unwrap();
        keep_painting(&scene);
        scene.assert_in_place(&format!("after round {round}"));
        let listed = camera.listed().unwrap();
        assert!(!listed.iter().any(|class| class.ends_with(" offstage")), "round {round}: {listed:?}");
    }
    scene.session.close();
}

/// On an Xvfb what composes the screen misses a part of what a page draws, now and then: this one draws all of itself again.
fn keep_painting(scene: &Scene) {
    let again = "document.body.style.background = document.body.style.background ? '' : '#fefefe'";
    scene.run(&format!("setInterval(() => {{ {again}; }}, 150)"));
}

fn on_one_machine(manager: WindowManager, picture: &str) {
    let scene = Scene::open_with("", |options| options.window_manager = manager);
    let display = scene.session.display().unwrap();
    keep_painting(&scene);
    scene.assert_in_place("at the beginning");
    scene.wait_drawn_by_session(false);
    scene.run("scrollTo(0, 150)");
    scene.assert_in_place("scrolled");
    scene.run("scrollTo(0, 0)");
    scene.move_window_about();

    let over = Over::new(display);
    let note = over.show(NOTE, (350, 330, 200, 150), false);
    scene.assert_screen("another program's window over it", |screen, _| {
        count(screen, NOTE) == 200 * 150 && is_filled(screen, NOTE) && picture_on(screen).is_some()
    });
    keep_wanted(&scene.session.screen().unwrap().camera().unwrap(), picture);
    over.close(note);
    scene.assert_in_place("alone again");
    scene.set_window(json!({ "windowState": "minimized" }));
    scene.assert_absent("minimised");
    scene.set_window(json!({ "windowState": "normal" }));
    scene.assert_in_place("restored");
    xdotool(display, &["set_num_desktops", "2", "set_desktop", "1"]).unwrap();
    scene.assert_absent("on another workspace");
    xdotool(display, &["set_desktop", "0"]).unwrap();
    scene.assert_in_place("back on the first");
    scene.cover_with_another_window();
    scene.assert_absent("another window of the browser exactly over it");
    scene.page.call("Page.bringToFront", json!({})).unwrap();
    scene.assert_in_place("above that one");
    scene.click_at(300, 200);
    scene.page.wait_until("clicks.length >= 1", PATIENCE).unwrap();
    assert_eq!(scene.page.evaluate("clicks").unwrap(), json!(["video 300 200"]));
    scene.session.close();
}
