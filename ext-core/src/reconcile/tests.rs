use offstage_protocol::ranges::Ranges;
use proptest::prelude::*;

use super::{MAX_APPENDS, Step, reconcile, reconcile_for, with_gaps_closed};
use crate::standin::parsed::{Run, parse};
use crate::standin::{MAX_APPEND_US, StandInConfig, media_segments};

/// One track of Chromium's `SourceBufferStream`: ranges of samples, joined when they lie within twice the longest
/// sample that the buffer has ever held.
#[derive(Debug, Default)]
struct Track {
    ranges: Vec<Vec<(u64, u64)>>,
    longest: u64,
    /// The last sample that was appended.
    last: Option<(u64, u64)>,
}

impl Track {
    /// Coded frame removal: whole samples that start inside go. Every sample stands alone, so nothing more.
    fn remove(&mut self, start: u64, end: u64) {
        let ranges = std::mem::take(&mut self.ranges);
        for samples in ranges {
            let (before, rest): (Vec<_>, Vec<_>) = samples.into_iter().partition(|s| s.0 < start);
            let after: Vec<_> = rest.into_iter().filter(|s| s.0 >= end).collect();
            self.ranges.extend([before, after].into_iter().filter(|r| !r.is_empty()));
        }
    }

    fn append(&mut self, run: &Run) {
        let samples = run.samples();
        let (Some(first), Some(last)) = (samples.first().copied(), samples.last().copied()) else { return };
        self.longest = samples.iter().map(|s| s.1).fold(self.longest, u64::max);
        // An append shortly after the last one, into a range that still holds it, continues the group of frames: the step
        // between them counts as a distance of samples.
        let last_held = self.last.filter(|s| self.ranges.iter().any(|r| r.contains(s)));
        let step = last_held.and_then(|s| first.0.checked_sub(s.0));
        if let Some(step) = step.filter(|step| *step <= 2 * self.longest) {
            self.longest = self.longest.max(step);
        }
        self.last = Some(last);
        self.remove(first.0, last.0 + last.1);
        let at = self.ranges.partition_point(|r| r[0].0 < first.0);
        self.ranges.insert(at, samples);
        self.join(at);
        if at > 0 {
            self.join(at - 1);
        }
    }

    /// Joins a range with the next one, if that begins soon enough after its last sample.
    fn join(&mut self, at: usize) {
        let last = self.ranges[at][self.ranges[at].len() - 1];
        if self.ranges.get(at + 1).is_some_and(|next| next[0].0 <= last.0 + 2 * self.longest) {
            let next = self.ranges.remove(at + 1);
            self.ranges[at].extend(next);
        }
    }

    fn buffered(&self) -> Ranges {
        let ends =
            |r: &Vec<(u64, u64)>| r.first().zip(r.last()).map(|(first, last)| (first.0, last.0 + last.1));
        Ranges::from_pairs(self.ranges.iter().filter_map(ends))
    }
}

/// A `SourceBuffer` that is given real segments.
#[derive(Debug)]
struct Model {
    config: StandInConfig,
    tracks: [Track; 2],
    appended_to: u64,
}

impl Model {
    fn new(video: bool, audio: bool) -> Self {
        let config = StandInConfig { video: video.then_some((640, 360)), audio, duration_us: None };
        Self { config, tracks: Default::default(), appended_to: 0 }
    }

    fn apply(&mut self, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Remove { start_us, end_us } => {
                    for track in &mut self.tracks {
                        track.remove(start_us, end_us);
                    }
                }
                Step::Append { start_us, end_us } => {
                    self.appended_to = end_us;
                    assert!(start_us < end_us && end_us - start_us <= MAX_APPEND_US, "{step:?}");
                    for run in parse(&media_segments(&self.config, start_us, end_us)) {
                        self.tracks[run.track - 1].append(&run);
                    }
                }
            }
        }
    }

    fn buffered(&self) -> Ranges {
        let [video, audio] = &self.tracks;
        match (self.config.video, self.config.audio) {
            (Some(_), true) => video.buffered().intersect(&audio.buffered()),
            (Some(_), false) => video.buffered(),
            (None, _) => audio.buffered(),
        }
    }

    /// Brings the buffer to what the device holds and checks that one pass did it.
    fn follow(&mut self, device: &Ranges) {
        let steps = reconcile_for(&self.config, &self.buffered(), device, self.appended_to);
        let appends = steps.iter().skip_while(|s| matches!(s, Step::Remove { .. }));
        assert!(appends.clone().all(|s| matches!(s, Step::Append { .. })), "{steps:?}");
        self.apply(&steps);
        assert_eq!(self.buffered(), with_gaps_closed(&self.config, device), "after {steps:?}");
        assert_eq!(reconcile_for(&self.config, &self.buffered(), device, self.appended_to), []);
    }
}

/// Device ranges with the ends that make trouble: on and near sample boundaries, tiny, huge, nearly touching.
fn device() -> impl Strategy<Value = Ranges> {
    let at = prop_oneof![
        0_u64..3_000_000,
        (0_u64..200).prop_map(|n| n * 31_250),
        (0_u64..300).prop_map(|n| n * 20_000),
        (0_u64..12, 0_u64..2_000).prop_map(|(n, d)| (n * 500_000 + d).saturating_sub(1_000)),
    ];
    let length = prop_oneof![1_u64..2_000, 1_000_u64..120_000, 100_000_u64..4_000_000];
    proptest::collection::vec((at, length), 0..6).prop_map(|pairs| {
        Ranges::from_pairs(pairs.into_iter().map(|(start, length)| (start, start + length)))
    })
}

proptest! {
    #[test]
    fn one_pass_makes_the_native_ranges_equal_to_the_devices(
        kinds in prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))],
        history in proptest::collection::vec(device(), 1..6),
    ) {
        let mut model = Model::new(kinds.0, kinds.1);
        for device in &history {
            model.follow(device);
        }
    }

    #[test]
    fn small_changes_of_the_devices_ranges_are_followed(
        kinds in prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))],
        changes in proptest::collection::vec((any::<bool>(), device()), 1..12),
    ) {
        let mut model = Model::new(kinds.0, kinds.1);
        let mut now = Ranges::new();
        for (add, change) in &changes {
            now = if *add { now.union(change) } else { now.subtract(change) };
            model.follow(&now);
        }
    }

    #[test]
    fn any_numbers_give_bounded_steps(
        a in proptest::collection::vec(any::<u64>(), 0..8), b in proptest::collection::vec(any::<u64>(), 0..8),
    ) {
        let steps = reconcile(&Ranges::from_flat(&a), &Ranges::from_flat(&b));
        prop_assert!(steps.len() <= MAX_APPENDS + 8);
    }
}

#[test]
fn a_long_range_is_appended_in_pieces() {
    let steps = reconcile(&Ranges::new(), &Ranges::single(5, 2 * MAX_APPEND_US + 6));
    assert_eq!(
        steps,
        [
            Step::Append { start_us: 5, end_us: MAX_APPEND_US + 5 },
            Step::Append { start_us: MAX_APPEND_US + 5, end_us: 2 * MAX_APPEND_US + 5 },
            Step::Append { start_us: 2 * MAX_APPEND_US + 5, end_us: 2 * MAX_APPEND_US + 6 },
        ]
    );
}

#[test]
fn the_end_that_a_remove_leaves_is_written_again() {
    let steps = reconcile(&Ranges::single(0, 10_000_000), &Ranges::single(0, 4_012_345));
    assert_eq!(
        steps,
        [
            Step::Remove { start_us: 4_012_345, end_us: 10_000_000 },
            Step::Append { start_us: 3_500_000, end_us: 4_012_345 },
        ]
    );
}
