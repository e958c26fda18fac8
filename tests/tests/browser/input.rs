//! Every click, wheel and key goes to the session's page, and the picture's windows are nobody's: read from what the page was told and
//! from what the window manager lists.

use std::time::Instant;

use offstage_tests::geometry::serve;
use offstage_tests::stage_probe::StageProbe;
use offstage_tests::xvfb::xdotool;
use serde_json::{Value, json};

use crate::scene::{PATIENCE, Scene};

/// A page with a button under the video's box, one over the picture and one beside it.
const STYLES: &str = r#"{ css: `#a { z-index: 0 } #over { position: absolute; left: 200px; top: 100px; width: 90px; height: 60px }
  #beside { position: absolute; left: 40px; top: 350px; width: 120px; height: 40px } #drag { position: absolute; left: 300px; top: 200px;
  width: 60px; height: 40px; background: #d02020 } #field { position: absolute; left: 200px; top: 350px }`,
  near: '<button id=over>Over</button><div id=drag draggable=true>drag</div>',
  far: '<button id=beside>Beside</button><input id=field>', script: 'globalThis.clip = () => ({ left: 0, top: 0, right: visualViewport.width, bottom: visualViewport.height }); globalThis.video = v;' }"#;

fn open() -> Scene {
    let server = serve().unwrap();
    // The clip whose border the scene knows.
    let url = server.url("/pages/geometry.html?input&clip=h264.mp4");
    let scene = Scene::open_page(server, &url, "v.readyState >= 3");
    scene.page.evaluate(&format!("show({STYLES}).then(() => 0)")).unwrap();
    scene.assert_in_place("at the beginning");
    scene
}

/// Does something with the pointer at a place of the viewport, and gives what the page was told of these types.
fn told(scene: &Scene, [x, y]: [i64; 2], actions: &[&str], types: &[&str], count: usize) -> Vec<Value> {
    scene.run("told.length = 0");
    let [left, top] = Scene::origin(&scene.screen()).expect("the page's mark is not seen");
    let [x, y] = [left + x, top + y].map(|at| at.to_string());
    let mut all = vec!["mousemove", &x, &y];
    all.extend(actions);
    scene.point(&all);
    let wanted = json!(types);
    let filter = format!("told.filter(({{ type }}) => {wanted}.includes(type))");
    scene.page.wait_until(&format!("{filter}.length >= {count}"), PATIENCE).unwrap();
    serde_json::from_value(scene.page.evaluate(&filter).unwrap()).unwrap()
}

#[test]
fn every_click_wheel_and_key_reaches_the_page_and_no_window_is_anybodys() {
    let scene = open();
    let display = scene.session.display().unwrap().to_owned();
    let active = || xdotool(&display, &["getactivewindow", "getwindowpid"]).unwrap();
    // On the picture, on a button over it, on one beside it.
    for (at, on) in [([100, 90], "v"), ([285, 180], "over"), ([90, 370], "beside")] {
        for (button, kinds) in
            [("1", ["mousedown", "mouseup", "click"]), ("3", ["mousedown", "mouseup", "contextmenu"])]
        {
            let seen = told(&scene, at, &["click", button], &kinds, 3);
            for event in &seen {
                let [x, y] = [&event["x"], &event["y"]].map(|at| at.as_f64().unwrap());
                assert_eq!(event["on"], on, "button {button} at {at:?}: {event}");
                #[expect(clippy::cast_precision_loss, reason = "places in a viewport")]
                let off = (x - at[0] as f64).abs().max((y - at[1] as f64).abs());
                assert!(off <= 1.0, "button {button} at {at:?}: {event}");
            }
        }
        assert_eq!(active(), scene.session.browser_pid().to_string(), "after clicks on {on}");
    }
    // Twice, quickly; the wheel, down and up; a drag that begins over the picture.
    let seen = told(&scene, [100, 90], &["click", "--repeat", "2", "--delay", "60", "1"], &["dblclick"], 1);
    assert_eq!(seen[0]["on"], "v");
    for (button, down) in [("5", true), ("4", false)] {
        let seen = told(&scene, [120, 140], &["click", button], &["wheel"], 1);
        assert_eq!((&seen[0]["on"], seen[0]["down"].as_f64().unwrap() > 0.0), (&json!("v"), down));
    }
    scene.run("scrollTo(0, 0)");
    scene.assert_in_place("scrolled back");
    let drag =
        ["mousedown", "1", "mousemove_relative", "12", "9", "mousemove_relative", "20", "9", "mouseup", "1"];
    let seen = told(&scene, [370, 265], &drag, &["dragstart"], 1);
    assert_eq!(seen[0]["on"], "drag");

    // A click on the picture gives the page the keys; one on a field gives them to the field.
    told(&scene, [100, 90], &["click", "1"], &["click"], 1);
    let seen = told(&scene, [100, 90], &["key", "k"], &["keydown"], 1);
    assert_eq!(seen[0]["key"], "k");
    told(&scene, [260, 360], &["click", "1"], &["focusin"], 1);
    told(&scene, [100, 90], &["type", "abc"], &["keydown"], 3);
    scene.page.wait_until("document.getElementById('field').value === 'abc'", PATIENCE).unwrap();

    // A task bar lists the session's browser alone, and nothing stands on the screen by itself.
    let camera = scene.session.screen().unwrap().camera().unwrap();
    let listed = camera.listed().unwrap();
    // The window manager's own messages have no class; the engine's windows have the client's.
    let named: Vec<_> = listed.iter().filter(|class| !class.is_empty()).collect();
    assert!(named.len() == 1 && named[0].to_lowercase().contains("chromium"), "{listed:?}");
    let end = Instant::now() + PATIENCE;
    loop {
        // A tip of the browser's goes by itself.
        let loose = camera.loose().unwrap();
        if loose.is_empty() {
            break;
        }
        assert!(Instant::now() < end, "windows that nobody manages: {loose:?}");
    }
    assert_eq!(active(), scene.session.browser_pid().to_string(), "at the end");
    let probe = StageProbe::connect(&scene.session).unwrap();
    assert_eq!(probe.players().unwrap(), 1);
    scene.session.close();
}
