//! What the cases are made of: pages, players from npm, media, live playlists; served on loopback.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use offstage_tests::server::{Request, Response, Server};
use offstage_tests::sites;

use crate::run::{check, is_on_path, say};
use crate::setup;
use crate::workspace::Workspace;

/// Seconds of one live segment, how many there are, and how many a playlist names at a time.
const LIVE: (u64, u64, u64) = (2, 8, 3);
/// What of a DASH stream has been there for so long when the page opens.
const DASH_BEFORE: Duration = Duration::from_secs(8);
/// Length of its segments and of their chunks.
const DASH_SEGMENT: Duration = Duration::from_secs(2);
const DASH_CHUNK: Duration = Duration::from_millis(500);
/// An FLV file that is sent as it would come from a camera: its length, and what of it is there at once.
const FLV: (Duration, Duration) = (Duration::from_secs(16), Duration::from_secs(2));

/// A server with everything on it; makes and installs what is not there yet.
pub(super) fn serve(workspace: &Workspace) -> Result<Server> {
    Server::start(handler(workspace)?)
}

/// What such a server answers. Under whatever path a case or a frame is asked for is a page that plays it.
pub(crate) fn handler(workspace: &Workspace) -> Result<impl Fn(&Request) -> Response + use<>> {
    let folders = Folders {
        pages: workspace.path("tests/differential"),
        players: players(workspace)?,
        media: media(workspace)?,
        opened: Mutex::new(Instant::now()),
    };
    Ok(move |request: &Request| folders.answer(request))
}

struct Folders {
    pages: PathBuf,
    players: PathBuf,
    media: PathBuf,
    /// When the page was asked for last: live streams begin there.
    opened: Mutex<Instant>,
}

impl Folders {
    fn open(&self) {
        if let Ok(mut opened) = self.opened.lock() {
            *opened = Instant::now();
        }
    }

    fn opened(&self) -> Instant {
        self.opened.lock().map_or_else(|_| Instant::now(), |opened| *opened)
    }

    fn answer(&self, request: &Request) -> Response {
        if sites::is_page(request) {
            self.open();
            return Response::file(&self.pages, "site.html");
        }
        let Some((folder, rest)) = request.path.trim_start_matches('/').split_once('/') else {
            return Response::not_found();
        };
        match folder {
            "page" => {
                if rest.ends_with(".html") {
                    self.open();
                }
                Response::file(&self.pages, rest)
            }
            "players" => Response::file(&self.players, rest),
            "media" => Response::file(&self.media, rest),
            "live" if rest == "live.m3u8" => {
                Response::new("application/vnd.apple.mpegurl", live(self.opened().elapsed().as_secs()))
            }
            "flv-live" => {
                let whole = Response::file(&self.media, rest);
                let gates = flv_gates(whole.body().len(), self.opened());
                whole.coming_into_being(gates)
            }
            "dash-live" | "dash-low" => {
                let found = Response::file(&self.media.join("dash-live"), rest);
                let chunked = folder == "dash-low";
                if rest == "manifest.mpd" {
                    let text = String::from_utf8_lossy(found.body());
                    return Response::new(
                        "application/dash+xml",
                        live_manifest(&text, self.opened(), chunked),
                    );
                }
                let gates = chunk_gates(rest, found.body(), self.opened());
                match gates.last() {
                    Some((_, complete)) if !chunked && *complete > Instant::now() => Response::not_found(),
                    Some(_) if chunked => found.coming_into_being(gates),
                    _ => found,
                }
            }
            "live" => Response::file(&self.media.join("hls-ts"), rest),
            // All but the first two segments are gone.
            "dash-missing"
                if !(rest.starts_with("init") || rest.ends_with("-00001.m4s") || rest.ends_with(".mpd")) =>
            {
                Response::not_found()
            }
            "dash-missing" => Response::file(&self.media.join("dash-h264"), rest),
            "missing"
                if rest.ends_with(".ts") && !rest.ends_with("-000.ts") && !rest.ends_with("-001.ts") =>
            {
                Response::not_found()
            }
            "missing" => Response::file(&self.media.join("hls-ts"), rest),
            _ => Response::not_found(),
        }
    }
}

/// The static manifest as that of a live stream, which began [`DASH_BEFORE`] before the page; its clock counts from 1970, as those of
/// services that never stop.
fn live_manifest(text: &str, opened: Instant, chunked: bool) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = since.saturating_sub(opened.elapsed()).saturating_sub(DASH_BEFORE).as_secs_f64();
    let length = text.split("mediaPresentationDuration=\"").nth(1).and_then(|rest| rest.split('"').next());
    let text = text
        .replace(&format!("mediaPresentationDuration=\"{}\"", length.unwrap_or_default()), "")
        .replace(
            "type=\"static\"",
            "type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:00Z\" minimumUpdatePeriod=\"PT30S\" \
             timeShiftBufferDepth=\"PT20S\" suggestedPresentationDelay=\"PT3S\"",
        )
        .replace("start=\"PT0.0S\"", &format!("start=\"PT{start:.3}S\""));
    let offset = "availabilityTimeOffset=\"1.500\"";
    text.replace(
        offset,
        &if chunked { format!("{offset} availabilityTimeComplete=\"false\"") } else { String::new() },
    )
}

/// When each chunk (`moof` and `mdat`) of a segment is there; nothing for an initialization segment.
fn chunk_gates(name: &str, segment: &[u8], opened: Instant) -> Vec<(usize, Instant)> {
    let number = name.rsplit('-').next().and_then(|last| last.strip_suffix(".m4s")?.parse::<u32>().ok());
    let Some(before) = number.and_then(|number| number.checked_sub(1)) else { return Vec::new() };
    let mut gates: Vec<(usize, Instant)> = Vec::new();
    let mut at = 0;
    while let Some((&length, rest)) = segment.get(at..).and_then(|rest| rest.split_first_chunk::<4>()) {
        if rest.starts_with(b"moof") {
            let there =
                DASH_SEGMENT * before + DASH_CHUNK * (u32::try_from(gates.len()).unwrap_or(u32::MAX) + 1);
            let from = if gates.is_empty() { 0 } else { at };
            gates.push((from, opened + there.saturating_sub(DASH_BEFORE)));
        }
        at += usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX).max(8);
    }
    gates
}

/// Pieces of a file that comes as fast as it plays.
fn flv_gates(length: usize, opened: Instant) -> Vec<(usize, Instant)> {
    let (whole, first) = FLV;
    let pieces = u32::try_from(whole.as_millis() / DASH_CHUNK.as_millis()).unwrap_or(1);
    (0..pieces)
        .map(|n| (length * n as usize / pieces as usize, opened + (DASH_CHUNK * n).saturating_sub(first)))
        .collect()
}

/// The playlist of a live stream that has been running for `seconds`: the clip over and over.
fn live(seconds: u64) -> String {
    let (length, segments, named) = LIVE;
    let first = seconds / length;
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{length}\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        first.saturating_sub(1) / segments
    );
    for number in first..first + named {
        if number > 0 && number % segments == 0 {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let _infallible = write!(text, "#EXTINF:{length}.000000,\n0-{:03}.ts\n", number % segments);
    }
    text
}

/// The players, as tests/differential/package-lock.json has them.
fn players(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("differential/players");
    let lock = "package-lock.json";
    let wanted = workspace.read(&format!("tests/differential/{lock}"))?;
    let modules = folder.join("node_modules");
    // npm writes this file last.
    let complete = modules.join(".package-lock.json").is_file();
    if complete && std::fs::read_to_string(folder.join(lock)).is_ok_and(|there| there == wanted) {
        return Ok(modules);
    }
    if !is_on_path("npm") {
        setup::install(&["nodejs", "npm"]).context("the players come from npm")?;
    }
    say("differential: installing the players from npm…");
    std::fs::create_dir_all(&folder)?;
    for file in ["package.json", lock] {
        std::fs::copy(workspace.path("tests/differential").join(file), folder.join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
    check(&mut npm)?;
    Ok(modules)
}

/// The media, made by tests/differential/make.sh.
fn media(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target().join("differential/media");
    let script = workspace.path("tests/differential/make.sh");
    let made_by = folder.join("made-by");
    let text = std::fs::read_to_string(&script)?;
    if std::fs::read_to_string(&made_by).is_ok_and(|there| there == text) {
        return Ok(folder);
    }
    if !is_on_path("ffmpeg") {
        bail!("ffmpeg is missing; `cargo xtask setup` installs it");
    }
    say("differential: making the media…");
    remove(&folder)?;
    check(Command::new("bash").arg(&script).arg(std::env::current_exe()?).arg(&folder))?;
    std::fs::write(made_by, text)?;
    Ok(folder)
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_a_live_stream_is_there_chunk_by_chunk() {
        let opened = Instant::now();
        let [styp, moof, mdat] =
            [b"styp", b"moof", b"mdat"].map(|name| [&8_u32.to_be_bytes()[..], name].concat());
        let segment = [styp, moof.clone(), mdat.clone(), moof, mdat].concat();
        let at = |ms| opened + Duration::from_millis(ms);
        assert_eq!(chunk_gates("chunk-stream0-00006.m4s", &segment, opened), [(0, at(2500)), (24, at(3000))]);
        assert_eq!(chunk_gates("init-stream0.m4s", &segment, opened), []);
        assert_eq!(flv_gates(320, opened)[5], (50, at(500)));
    }

    #[test]
    fn a_live_playlist_moves_on_and_begins_again() {
        assert!(live(0).contains("MEDIA-SEQUENCE:0\n") && live(0).ends_with("0-002.ts\n"));
        let later = live(13);
        assert!(later.contains("MEDIA-SEQUENCE:6\n"), "{later}");
        assert!(later.ends_with("0-007.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.000000,\n0-000.ts\n"), "{later}");
        assert!(live(18).contains("DISCONTINUITY-SEQUENCE:1\n"), "{}", live(18));
    }
}
