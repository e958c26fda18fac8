use proptest::prelude::*;

use super::*;

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

fn binding(key: &[u8], exported: u8) -> Binding {
    Binding { session: Pin::of(b"session"), device: Pin::of(key), exported: [exported; 32] }
}

fn ends(typed: &str, shown: &Binding) -> (SessionPairing, DevicePairing) {
    let session = SessionPairing::new(&code(typed), &binding(b"device", 1), "ann@host").unwrap();
    (session, DevicePairing::new(shown.clone(), "laptop"))
}

/// Lets the two talk until neither says more; what each has found out.
fn talk(
    (mut session, mut device): (SessionPairing, DevicePairing),
    shown: &Result<Code, fn() -> PairingError>,
) -> (String, String) {
    let mut found = (String::new(), String::new());
    loop {
        let mut quiet = true;
        while let Some(bytes) = session.poll_transmit() {
            quiet = false;
            device.handle_bytes(&bytes);
        }
        while let Some(event) = device.poll_event() {
            quiet = false;
            match event {
                PairingEvent::CodeWanted => device.handle_code(shown.clone().map_err(|error| error())),
                PairingEvent::Proved { name } => {
                    found.1 = name;
                    device.handle_kept(Ok(()));
                }
                PairingEvent::Failed(error) => found.1 = error.code().to_string(),
            }
        }
        while let Some(bytes) = device.poll_transmit() {
            quiet = false;
            session.handle_bytes(&bytes);
        }
        while let Some(event) = session.poll_event() {
            match event {
                PairingEvent::CodeWanted => panic!("the session has the code"),
                PairingEvent::Proved { name } => found.0 = name,
                PairingEvent::Failed(error) => found.0 = error.code().to_string(),
            }
        }
        if quiet {
            return found;
        }
    }
}

fn check_talk(typed: &str, shown: &Binding, expected: (&str, &str)) {
    let found = talk(ends(typed, shown), &Ok(code("ABCD-2345")));
    assert_eq!((found.0.as_str(), found.1.as_str()), expected);
}

#[test]
fn the_same_code_makes_them_known_to_each_other() {
    check_talk("ABCD-2345", &binding(b"device", 1), ("laptop", "ann@host"));
}

#[test]
fn another_code_another_key_or_another_connection_does_not() {
    let wrong = ("OFS-1042", "OFS-1042");
    check_talk("ABCD-2346", &binding(b"device", 1), wrong);
    check_talk("ABCD-2345", &binding(b"somebody in between", 1), wrong);
    check_talk("ABCD-2345", &binding(b"device", 2), wrong);
}

#[test]
fn a_device_without_a_code_says_why() {
    for (error, code) in [
        ((|| PairingError::CodeExpired) as fn() -> _, "OFS-1043"),
        (|| PairingError::TriesUsedUp, "OFS-1044"),
        (|| PairingError::NotPairing, "OFS-1047"),
    ] {
        let found = talk(ends("ABCD-2345", &binding(b"device", 1)), &Err(error));
        assert_eq!((found.0.as_str(), found.1.as_str()), (code, code));
    }
}

#[test]
fn a_device_that_only_claims_to_know_the_code_is_not_believed() {
    let (mut session, _) = ends("ABCD-2345", &binding(b"device", 1));
    let packet = Start::decode(&session.poll_transmit().unwrap()[4..]).unwrap().packet;
    // The session's own point, sent back.
    let answer = FromDevice { kind: Some(FromDeviceKind::Answer(packet[16..].to_vec())) };
    session.handle_bytes(&Messages::write(&answer));
    let proof = FromSession::decode(&session.poll_transmit().unwrap()[2..]).unwrap();
    let Some(FromSessionKind::Confirm(proof)) = proof.kind else { panic!("no proof") };
    let done = FromDevice { kind: Some(FromDeviceKind::Done(Done { name: "x".to_owned(), proof })) };
    session.handle_bytes(&Messages::write(&done));
    assert!(matches!(session.poll_event(), Some(PairingEvent::Failed(PairingError::CodeWrong))));
}

#[test]
fn long_messages_and_those_out_of_turn_end_it() {
    let device = || DevicePairing::new(binding(b"device", 1), "laptop");
    let failed = |mut device: DevicePairing, bytes: &[u8]| {
        device.handle_bytes(bytes);
        std::iter::from_fn(|| device.poll_event())
            .any(|event| matches!(event, PairingEvent::Failed(PairingError::Malformed(_))))
    };
    assert!(failed(device(), &[0xff, 0xff]));
    assert!(failed(device(), &[0; 4096]));
    let confirm = FromSession { kind: Some(FromSessionKind::Confirm(vec![0; 32])) };
    assert!(failed(device(), &Messages::write(&confirm)));
    let start = FromSession { kind: Some(FromSessionKind::Start(Start::default())) };
    let twice = [Messages::write(&start), Messages::write(&start)].concat();
    assert!(failed(device(), &twice));
    let mut short = device();
    short.handle_bytes(&Messages::write(&start));
    short.handle_code(Ok(code("ABCD-2345")));
    assert!(short.poll_transmit().is_some(), "refused, and nothing breaks");
}

proptest! {
    #[test]
    fn no_bytes_break_either_end(bytes in proptest::collection::vec(any::<u8>(), 0..700), cut in 0usize..700) {
        let (mut session, mut device) = ends("ABCD-2345", &binding(b"device", 1));
        let cut = cut.min(bytes.len());
        for part in [&bytes[..cut], &bytes[cut..]] {
            session.handle_bytes(part);
            device.handle_bytes(part);
            device.handle_code(Ok(code("ABCD-2345")));
            device.handle_kept(Ok(()));
        }
        while let Some(event) = session.poll_event() {
            let proved = matches!(event, PairingEvent::Proved { .. });
            prop_assert!(!proved);
        }
        while let Some(event) = device.poll_event() {
            let proved = matches!(event, PairingEvent::Proved { .. });
            prop_assert!(!proved);
        }
    }
}
