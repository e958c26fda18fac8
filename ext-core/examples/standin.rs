//! Writes stand-in media to files, for drivers that try it in a browser.
//!
//! Reads one command a line: `init FILE VIDEO AUDIO DURATION`, `media FILE VIDEO AUDIO START END`,
//! `mime VIDEO AUDIO` or `reconcile VIDEO AUDIO NATIVE DEVICE`, with VIDEO as `WxH` or `-`, AUDIO as `0` or `1`,
//! times in microseconds, DURATION `-` for live, and ranges as `START-END,START-END,…` or `-`. Answers each with a
//! line: `ok BYTES`, the type, the steps (`remove START END append START END …`), or `error`.

use std::io::{BufRead as _, Write as _};

use offstage_ext_core::reconcile::{Step, reconcile_for};
use offstage_ext_core::standin::{StandInConfig, init_segment, media_segments, mime};
use offstage_protocol::ranges::Ranges;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = run(&words)?.unwrap_or_else(|| "error".to_owned());
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn run(words: &[&str]) -> std::io::Result<Option<String>> {
    let write = |file: &str, bytes: Option<Vec<u8>>| {
        let Some(bytes) = bytes else { return Ok(None) };
        std::fs::write(file, &bytes)?;
        Ok(Some(format!("ok {}", bytes.len())))
    };
    match *words {
        ["mime", video, audio] => Ok(config(video, audio, "-").map(|c| mime(&c))),
        ["init", file, video, audio, duration] => {
            write(file, config(video, audio, duration).map(|c| init_segment(&c)))
        }
        ["media", file, video, audio, start, end] => {
            let times = start.parse().ok().zip(end.parse().ok());
            let config = config(video, audio, "-");
            write(file, config.zip(times).map(|(c, (start, end))| media_segments(&c, start, end)))
        }
        ["reconcile", video, audio, native, device] => Ok(config(video, audio, "-").map(|config| {
            let steps = reconcile_for(&config, &ranges(native), &ranges(device), 0);
            let words = steps.iter().map(|step| match step {
                Step::Remove { start_us, end_us } => format!("remove {start_us} {end_us}"),
                Step::Append { start_us, end_us } => format!("append {start_us} {end_us}"),
            });
            words.collect::<Vec<_>>().join(" ")
        })),
        _ => Ok(None),
    }
}

fn ranges(list: &str) -> Ranges {
    let pair = |range: &str| {
        let (start, end) = range.split_once('-')?;
        Some((start.parse().ok()?, end.parse().ok()?))
    };
    Ranges::from_pairs(list.split(',').filter_map(pair))
}

fn config(video: &str, audio: &str, duration: &str) -> Option<StandInConfig> {
    let video = match video.split_once('x') {
        Some((w, h)) => Some((w.parse().ok()?, h.parse().ok()?)),
        None => None,
    };
    Some(StandInConfig { video, audio: audio == "1", duration_us: duration.parse().ok() })
}
