//! Reads the stand-in's own boxes back, for tests: strict, so that anything odd fails the test.

/// The samples of one `traf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub track: usize,
    pub start: u64,
    /// Duration and bytes of each sample.
    pub content: Vec<(u32, Vec<u8>)>,
}

impl Run {
    /// Start and duration of each sample.
    pub(crate) fn samples(&self) -> Vec<(u64, u64)> {
        let mut at = self.start;
        let mut next = |duration: u32| {
            let start = at;
            at += u64::from(duration);
            (start, u64::from(duration))
        };
        self.content.iter().map(|(duration, _)| next(*duration)).collect()
    }

    pub(crate) fn end(&self) -> u64 {
        self.samples().last().map_or(self.start, |s| s.0 + s.1)
    }
}

/// All runs of a sequence of `moof` and `mdat`.
pub(crate) fn parse(media: &[u8]) -> Vec<Run> {
    let boxes = children(media);
    let mut runs = Vec::new();
    for pair in boxes.chunks(2) {
        let [(moof_kind, moof, moof_at), (mdat_kind, mdat, mdat_at)] = pair else { panic!("odd box") };
        assert_eq!((moof_kind, mdat_kind), (b"moof", b"mdat"));
        let from = usize::try_from(mdat_at - moof_at).unwrap();
        let mut used = 0;
        for (kind, traf, _) in children(moof) {
            match &kind {
                b"mfhd" => {}
                b"traf" => runs.push(run(traf, mdat, from, &mut used)),
                other => panic!("{other:?} in moof"),
            }
        }
        assert_eq!(used, mdat.len(), "mdat has bytes that no sample claims");
    }
    runs
}

/// Kind, content and place of each box.
pub(crate) fn children(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8], u64)> {
    let mut list = Vec::new();
    let mut at = 0;
    while !bytes.is_empty() {
        let size = usize::try_from(word(bytes, 0)).unwrap();
        list.push((bytes[4..8].try_into().unwrap(), &bytes[8..size], at));
        at += u64::try_from(size).unwrap();
        bytes = &bytes[size..];
    }
    list
}

/// The content of the box at a path of kinds.
pub(crate) fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    let Some((kind, rest)) = path.split_first() else { return Some(bytes) };
    let (_, content, _) = children(bytes).into_iter().find(|(k, _, _)| k == *kind)?;
    find(content, rest)
}

pub(crate) fn word(bytes: &[u8], index: usize) -> u32 {
    u32::from_be_bytes(bytes[index * 4..index * 4 + 4].try_into().unwrap())
}

fn run(traf: &[u8], mdat: &[u8], mdat_from: usize, used: &mut usize) -> Run {
    let boxes = children(traf);
    let [(tfhd_kind, tfhd, _), (tfdt_kind, tfdt, _), truns @ ..] = boxes.as_slice() else {
        panic!("odd traf")
    };
    assert_eq!((tfhd_kind, tfdt_kind), (b"tfhd", b"tfdt"));
    let flags = word(tfhd, 0);
    assert!(flags == 0x2_0028 || flags == 0x2_0038, "{flags:x}");
    let default_size = (flags & 0x10 != 0).then(|| word(tfhd, 3));
    assert_eq!(word(tfhd, tfhd.len() / 4 - 1), 0x0200_0000, "every sample is a sync sample");
    assert_eq!(word(tfdt, 0), 0x0100_0000);
    let start = u64::from(word(tfdt, 1)) << 32 | u64::from(word(tfdt, 2));
    let mut content = Vec::new();
    for (kind, trun, _) in truns {
        assert_eq!(kind, b"trun");
        let flags = word(trun, 0);
        assert_eq!(flags & !0x300, 1);
        assert_eq!(usize::try_from(word(trun, 2)).unwrap(), mdat_from + 8 + *used, "data offset");
        let mut fields = (3..trun.len() / 4).map(|index| word(trun, index));
        for _ in 0..word(trun, 1) {
            let duration = if flags & 0x100 != 0 { fields.next().unwrap() } else { word(tfhd, 2) };
            let size = default_size.unwrap_or_else(|| fields.next().unwrap());
            let to = *used + usize::try_from(size).unwrap();
            content.push((duration, mdat[*used..to].to_vec()));
            *used = to;
        }
        assert_eq!(fields.next(), None);
    }
    Run { track: usize::try_from(word(tfhd, 1)).unwrap(), start, content }
}
