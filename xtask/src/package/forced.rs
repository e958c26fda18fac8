//! The signed package as an administrator deploys it: a policy file, an update manifest on a web server, a browser that has nothing else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use offstage_tests::stage_probe::StageProbe;

use super::Signed;
use crate::run::print;
use crate::workspace::Workspace;

/// Where Debian's Chromium reads what an administrator manages.
const FOLDER: &str = "/etc/chromium/policies/managed";
const PATIENCE: Duration = Duration::from_secs(60);

/// The policy file; gone at the end.
struct Policy(PathBuf);

impl Drop for Policy {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Installs by policy, plays, cleans up.
pub(super) fn check(workspace: &Workspace, signed: &Signed) -> Result<()> {
    let (pages, clips) = (workspace.path("tests/tests/pages"), workspace.path("tests/clips"));
    let package = signed.clone();
    let server = Server::start(move |request| {
        package.answer(request).unwrap_or_else(|| match request.path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None => Response::file(&pages, request.path.strip_prefix("/pages/").unwrap_or_default()),
        })
    })?;
    let id = &signed.id;
    let policy = signed.policies(&server, "127.0.0.1/pages");
    let file = Policy(PathBuf::from(FOLDER).join(format!("offstage-check-{}.json", std::process::id())));
    std::fs::create_dir_all(FOLDER)
        .and_then(|()| std::fs::write(&file.0, policy.to_string()))
        .with_context(|| format!("only root may write {FOLDER}"))?;
    let installation = Installation::new(&workspace.dist(), &workspace.programs(false), id);
    let client_args = StageProbe::client_args();
    let options = SessionOptions { forced: true, client_args, ..SessionOptions::default() };
    let session = Session::start(&installation, options)?;
    // Nobody may look into an extension that policy has installed: the device says whether it plays.
    let probe = StageProbe::connect(&session)?;
    let end = Instant::now() + PATIENCE;
    // Managed settings come some time after the extension; what is opened before has nothing of it.
    loop {
        let page = session.open(&server.url("/pages/readers.html"))?;
        page.evaluate("begin('h264 demuxed')")?;
        page.wait_until("video.currentTime > 2", PATIENCE)?;
        if probe.players()? == 1 {
            break;
        }
        page.close()?;
        ensure!(Instant::now() < end, "installed by policy, the extension does not redirect");
    }
    probe.player()?.wait_until("document.querySelector('video').currentTime > 2", PATIENCE)?;
    session.close();
    print(format!("installed by policy from an update manifest, a video played on the device: {id}"));
    Ok(())
}
