//! The signed package as an administrator deploys it: a policy file, an update manifest on a web server, a browser that has nothing else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use offstage_tests::server::{Response, Server};
use offstage_tests::session::{Installation, Session, SessionOptions};
use serde_json::json;

use super::{Signed, crx};
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
    let Signed { id, crx } = signed;
    let package = crx.clone();
    let manifest_of = id.clone();
    let server = Server::start(move |request| match request.path.as_str() {
        "/updates.xml" => {
            let url = format!("http://{}/offstage.crx", request.header("host").unwrap_or_default());
            let text = crx::update_manifest(&manifest_of, env!("CARGO_PKG_VERSION"), &url);
            Response::new("text/xml", text)
        }
        "/offstage.crx" => Response::new("application/x-chrome-extension", package.clone()),
        path => match path.strip_prefix("/clips/") {
            Some(clip) => Response::file(&clips, clip),
            None => Response::file(&pages, path.strip_prefix("/pages/").unwrap_or_default()),
        },
    })?;
    let policy = json!({
        "ExtensionSettings": { id: { "installation_mode": "force_installed", "update_url": server.url("/updates.xml") } },
        "3rdparty": { "extensions": { id: { "videoSites": ["127.0.0.1/pages"] } } }
    });
    let file = Policy(PathBuf::from(FOLDER).join(format!("offstage-check-{}.json", std::process::id())));
    std::fs::create_dir_all(FOLDER)
        .and_then(|()| std::fs::write(&file.0, policy.to_string()))
        .with_context(|| format!("only root may write {FOLDER}"))?;
    let installation = Installation::new(&workspace.dist(), &workspace.programs(false), id);
    let options = SessionOptions { forced: true, ..SessionOptions::default() };
    let session = Session::start(&installation, options)?;
    session.wait_connected(PATIENCE)?;
    let end = Instant::now() + PATIENCE;
    // Managed settings come some time after the extension.
    while !session.status()?["settings"].to_string().contains("127.0.0.1/pages") {
        ensure!(Instant::now() < end, "the managed settings never come: {}", session.status()?["settings"]);
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let page = session.open(&server.url("/pages/readers.html"))?;
    page.evaluate("begin('h264 demuxed')")?;
    page.wait_until("video.currentTime > 1", PATIENCE)?;
    let status = session.status()?;
    if status["redirected"] != 1 {
        bail!("installed by policy, the extension does not redirect: {status}");
    }
    session.close();
    print(format!("installed by policy from an update manifest, a video played on the device: {id}"));
    Ok(())
}
