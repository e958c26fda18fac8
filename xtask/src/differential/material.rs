//! What the cases are made of: pages, players from npm, media, live playlists; served on loopback.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use offstage_tests::server::{Request, Response, Server};

use crate::run::{check, is_on_path, say};
use crate::setup;
use crate::workspace::Workspace;

/// Seconds of one live segment, how many there are, and how many a playlist names at a time.
const LIVE: (u64, u64, u64) = (2, 8, 3);

/// A server with everything on it; makes and installs what is not there yet.
pub(super) fn serve(workspace: &Workspace) -> Result<Server> {
    let folders = Folders {
        pages: workspace.path("tests/differential"),
        players: players(workspace)?,
        media: media(workspace)?,
        opened: Mutex::new(Instant::now()),
    };
    Server::start(move |request| folders.answer(request))
}

struct Folders {
    pages: PathBuf,
    players: PathBuf,
    media: PathBuf,
    /// When the page was asked for last: live streams begin there.
    opened: Mutex<Instant>,
}

impl Folders {
    fn answer(&self, request: &Request) -> Response {
        let Some((folder, rest)) = request.path.trim_start_matches('/').split_once('/') else {
            return Response::not_found();
        };
        match folder {
            "page" => {
                if rest.ends_with(".html")
                    && let Ok(mut opened) = self.opened.lock()
                {
                    *opened = Instant::now();
                }
                Response::file(&self.pages, rest)
            }
            "players" => Response::file(&self.players, rest),
            "media" => Response::file(&self.media, rest),
            "live" if rest == "live.m3u8" => {
                let seconds = self.opened.lock().map(|opened| opened.elapsed().as_secs()).unwrap_or_default();
                Response::new("application/vnd.apple.mpegurl", live(seconds))
            }
            "live" => Response::file(&self.media.join("hls-ts"), rest),
            // All but the first two segments are gone.
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
    use super::live;

    #[test]
    fn a_live_playlist_moves_on_and_begins_again() {
        assert!(live(0).contains("MEDIA-SEQUENCE:0\n") && live(0).ends_with("0-002.ts\n"));
        let later = live(13);
        assert!(later.contains("MEDIA-SEQUENCE:6\n"), "{later}");
        assert!(later.ends_with("0-007.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.000000,\n0-000.ts\n"), "{later}");
        assert!(live(18).contains("DISCONTINUITY-SEQUENCE:1\n"), "{}", live(18));
    }
}
