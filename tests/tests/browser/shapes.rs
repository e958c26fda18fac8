//! Pictures that no upright box with square corners shows: what is seen of them is what the page would show.

use offstage_tests::frame_number;
use offstage_tests::xvfb::Picture;
use serde_json::json;

use crate::scene::{Scene, is_picture};

/// Which pixels of a rectangle around the element show the clip's border or frames: everything but the page's white.
struct Seen<'a> {
    screen: &'a Picture,
    origin: [i64; 2],
}

impl Seen<'_> {
    /// Whether this pixel of the viewport shows the page, and not the picture.
    fn is_page(&self, x: i64, y: i64) -> bool {
        let [red, green, blue] = self.rgb(x, y);
        red > 240 && green > 240 && blue > 240
    }

    fn rgb(&self, x: i64, y: i64) -> [u8; 3] {
        let [x, y] = [self.origin[0] + x, self.origin[1] + y].map(|at| usize::try_from(at).unwrap());
        let first = (y * self.screen.width() + x) * 3;
        let rgb = self.screen.rgb();
        [rgb[first], rgb[first + 1], rgb[first + 2]]
    }
}

/// Sets a style and waits until these points of the viewport show the picture's border, and these the page.
fn check(scene: &Scene, style: &str, picture: &[[i64; 2]], page: &[[i64; 2]]) {
    scene.run(&format!("video.style.cssText = `{style}`"));
    scene.assert_screen(style, |screen, origin| {
        let seen = Seen { screen, origin };
        picture.iter().all(|[x, y]| is_picture(seen.rgb(*x, *y)))
            && page.iter().all(|[x, y]| seen.is_page(*x, *y))
    });
    if let Some(folder) = std::env::var_os("OFFSTAGE_SCREENSHOTS") {
        let name: String = style.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        scene.screen().write_png(&std::path::PathBuf::from(folder).join(format!("{name}.png"))).unwrap();
    }
    assert_eq!(scene.session.evaluate_in_worker("offstageStatus().redirected").unwrap(), json!(1), "{style}");
    scene.wait_drawn_by_session(false);
}

#[test]
fn corners_clips_and_turned_pictures_are_drawn_by_the_device() {
    // The element: 640 × 360 at 100, 120; the clip's border is 3 pixels wide.
    let scene = Scene::open("");
    scene.assert_in_place("at the beginning");
    let edges = [[101, 300], [738, 300], [420, 121], [420, 478]];
    check(&scene, "border-radius: 60px", &edges, &[[103, 123], [736, 476], [115, 130]]);
    check(&scene, "clip-path: inset(0 0 0 50%)", &[[738, 300], [500, 121]], &[[101, 300], [415, 121]]);
    check(&scene, "clip-path: circle(180px at 50% 50%)", &edges[2..], &[[101, 300], [250, 130]]);
    check(
        &scene,
        "transform: rotate(90deg)",
        &[[241, 300], [598, 300], [420, 618]],
        &[[230, 300], [110, 130]],
    );
    check(&scene, "transform: scaleX(-1)", &edges, &[[97, 300], [742, 300]]);
    check(&scene, "transform: rotate(10deg)", &[[106, 244], [733, 355]], &[[101, 476], [738, 121]]);
    check(&scene, "transform: scale(0.5, 1)", &[[260, 300], [579, 300]], &[[250, 300], [590, 300]]);
    check(&scene, "height: 600px; object-fit: contain", &[[420, 241], [101, 420]], &[[420, 230], [420, 610]]);
    scene.session.close();
}

#[test]
fn a_translucent_and_a_filtered_picture_are_mixed_as_the_page_would_and_others_play_in_the_session() {
    let scene = Scene::open("");
    scene.assert_in_place("at the beginning");
    let near = |seen: [u8; 3], wanted: [u8; 3]| {
        seen.iter().zip(wanted).all(|(one, other)| one.abs_diff(other) <= 40)
    };
    let edge = |screen: &Picture, origin| Seen { screen, origin }.rgb(101, 300);
    let [red, green, blue] = frame_number::BORDER;
    scene.run("video.style.opacity = 0.5");
    let half = |channel: u8| u8::midpoint(channel, 255);
    scene.assert_screen("half", |screen, origin| {
        near(edge(screen, origin), [half(red), half(green), half(blue)])
    });
    scene.wait_drawn_by_session(false);
    scene.run("video.style.opacity = ''; box.style.filter = 'invert(1)'");
    scene.assert_screen("inverted", |screen, origin| {
        near(edge(screen, origin), [255 - red, 255 - green, 255 - blue])
    });
    scene.wait_drawn_by_session(false);
    scene.run("box.style.filter = ''");
    scene.assert_in_place("as before");
    scene.wait_drawn_by_session(false);
    scene.run("video.style.transform = 'perspective(500px) rotateY(30deg)'");
    scene.wait_drawn_by_session(true);
    let reasons = scene.session.status().unwrap();
    assert!(reasons.to_string().contains("1412"), "{reasons}");
    scene.session.close();
}
