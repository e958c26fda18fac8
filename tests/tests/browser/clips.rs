//! The ruler that the other tests measure with: the clips, the demo's player and the frame numbers, without Offstage.

use std::path::{Path, PathBuf};
use std::time::Duration;

use offstage_tests::cdp::Page;
use offstage_tests::frame_number;
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::xvfb::Picture;

/// A function that draws the video and answers the number in it.
const DRAW: &str = "() => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    return readFrameNumber(data, width, height);
}";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn serve_demo() -> Server {
    let (pages, clips) = (repository().join("www/demo"), repository().join("tests/clips"));
    Server::start(move |request| match request.path.strip_prefix("/clips/") {
        Some(clip) => Response::file(&clips, clip),
        None if request.path == "/" => Response::file(&pages, "index.html"),
        None => Response::file(&pages, &request.path),
    })
    .unwrap()
}

fn plain_browser() -> Session {
    let root = repository();
    let installation = Installation::new(&root.join("dist"), &root.join("target/debug"), "");
    Session::start(&installation, SessionOptions { redirect: false, ..SessionOptions::default() }).unwrap()
}

fn read_number(page: &Page) -> (u16, f64) {
    let wait = "new Promise((done) => video.requestVideoFrameCallback((_, { mediaTime }) => done";
    let answer = page.evaluate(&format!("{wait}([({DRAW})(), mediaTime])))")).unwrap();
    let number = answer[0].as_u64().and_then(|number| u16::try_from(number).ok());
    (number.expect("the frame carries no number"), answer[1].as_f64().unwrap())
}

/// Plays the clip, then seeks, and compares numbers with positions.
fn check(query: &str) {
    let server = serve_demo();
    let session = plain_browser();
    let page = session.open(&server.url(&format!("/?{query}"))).unwrap();
    page.evaluate(&format!("{}; globalThis.readFrameNumber = readFrameNumber; 0", frame_number::script()))
        .unwrap();
    page.wait_until("!demo.error && video.readyState >= 3 && !video.paused", Duration::from_secs(30))
        .unwrap();
    for position in [None, Some(17.45), Some(3.2)] {
        if let Some(position) = position {
            page.evaluate(&format!("video.currentTime = {position}; 0")).unwrap();
            page.wait_until("!video.seeking && video.readyState >= 3", Duration::from_secs(30)).unwrap();
        }
        for _ in 0..5 {
            let (number, time) = read_number(&page);
            // The canvas gets the frame that is current when it draws, which may be a later one than the callback's.
            let late = f64::from(number) - (time * 30.0).round();
            assert!((0.0..=3.0).contains(&late), "{query}: frame {number} at {time} s");
            let least = position.unwrap_or(0.0);
            assert!(
                time > least - 0.04 && time < least + 10.0,
                "{query}: {time} s after a seek to {least} s"
            );
        }
    }
    page.evaluate("video.pause(); video.currentTime = 20.01; 0").unwrap();
    // A paused video stands on the frame of its position, once that one is painted.
    page.wait_until(&format!("({DRAW})() === 600"), Duration::from_secs(30)).unwrap();
    // The end of the stream sets it to where the longest track ends, which is not to the microsecond where the film does.
    let duration = page.evaluate("video.duration").unwrap().as_f64().unwrap();
    assert!((duration - 30.0).abs() < 0.05, "{query}: {duration} s");
    session.close();
}

#[test]
fn h264_in_two_tracks_shows_the_frame_that_its_time_says() {
    check("clip=h264&tracks=demuxed");
}

#[test]
fn h264_in_one_stream_shows_the_frame_that_its_time_says() {
    check("clip=h264&tracks=muxed");
}

#[test]
fn vp9_in_two_tracks_shows_the_frame_that_its_time_says() {
    check("clip=vp9&tracks=demuxed");
}

#[test]
fn vp9_in_one_stream_shows_the_frame_that_its_time_says() {
    check("clip=vp9&tracks=muxed");
}

#[test]
fn the_number_is_read_from_a_screenshot_as_well() {
    let server = serve_demo();
    let session = plain_browser();
    let page = session.open(&server.url("/?autoplay=0")).unwrap();
    page.wait_until("video.readyState >= 3", Duration::from_secs(30)).unwrap();
    page.evaluate("video.currentTime = 10.02; 0").unwrap();
    page.wait_until("!video.seeking && video.readyState >= 3", Duration::from_secs(30)).unwrap();
    let place = page
        .evaluate("(({ x, y, width, height }) => [x, y, width, height])(video.getBoundingClientRect())")
        .unwrap();
    let [x, y, width, height] = [0, 1, 2, 3].map(|index| {
        let value = place[index].as_f64().unwrap();
        assert_eq!(value, value.round(), "the element does not lie on whole pixels");
        format!("{value}").parse::<usize>().unwrap()
    });
    let picture =
        Picture::from_png(&page.screenshot_png().unwrap()).unwrap().crop(x, y, width, height).unwrap();
    assert_eq!(frame_number::read(picture.rgb(), width, height), Some(300));
    session.close();
}
