use expect_test::expect;
use proptest::prelude::*;

use super::parsed::{Run, children, find, parse, word};
use super::{MAX_APPEND_US, SEAM_US, StandInConfig, init_segment, media_segments, mime};

fn config(video: Option<(u32, u32)>, audio: bool) -> StandInConfig {
    StandInConfig { video, audio, duration_us: None }
}

/// The runs of a track, joined; consecutive fragments must fit together.
fn whole(runs: &[Run], track: usize) -> Option<Run> {
    let mut own = runs.iter().filter(|r| r.track == track).cloned();
    let first = own.next()?;
    Some(own.fold(first, |mut all, next| {
        assert_eq!(all.end(), next.start);
        all.content.extend(next.content);
        all
    }))
}

/// The slices and other units of a video sample.
fn units(sample: &[u8]) -> Vec<u8> {
    let (length, unit) = sample.split_at(4);
    assert_eq!(usize::try_from(word(length, 0)).unwrap(), unit.len());
    vec![unit[0]]
}

fn kinds() -> impl Strategy<Value = StandInConfig> {
    prop_oneof![
        Just(config(Some((640, 360)), false)),
        Just(config(None, true)),
        Just(config(Some((1921, 1081)), true)),
    ]
}

proptest! {
    #[test]
    fn samples_cover_the_range_to_the_microsecond(
        config in kinds(), start in prop_oneof![0_u64..40_000_000, any::<u64>()],
        length in prop_oneof![0_u64..3_000, 0_u64..25_000_000],
    ) {
        let end = start.saturating_add(length);
        let runs = parse(&media_segments(&config, start, end));
        for track in [1, 2] {
            let wanted = start < end && if track == 1 { config.video.is_some() } else { config.audio };
            let run = whole(&runs, track);
            prop_assert_eq!(run.is_some(), wanted);
            let Some(run) = run else { continue };
            prop_assert_eq!((run.start, run.end()), (start, end));
            let longest = if track == 1 { 32_250 } else { 21_000 };
            let count = run.content.len();
            for (index, (at, duration)) in run.samples().into_iter().enumerate() {
                prop_assert!(duration < longest, "{at} {duration}");
                prop_assert!(duration >= 1_000 || count == 1, "{at} {duration}");
                let sticks_over = (at / SEAM_US + 1) * SEAM_US < at + duration && index > 0 && end - at > 40_000;
                prop_assert!(!sticks_over, "{at} {duration}");
            }
            if track == 1 {
                let is_picture = |sample: &(u32, Vec<u8>)| units(&sample.1) == [0x65];
                prop_assert!(run.content.last().is_some_and(is_picture));
                let pictures: Vec<_> = (0..count).filter(|&n| is_picture(&run.content[n])).collect();
                let ahead: Vec<_> = pictures.iter().filter(|n| *n + 1 < count).copied().collect();
                prop_assert!(u64::try_from(ahead.len()).unwrap() <= 1 + (end - start) / 900_000, "{pictures:?}");
                prop_assert!(ahead.windows(2).all(|p| p[1] - p[0] <= 50), "{pictures:?}");
                prop_assert!(pictures.last() == Some(&(count - 1)), "{pictures:?} of {count}");
            }
        }
    }

    #[test]
    fn any_input_gives_bounded_bytes(
        width in any::<u32>(), height in any::<u32>(), audio in any::<bool>(), duration_us in any::<Option<u64>>(),
        start in any::<u64>(), end in any::<u64>(),
    ) {
        let config = StandInConfig { video: Some((width, height)), audio, duration_us };
        prop_assert!(mime(&config).len() < 60);
        prop_assert!(init_segment(&config).len() < 1_500);
        let end = end.min(start.saturating_add(20_000_000));
        prop_assert!(media_segments(&config, start, end).len() < 80_000);
    }
}

#[test]
fn an_hour_is_small_and_is_cut_off_at_the_cap() {
    let media = media_segments(&config(Some((1920, 1080)), true), 0, u64::MAX);
    let runs = parse(&media);
    assert_eq!(whole(&runs, 1).map(|r| r.end()), Some(MAX_APPEND_US));
    let a_second = |video, audio| media_segments(&config(video, audio), 0, MAX_APPEND_US).len() / 600;
    expect!["picture 372, sound 660, both 1029 bytes a second"].assert_eq(&format!(
        "picture {}, sound {}, both {} bytes a second",
        a_second(Some((1920, 1080)), false),
        a_second(None, true),
        a_second(Some((1920, 1080)), true)
    ));
}

#[test]
fn the_shown_size_is_exact() {
    for (width, height) in
        [(1920, 1080), (1080, 1920), (427, 240), (640, 361), (1921, 1081), (15, 9), (1, 1), (7680, 4320)]
    {
        let init = init_segment(&config(Some((width, height)), false));
        let stsd = find(&init, &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"]).unwrap();
        let (_, entry, _) = children(&stsd[8..])[0];
        let coded = word(entry, 6);
        let (w, h) = (f64::from(coded >> 16), f64::from(coded & 0xffff));
        let pasp = find(&entry[78..], &[b"pasp"]).unwrap();
        let aspect = f64::from(word(pasp, 0)) / f64::from(word(pasp, 1));
        // How Chromium stretches: wide samples widen, narrow samples heighten.
        let shown = if aspect >= 1.0 { ((w * aspect).round(), h) } else { (w, (h / aspect).round()) };
        assert_eq!(shown, (f64::from(width), f64::from(height)));
        assert!(w.min(h) <= 16.0);
    }
}

#[test]
fn types_name_the_codecs() {
    let types = [(Some((1920, 1080)), true), (Some((16, 7680)), false), (None, false)]
        .map(|(v, a)| mime(&config(v, a)));
    expect![[r#"
        video/mp4; codecs="avc1.64001e,flac"
        video/mp4; codecs="avc1.64001e"
        audio/mp4; codecs="flac""#]]
    .assert_eq(&types.join("\n"));
}

#[test]
fn a_live_presentation_has_no_duration() {
    let with = |duration_us| init_segment(&StandInConfig { video: None, audio: true, duration_us });
    assert_eq!(find(&with(None), &[b"moov", b"mvex", b"mehd"]), None);
    let mehd = with(Some(12_345_678));
    assert_eq!(word(find(&mehd, &[b"moov", b"mvex", b"mehd"]).unwrap(), 2), 12_345_678);
}

#[test]
fn nothing_comes_of_an_empty_range() {
    assert!(media_segments(&config(None, true), 5, 5).is_empty());
    assert!(media_segments(&config(None, true), 6, 5).is_empty());
}
