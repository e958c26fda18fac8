//! The picture is where the element is, or nowhere: read from screenshots of a whole screen.

use offstage_tests::stage_probe::StageProbe;
use offstage_tests::xvfb::Picture;
use serde_json::json;

use crate::scene::{PATIENCE, Scene, picture_on, whole};

#[test]
fn the_picture_lies_on_the_element_and_follows_it() {
    let scene = Scene::open("");
    scene.assert_in_place("at the beginning");
    // What the session's browser itself has drawn is the stand-in: the picture comes from the device.
    scene.wait_drawn_by_session(false);

    scene.run("scrollTo(0, 60)");
    scene.assert_in_place("scrolled");
    scene.run("scrollTo(0, 300)");
    scene.assert_in_place("scrolled half out at the top");
    scene.run("scrollTo(0, 1200)");
    scene.assert_absent("scrolled out");
    scene.run("scrollTo(0, 0)");
    scene.assert_in_place("scrolled back");
    scene.run("video.style.left = '700px'");
    scene.assert_in_place("reaching out at the right");
    scene.run("video.style.left = '-200px'; video.style.top = '500px'");
    scene.assert_in_place("reaching out at the left and the bottom");
    scene.run("video.style.left = ''; video.style.top = ''");

    scene.run("video.style.width = '480px'; video.style.height = '270px'");
    scene.assert_in_place("a smaller element");
    scene.run("video.style.width = '800px'; video.style.height = '450px'");
    scene.assert_in_place("a larger element");
    scene.run("video.style.width = ''; video.style.height = ''");
    scene.assert_in_place("the element as before");

    scene.move_window_about();
    scene.session.close();
}

#[test]
fn the_picture_is_hidden_with_the_element_and_clicks_reach_the_page() {
    let mut scene = Scene::open("");
    scene.assert_in_place("at the beginning");
    for (hide, show) in [
        ("video.style.display = 'none'", "video.style.display = ''"),
        ("video.style.visibility = 'hidden'", "video.style.visibility = ''"),
        ("box.style.opacity = 0", "box.style.opacity = ''"),
        ("video.remove()", "box.append(video); video.play()"),
    ] {
        scene.run(hide);
        scene.assert_absent(hide);
        scene.run(show);
        scene.assert_in_place(show);
    }
    scene.run("box.style.cssText = 'position: absolute; left: 50px; top: 60px; width: 420px; height: 300px; border: 7px solid blue; overflow: hidden'");
    scene.assert_in_place("cut off by a box");
    scene.run("box.style.top = '81px'");
    scene.assert_in_place("the box moved");
    scene.run("box.style.cssText = ''");
    scene.assert_in_place("without the box");

    scene.click_at(300, 200);
    scene.click_at(820, 180);
    scene.page.wait_until("clicks.length >= 2", PATIENCE).unwrap();
    assert_eq!(scene.page.evaluate("clicks").unwrap(), json!(["video 300 200", "button 820 180"]));
    // The pointer has told the page where its viewport is.
    scene.assert_in_place("after the clicks");
    scene.set_window(json!({ "left": 20, "top": 10, "width": 960, "height": 720 }));
    scene.assert_in_place("the window changed after the clicks");

    let other = scene.session.first_page().unwrap();
    other.call("Page.bringToFront", json!({})).unwrap();
    scene.assert_absent("another tab in front");
    scene.page.call("Page.bringToFront", json!({})).unwrap();
    scene.assert_in_place("in front again");

    scene.session.kill_client();
    scene.wait_drawn_by_session(true);
    scene.assert_in_place("the client killed, the session plays");
    scene.session.start_client().unwrap();
    scene.wait_drawn_by_session(false);
    scene.assert_in_place("the client back");

    let probe = StageProbe::connect(&scene.session).unwrap();
    assert_eq!(probe.players().unwrap(), 1);
    scene.page.call("Page.close", json!({})).unwrap();
    scene.assert_absent("the page closed");
    probe.wait_players(0).unwrap();
    scene.session.close();
}

/// A poster of one colour.
const POSTER: &str = "video.poster = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='640' height='360'><rect width='640' height='360' fill='rgb(255,120,0)'/></svg>`";

#[test]
fn a_poster_is_seen_until_the_video_plays() {
    let scene = Scene::open("autoplay=0");
    scene.assert_in_place("a first frame without a poster");
    scene.run(POSTER);
    let poster = |screen: &Picture| screen.bounds_of([255, 120, 0], 6).map(|bounds| bounds.map(whole));
    scene.assert_screen("the poster", |screen, _| {
        picture_on(screen).is_none() && poster(screen) == scene.expected(screen)
    });
    scene.run("video.play()");
    scene.assert_in_place("playing");
    scene.wait_drawn_by_session(false);
    scene.assert_screen("no poster", |screen, _| poster(screen).is_none());
    scene.session.close();
}

/// The line's colour.
const GREEN: [u8; 3] = [0, 0xc8, 0x53];

#[test]
fn status_and_outline_are_drawn_over_the_picture_and_go_again() {
    let scene = Scene::open("");
    scene.assert_in_place("at the beginning");
    let set = |key: &str, on: bool| {
        scene.session.evaluate_in_worker(&format!("offstageSet('{key}', {on}).then(() => 0)")).unwrap();
    };
    // The label is dark with white letters, at the upper left corner inside of the line.
    let label = |screen: &Picture, [x, y]: [i64; 2]| -> [usize; 2] {
        let (width, rgb) = (screen.width(), screen.rgb());
        let at = |x: i64, y: i64| {
            let first = (usize::try_from(y).unwrap() * width + usize::try_from(x).unwrap()) * 3;
            [rgb[first], rgb[first + 1], rgb[first + 2]]
        };
        let corner = (4..16).flat_map(|dy| (4..150).map(move |dx| (dx, dy)));
        let pixels: Vec<[u8; 3]> = corner.map(|(dx, dy)| at(x + 100 + dx, y + 120 + dy)).collect();
        let count =
            |test: fn(u8) -> bool| pixels.iter().filter(|pixel| pixel.iter().all(|c| test(*c))).count();
        [count(|channel| channel > 200), count(|channel| channel < 90)]
    };
    let has_label = |screen: &Picture, origin| {
        let [light, dark] = label(screen, origin);
        light > 30 && dark > 600
    };
    let outline = |screen: &Picture| screen.bounds_of(GREEN, 6).map(|bounds| bounds.map(whole));
    set("outline", true);
    scene.assert_screen("the line", |screen, origin| {
        outline(screen) == scene.expected(screen) && !has_label(screen, origin)
    });
    set("overlay", true);
    scene.assert_screen("both", |screen, origin| outline(screen).is_some() && has_label(screen, origin));
    let words = "document.querySelector('div').textContent";
    let said = StageProbe::connect(&scene.session).unwrap().player().unwrap().evaluate(words).unwrap();
    assert_eq!(said, "Video plays on your device · 640×360");
    scene.run("scrollTo(0, 40); video.style.width = '480px'; video.style.height = '270px'");
    scene.assert_screen("it follows", |screen, _| outline(screen) == scene.expected(screen));
    scene.run("scrollTo(0, 0); video.style.width = ''; video.style.height = ''");
    set("outline", false);
    scene.assert_screen("the label", |screen, origin| outline(screen).is_none() && has_label(screen, origin));
    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
        set("outline", true);
        scene.assert_screen("both", |screen, origin| outline(screen).is_some() && has_label(screen, origin));
        scene.screen().write_png(&std::path::PathBuf::from(folder).join("overlay.png")).unwrap();
        set("outline", false);
    }
    set("overlay", false);
    scene.assert_in_place("as before");
    scene.assert_screen("neither", |screen, origin| outline(screen).is_none() && !has_label(screen, origin));
    scene.session.close();
}
