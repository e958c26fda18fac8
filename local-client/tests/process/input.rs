//! Clicks and keys go to what lies below the picture.

use offstage_protocol::message::Rect;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use crate::client::Client;
use crate::client::Options;
use crate::display::Display;

#[test]
fn a_click_on_the_picture_arrives_below_it() {
    let display = Display::start();
    let window = display.window(100, 50, 900, 700);
    let arguments = vec![format!("--parent-window={window}")];
    let client = Client::start(Options { display: Some(&display), arguments, path: None });
    let mut session = client.ready_session();
    session.open(1);
    let area = Rect { x: 20, y: 30, width: 200, height: 100 };
    session.place(1, Rect { x: 100, y: 50, width: 900, height: 700 }, area, &[area]);
    session.until("the picture is there", |_| (display.pixel(200, 100) == 0xff00).then_some(()));

    let fake = |kind, detail, x, y| {
        display.conn.xtest_fake_input(kind, detail, x11rb::CURRENT_TIME, display.root, x, y, 0).unwrap();
    };
    fake(xproto::MOTION_NOTIFY_EVENT, 0, 200, 100);
    fake(xproto::BUTTON_PRESS_EVENT, 1, 0, 0);
    fake(xproto::BUTTON_RELEASE_EVENT, 1, 0, 0);
    display.conn.sync().unwrap();
    let press = session.until("the click arrives", |_| match display.conn.poll_for_event().unwrap() {
        Some(Event::ButtonPress(press)) => Some(press),
        _ => None,
    });
    assert_eq!((press.event, press.child), (window, x11rb::NONE));
    assert_eq!((press.event_x, press.event_y), (100, 50));
}
