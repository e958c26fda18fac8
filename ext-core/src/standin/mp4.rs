//! The boxes of fragmented MP4 (ISO/IEC 14496-12, 14496-15) that the stand-in needs.

/// Units a second of every time in the file, so that any microsecond is exact.
pub(super) const TIMESCALE: u32 = 1_000_000;

/// `sample_flags` of a sample that decoding can start with: depends on no other, not a non-sync sample.
const SYNC: u32 = 0x0200_0000;

const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// What a track holds.
#[derive(Debug, Clone)]
pub(super) struct TrackHeader {
    pub id: u32,
    /// The size that the page sees, `None` for sound.
    pub size: Option<(u32, u32)>,
    /// The sample entry, a whole box.
    pub entry: Vec<u8>,
}

/// One sample of a fragment; decoding can start with any.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub duration: u32,
    pub data: Vec<u8>,
}

/// The samples of one track in one fragment, without gaps from `start`.
#[derive(Debug, Clone)]
pub(super) struct TrackRun {
    pub id: u32,
    pub start: u64,
    pub samples: Vec<Sample>,
}

pub(super) fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let size = 8 + parts.iter().map(|p| p.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend(count(size).to_be_bytes());
    out.extend(kind);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Big endian words, what most of these boxes consist of.
pub(super) fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// `ftyp` and `moov`. Without a duration the presentation is unbounded.
pub(super) fn initialization(tracks: &[TrackHeader], duration_us: Option<u64>) -> Vec<u8> {
    let mut out = boxed(b"ftyp", &[b"iso6", &words(&[0]), b"iso6mp41"]);
    let mvhd = boxed(
        b"mvhd",
        &[
            &words(&[0, 0, 0, TIMESCALE, 0, 0x1_0000, 0x100_0000, 0, 0]),
            &words(&MATRIX),
            &words(&[0, 0, 0, 0, 0, 0, u32::MAX]),
        ],
    );
    let traks: Vec<u8> = tracks.iter().flat_map(trak).collect();
    let mehd =
        duration_us.map_or_else(Vec::new, |d| boxed(b"mehd", &[&words(&[0x100_0000]), &d.to_be_bytes()]));
    let trexs: Vec<u8> =
        tracks.iter().flat_map(|t| boxed(b"trex", &[&words(&[0, t.id, 1, 0, 0, SYNC])])).collect();
    let mvex = boxed(b"mvex", &[&mehd, &trexs]);
    out.extend(boxed(b"moov", &[&mvhd, &traks, &mvex]));
    out
}

fn trak(track: &TrackHeader) -> Vec<u8> {
    let (width, height) = track.size.unwrap_or((0, 0));
    let volume = if track.size.is_some() { 0 } else { 0x100_0000 };
    let tkhd = boxed(
        b"tkhd",
        &[
            &words(&[3, 0, 0, track.id, 0, 0, 0, 0, 0, volume]),
            &words(&MATRIX),
            &words(&[width << 16, height << 16]),
        ],
    );
    // Language "und".
    let mdhd = boxed(b"mdhd", &[&words(&[0, 0, 0, TIMESCALE, 0, 0x55c4_0000])]);
    let (handler, header) = if track.size.is_some() {
        (b"vide", boxed(b"vmhd", &[&words(&[1, 0, 0])]))
    } else {
        (b"soun", boxed(b"smhd", &[&words(&[0, 0])]))
    };
    let hdlr = boxed(b"hdlr", &[&words(&[0, 0]), handler, &words(&[0, 0, 0]), b"Offstage\0"]);
    let dref = boxed(b"dref", &[&words(&[0, 1]), &boxed(b"url ", &[&words(&[1])])]);
    let stbl = boxed(
        b"stbl",
        &[
            &boxed(b"stsd", &[&words(&[0, 1]), &track.entry]),
            &boxed(b"stts", &[&words(&[0, 0])]),
            &boxed(b"stsc", &[&words(&[0, 0])]),
            &boxed(b"stsz", &[&words(&[0, 0, 0])]),
            &boxed(b"stco", &[&words(&[0, 0])]),
        ],
    );
    let minf = boxed(b"minf", &[&header, &boxed(b"dinf", &[&dref]), &stbl]);
    boxed(b"trak", &[&tkhd, &boxed(b"mdia", &[&mdhd, &hdlr, &minf])])
}

/// `moof` and `mdat` with the runs in the given order.
pub(super) fn fragment(runs: &[TrackRun]) -> Vec<u8> {
    let mfhd = boxed(b"mfhd", &[&words(&[0, 1])]);
    // The offsets into `mdat` depend on the size of `moof`, which does not depend on them.
    let size = 8 + mfhd.len() + runs.iter().map(|r| traf(r, 0).len()).sum::<usize>();
    let mut offset = size + 8;
    let mut trafs = Vec::new();
    let mut data = Vec::new();
    for run in runs {
        trafs.extend(traf(run, offset));
        for sample in &run.samples {
            data.extend_from_slice(&sample.data);
            offset += sample.data.len();
        }
    }
    let mut out = boxed(b"moof", &[&mfhd, &trafs]);
    out.extend(boxed(b"mdat", &[&data]));
    out
}

fn traf(run: &TrackRun, mut offset: usize) -> Vec<u8> {
    // Nearly all samples of a run last equally long, so the usual duration is the default, and stretches that differ
    // (the ends of a range) get a `trun` with durations of their own.
    let usual = usual(run.samples.iter().map(|s| s.duration));
    let size = usual_size(&run.samples);
    let mut header = vec![0x2_0028, run.id, usual, SYNC]; // default-base-is-moof; default duration and flags
    if let Some(size) = size {
        header = vec![0x2_0038, run.id, usual, size, SYNC];
    }
    let tfhd = boxed(b"tfhd", &[&words(&header)]);
    let tfdt = boxed(b"tfdt", &[&words(&[0x100_0000]), &run.start.to_be_bytes()]);
    let mut truns = Vec::new();
    for group in run.samples.chunk_by(|a, b| (a.duration == usual) == (b.duration == usual)) {
        let own_duration = group.first().is_some_and(|s| s.duration != usual);
        // Data offset, then per sample the duration and the size where they are not the default.
        let flags = 0x001 | if own_duration { 0x100 } else { 0 } | if size.is_none() { 0x200 } else { 0 };
        let mut fields = vec![flags, count(group.len()), count(offset)];
        for sample in group {
            if own_duration {
                fields.push(sample.duration);
            }
            if size.is_none() {
                fields.push(count(sample.data.len()));
            }
            offset += sample.data.len();
        }
        truns.extend(boxed(b"trun", &[&words(&fields)]));
    }
    boxed(b"traf", &[&tfhd, &tfdt, &truns])
}

/// The duration of the middle sample: the ends of a run are the odd ones.
fn usual(mut durations: impl ExactSizeIterator<Item = u32>) -> u32 {
    let middle = durations.len() / 2;
    durations.nth(middle).unwrap_or(0)
}

/// The size that all samples have, if there is one.
fn usual_size(samples: &[Sample]) -> Option<u32> {
    let size = samples.first()?.data.len();
    samples.iter().all(|s| s.data.len() == size).then(|| count(size))
}

/// Fragments are bounded far below 4 GiB by what `media_segments` makes at once.
fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
