use proptest::prelude::*;

use super::*;

const FIT: Fit<'_> = Fit { object_fit: "fill", object_position: "50% 50%", natural: None, scale: 1.0 };

fn node(x: f64, y: f64, width: f64, height: f64) -> Node {
    Node { x, y, width, height, own: [width, height], ..Node::default() }
}

fn corners(shape: &Shape) -> Vec<[i64; 2]> {
    let whole = |n: &f64| format!("{n:.0}").parse().unwrap();
    shape.clips.iter().flat_map(|clip| clip.corners.iter().map(|c| [whole(&c[0]), whole(&c[1])])).collect()
}

#[test]
fn what_is_only_scaled_and_moved_is_plain() {
    let scaled = Node {
        own: [50.0, 25.0],
        transform: "matrix(2, 0, 0, 2, 30, 40)".into(),
        ..node(10.0, 20.0, 100.0, 50.0)
    };
    assert!(shape(&[scaled], None, FIT).unwrap().is_plain());
    let lifted = Node {
        transform: "matrix3d(1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,30,1)".into(),
        ..node(0.0, 0.0, 9.0, 9.0)
    };
    assert!(shape(&[lifted], None, FIT).unwrap().is_plain());
}

#[test]
fn a_box_that_is_turned_by_a_right_angle_lies_on_its_side() {
    let turned = Node { own: [100.0, 50.0], rotate: "90deg".into(), ..node(0.0, 0.0, 50.0, 100.0) };
    let shape = shape(&[turned], None, FIT).unwrap();
    let (bounds, turn) = shape.turn.unwrap();
    assert_eq!(bounds, Box4 { x: 0.0, y: 0.0, width: 50.0, height: 100.0 });
    assert_eq!(turn, Turn { width: 100.0, height: 50.0, a: 0.0, b: 1.0, c: -1.0, d: 0.0, e: 50.0, f: 0.0 });
    assert_eq!(corners(&shape), [[50, 0], [50, 100], [0, 100], [0, 0]]);
}

#[test]
fn a_box_is_on_whole_pixels_before_it_is_turned() {
    // 100 × 50 at 20, 30.5, about its middle and about a corner.
    for (origin, told, painted) in [("", [45.0, 5.5], [45.0, 6.0]), ("0px 0px", [-30.0, 30.5], [-30.0, 31.0])]
    {
        let turned = Node {
            own: [100.0, 50.0],
            rotate: "90deg".into(),
            origin: origin.into(),
            ..node(told[0], told[1], 50.0, 100.0)
        };
        let (bounds, _) = shape(&[turned], None, FIT).unwrap().turn.unwrap();
        assert_eq!(bounds, Box4 { x: painted[0], y: painted[1], width: 50.0, height: 100.0 }, "{origin}");
    }
}

#[test]
fn what_is_in_a_turned_box_counts_from_its_corner() {
    // In the layout the outer one is at 20, 30.5, and the video 10.4, 0 further in.
    let outer = Node { own: [100.0, 50.0], rotate: "180deg".into(), ..node(20.0, 30.5, 100.0, 50.0) };
    let video = node(120.0 - 10.4 - 40.0, 80.5 - 20.0, 40.0, 20.0);
    let (bounds, _) = shape(&[video, outer], None, FIT).unwrap().turn.unwrap();
    assert_eq!(bounds, Box4 { x: 120.0 - 10.0 - 40.0, y: 81.0 - 20.0, width: 40.0, height: 20.0 });
}

#[test]
fn a_box_that_is_scaled_or_moved_by_parts_of_pixels_is_on_whole_ones_before() {
    let at = |transform: &str, translate: &str, [x, y, width, height]: [f64; 4]| {
        let moved = Node {
            own: [100.0, 50.0],
            transform: transform.into(),
            translate: translate.into(),
            origin: "0px 0px".into(),
            ..node(x, y, width, height)
        };
        shape(&[moved], None, FIT).unwrap().at.map(|b| [b.x, b.y, b.width, b.height])
    };
    let half = at("matrix(0.5, 0, 0, 0.5, 0, 0)", "", [20.0, 30.5, 50.0, 25.0]);
    assert_eq!(half, Some([20.0, 31.0, 50.0, 25.0]));
    assert_eq!(at("", "10.5px", [30.5, 30.5, 100.0, 50.0]), Some([30.5, 31.0, 100.0, 50.0]));
    assert_eq!(at("", "10px 3px", [30.0, 33.5, 100.0, 50.0]), None);
    assert_eq!(at("matrix(1, 0, 0, 1, 10, 3)", "", [30.0, 33.5, 100.0, 50.0]), None);
}

#[test]
fn a_mirrored_picture_with_a_border_keeps_its_content_box() {
    let mirrored = Node {
        transform: "matrix(-1, 0, 0, 1, 0, 0)".into(),
        inner: [10.0, 0.0, 0.0, 0.0],
        ..node(5.0, 5.0, 100.0, 50.0)
    };
    let (bounds, turn) = shape(&[mirrored], None, FIT).unwrap().turn.unwrap();
    assert_eq!(bounds, Box4 { x: 5.0, y: 5.0, width: 90.0, height: 50.0 });
    assert_eq!((turn.a, turn.d, turn.e, turn.f), (-1.0, 1.0, 90.0, 0.0));
}

#[test]
fn a_turned_ancestor_turns_what_is_in_it_and_cuts_askew() {
    let turn = "matrix(0.8, 0.6, -0.6, 0.8, 0, 0)";
    // 100 × 50 turned by 36.87°: 110 × 100 around it.
    let video = node(0.0, 0.0, 110.0, 100.0);
    let video = Node { own: [100.0, 50.0], ..video };
    let around = Node { transform: turn.into(), cuts: [true, true], ..video.clone() };
    let shape = shape(&[video, around], None, FIT).unwrap();
    assert_eq!(shape.clips.len(), 2);
    assert_eq!(corners(&shape)[..4], [[30, 0], [110, 60], [80, 100], [0, 40]]);
    assert_eq!(corners(&shape)[..4], corners(&shape)[4..]);
}

#[test]
fn near_45_degrees_the_size_comes_from_the_layout() {
    let turned = Node { own: [100.0, 50.0], rotate: "45deg".into(), ..node(0.0, 0.0, 106.066, 106.066) };
    let (_, turn) = shape(&[turned], None, FIT).unwrap().turn.unwrap();
    assert!((turn.width - 100.0).abs() < 0.01 && (turn.height - 50.0).abs() < 0.01);
}

#[test]
fn an_empty_box_around_the_video_is_no_obstacle() {
    let empty = Node { filter: "invert(1)".into(), ..node(0.0, 0.0, 300.0, 0.0) };
    assert_eq!(shape(&[node(0.0, 0.0, 10.0, 10.0), empty], None, FIT).unwrap().filter, "invert(1)");
}

#[test]
fn corners_are_rounded_and_never_overlap() {
    let round = Node { radius: "50%".into(), ..node(0.0, 0.0, 100.0, 50.0) };
    let outline = &shape(&[round], None, FIT).unwrap().clips[0];
    for [x, y] in &outline.corners {
        let r = ((x - 50.0) / 50.0).hypot((y - 25.0) / 25.0);
        assert!((r - 1.0).abs() < 1e-9);
    }
    assert_eq!(outline::radii("80px", [100.0, 50.0]), Some([[25.0, 25.0]; 4]));
    assert_eq!(outline::radii("10px 20px / 5px", [100.0, 100.0]).unwrap()[1], [20.0, 5.0]);
    let around =
        Node { radius: "16px".into(), inner: [6.0; 4], cuts: [true, true], ..node(0.0, 0.0, 100.0, 50.0) };
    let shape = shape(&[node(0.0, 0.0, 100.0, 50.0), around], None, FIT).unwrap();
    assert_eq!(corners(&shape)[0], [6, 16]);
}

#[test]
fn shapes_of_clip_path() {
    let clip = |text: &str| {
        let clipped = Node { clip_path: text.into(), ..node(10.0, 0.0, 100.0, 50.0) };
        shape(&[clipped], None, FIT).map(|shape| corners(&shape))
    };
    assert_eq!(clip("inset(10px 20%)").unwrap(), [[30, 10], [90, 10], [90, 40], [30, 40]]);
    assert_eq!(
        clip("polygon(evenodd, 0% 0%, calc(100% - 10px) 0px, 50% 100%)").unwrap(),
        [[10, 0], [100, 0], [60, 50]]
    );
    assert!(clip("circle(20px at 50px 25px)").unwrap().contains(&[40, 25]));
    assert!(clip("ellipse(25% 50% at 50% 50%)").unwrap().contains(&[35, 25]));
    assert!(clip("circle(at 10px 25px)").unwrap().contains(&[30, 25]));
    assert_eq!(clip("border-box").unwrap().len(), 4);
    for other in
        ["url(#mask)", "path(\"M 0 0 L 9 9\")", "shape(from 0 0)", "inset(calc(1px * 2))", "circle(", ""]
    {
        let matched = clip(other).is_ok();
        assert_eq!(matched, other.is_empty(), "{other}");
    }
}

#[test]
fn a_translucent_picture_needs_one_ground() {
    let half = Node { opacity: Some(0.5), ..node(0.0, 0.0, 10.0, 10.0) };
    let nodes = [half.clone(), Node { opacity: Some(0.5), ..half.clone() }];
    assert_eq!(shape(&nodes, Some(0xff), FIT).unwrap().blend, Some(Blend { opacity: 0.25, ground: 0xff }));
    assert_eq!(shape(&nodes, None, FIT), Err(Unmatched));
    let filtered = Node { filter: "invert(1)".into(), ..half };
    assert_eq!(shape(&[filtered], Some(1), FIT), Err(Unmatched));
}

#[test]
fn filters_of_colours_add_up_and_others_are_the_sessions() {
    let filtered = |text: &str| Node { filter: text.into(), ..node(0.0, 0.0, 10.0, 10.0) };
    let both = [filtered("invert(1)"), filtered("hue-rotate(180deg) brightness(0.5)")];
    assert_eq!(shape(&both, None, FIT).unwrap().filter, "invert(1) hue-rotate(180deg) brightness(0.5)");
    for other in ["blur(2px)", "url(\"#a\")", "invert(1);x", "drop-shadow(rgb(0, 0, 0) 0px 0px 5px)"] {
        assert_eq!(shape(&[filtered(other)], None, FIT), Err(Unmatched), "{other}");
    }
}

#[test]
fn what_leaves_the_plane_or_is_strange_is_the_sessions() {
    for transform in ["matrix3d(1,0,0.5,0, 0,1,0,0, 0,0,1,0, 0,0,0,1)", "matrix(1, 2)", "rotate(3deg)"] {
        let odd = Node { transform: transform.into(), ..node(0.0, 0.0, 10.0, 10.0) };
        assert_eq!(shape(&[odd], None, FIT), Err(Unmatched), "{transform}");
    }
    let strange = Node { strange: true, ..node(0.0, 0.0, 10.0, 10.0) };
    assert_eq!(shape(&[strange], None, FIT), Err(Unmatched));
    let mut frame =
        shape(&[Node { rotate: "90deg".into(), ..node(0.0, 0.0, 10.0, 10.0) }], None, FIT).unwrap();
    frame.blend = Some(Blend { opacity: 0.5, ground: 0 });
    assert_eq!(Shape::default().within(frame.clone()), Err(Unmatched));
    frame.blend = None;
    assert_eq!(Shape::default().within(frame).unwrap().clips.len(), 1);
}

#[test]
fn a_picture_in_a_frame_that_is_turned_is_turned_with_what_is_seen_of_it() {
    // A frame of 100 × 50 at 10, 20 that lies on its side and is drawn twice as large as it says.
    let frame = Node { own: [200.0, 100.0], rotate: "90deg".into(), ..node(10.0, 20.0, 100.0, 200.0) };
    let turn = shape(&[frame], None, FIT).unwrap().turn.unwrap();
    let video = Box4 { x: 10.0, y: 5.0, width: 40.0, height: 20.0 };
    let seen = [Box4 { width: 10.0, ..video }, Box4 { x: 30.0, width: 20.0, ..video }];
    let turned = Shape::default().turned(&turn, 100.0, video, &seen).unwrap();
    let (bounds, turn) = turned.turn.unwrap();
    assert_eq!(bounds, Box4 { x: 60.0, y: 40.0, width: 40.0, height: 80.0 });
    assert_eq!((turn.width, turn.height, turn.b, turn.c, turn.e), (80.0, 40.0, 1.0, -1.0, 40.0));
    assert_eq!(corners(&turned)[..4], [[100, 40], [100, 60], [60, 60], [60, 40]]);
    assert_eq!(corners(&turned)[6..10], [[100, 80], [100, 120], [60, 120], [60, 80]]);
}

#[test]
fn the_video_leaves_free_what_object_fit_leaves_free() {
    let content = Box4 { x: 100.0, y: 0.0, width: 400.0, height: 400.0 };
    let at = |object_fit, object_position| {
        let fit = Fit { object_fit, object_position, natural: Some([100.0, 50.0]), scale: 2.0 };
        painted(content, fit).map(|b| [b.x, b.y, b.width, b.height])
    };
    assert_eq!(at("contain", "50% 50%"), Some([100.0, 100.0, 400.0, 200.0]));
    assert_eq!(at("contain", "0% 10px"), Some([100.0, 20.0, 400.0, 200.0]));
    assert_eq!(at("none", "0% 0%"), Some([100.0, 0.0, 200.0, 100.0]));
    assert_eq!(at("scale-down", "100% 100%"), Some([300.0, 300.0, 200.0, 100.0]));
    assert_eq!(at("cover", "50% 50%"), Some([-100.0, 0.0, 800.0, 400.0]));
    assert_eq!(at("fill", "50% 50%"), Some([100.0, 0.0, 400.0, 400.0]));
    assert_eq!(at("contain", "left 3px top 4px"), None);
}

proptest! {
    #[test]
    fn any_style_gives_an_answer(
        numbers in proptest::collection::vec(proptest::num::f64::ANY, 10),
        texts in proptest::collection::vec("[a-z0-9 %.,()-]{0,40}", 6),
        clip in prop_oneof![Just("polygon("), Just("inset("), Just("circle("), Just("ellipse(")],
    ) {
        let node = Node {
            x: numbers[0], y: numbers[1], width: numbers[2], height: numbers[3], own: [numbers[4], numbers[5]],
            inner: [numbers[6], numbers[7], 0.0, 0.0], cuts: [true, false],
            radius: texts[0].clone(), clip_path: format!("{clip}{})", texts[1]), transform: texts[2].clone(),
            rotate: texts[3].clone(), scale: texts[4].clone(), translate: texts[4].clone(), origin: texts[1].clone(), filter: texts[5].clone(), opacity: Some(numbers[8]), strange: false,
        };
        let fit = Fit { object_fit: &texts[0], object_position: &texts[1], natural: Some([numbers[9], 1.0]), scale: numbers[0] };
        let _shape = shape(&[node.clone(), node], Some(1), fit);
        let _painted = painted(Box4 { x: numbers[0], y: numbers[1], width: numbers[2], height: numbers[3] }, fit);
    }
}
