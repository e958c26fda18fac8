//! Calls: what is passed on to the browser, what is refused before.

use offstage_protocol::message::{
    CallEvent, CallRequest, CloseCall, OpenPlayer, PlayTracks, StageCall, ToDeviceKind, ToStageKind, TrackRef,
};

use crate::machine::calls::{VERBS, Verb};
use crate::machine::event::{Command, Event, Exception};
use crate::machine::tests::fake::{Bench, Said};

fn open(bench: &mut Bench, call: u32) {
    bench.send_stage(ToStageKind::Call(StageCall { call, salt: "s".to_owned(), permitted: false }));
}

fn ask(bench: &mut Bench, call: u32, request: u32, verb: &str, arguments: String) {
    let verb = verb.to_owned();
    let asked = CallRequest { call, request, verb, arguments, ..CallRequest::default() };
    bench.send(ToDeviceKind::CallRequest(asked));
}

/// Verbs that the browser is to carry out.
fn verbs(bench: &mut Bench) -> Vec<(u32, Verb)> {
    let step = |command| {
        let Command::Call(step) = command else { return None };
        Some((step.request, step.verb))
    };
    bench.commands().into_iter().filter_map(step).collect()
}

#[test]
fn known_verbs_of_open_calls_are_carried_out_and_answered() {
    let mut bench = Bench::default();
    ask(&mut bench, 1, 1, "connect", String::new());
    open(&mut bench, 1);
    ask(&mut bench, 1, 2, "connect", "[{}]".to_owned());
    ask(&mut bench, 1, 3, "eval", "[\"1\"]".to_owned());
    ask(&mut bench, 1, 4, "createOffer", "x".repeat(600_000));
    assert_eq!(verbs(&mut bench), [(2, Verb::Connect)]);
    let refused = |request: u32, name: &str| Said::Answer(request, name.to_owned());
    assert_eq!(bench.said(), [refused(3, "NotSupportedError"), refused(4, "OperationError")]);
    bench.event(Event::CallAnswered { call: 1, request: 2, result: Ok("{}".to_owned()) });
    let exception = Exception { name: "InvalidStateError".to_owned(), message: String::new() };
    bench.event(Event::CallAnswered { call: 1, request: 5, result: Err(exception) });
    bench.event(Event::CallAnswered { call: 2, request: 6, result: Ok("{}".to_owned()) });
    assert_eq!(bench.said(), [refused(2, ""), refused(5, "InvalidStateError")]);
}

#[test]
fn a_page_that_asks_faster_than_the_browser_answers_is_refused() {
    let mut bench = Bench::default();
    open(&mut bench, 1);
    for request in 0..1001 {
        ask(&mut bench, 1, request, "getStats", String::new());
    }
    assert_eq!((verbs(&mut bench).len(), bench.said().len()), (1000, 1));
    bench.event(Event::CallAnswered { call: 1, request: 0, result: Ok(String::new()) });
    ask(&mut bench, 1, 2000, "getStats", String::new());
    assert_eq!(verbs(&mut bench), [(2000, Verb::GetStats)]);
}

#[test]
fn calls_end_with_their_session_and_with_the_client_and_there_are_not_too_many() {
    let mut bench = Bench::default();
    for call in 1..=65 {
        open(&mut bench, call);
    }
    assert_eq!(bench.said(), [Said::CallFailed(65)]);
    bench.commands();
    bench.send_stage(ToStageKind::EndCall(CloseCall { call: 1 }));
    assert_eq!(bench.commands(), [Command::EndCall { call: 1 }]);
    let event =
        |call: u32| Event::CallHappened(CallEvent { call, event: "x".to_owned(), ..CallEvent::default() });
    bench.event(event(1));
    bench.event(event(2));
    assert_eq!(bench.said(), [Said::Happened("x".to_owned())]);
    bench.stage.handle_disconnected(bench.now);
    let ended = bench.commands().iter().filter(|command| matches!(command, Command::EndCall { .. })).count();
    assert_eq!(ended, 63);
}

#[test]
fn a_player_shows_the_newest_tracks_as_soon_as_it_has_its_element() {
    let mut bench = Bench::default();
    bench.send(ToDeviceKind::OpenPlayer(OpenPlayer { player: 1, ..OpenPlayer::default() }));
    let play = |target: u32| PlayTracks {
        player: 1,
        call: 1,
        tracks: vec![TrackRef { target, transceiver: String::new() }],
        sink: String::new(),
    };
    bench.send(ToDeviceKind::PlayTracks(play(1)));
    bench.send(ToDeviceKind::PlayTracks(play(2)));
    bench.commands();
    bench.event(Event::WindowReady { player: 1 });
    assert!(bench.commands().contains(&Command::PlayTracks(play(2))));
    bench.send(ToDeviceKind::PlayTracks(play(3)));
    assert_eq!(bench.commands(), [Command::PlayTracks(play(3))]);
}

#[test]
fn the_protocols_document_has_the_verbs() {
    let document = include_str!("../../../../protocol/PROTOCOL.md");
    let (_, chapter) = document.split_once("### Verbs of calls").unwrap();
    let (chapter, _) = chapter.split_once("## 11.").unwrap();
    let rows: Vec<_> =
        chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(rows, VERBS.map(|(text, _)| text));
}
