//! Chromium and its relatives as the engine, driven over a pair of pipes.
//!
//! The engine starts on an empty page of the stage's own origin; only when the script that carries the
//! token is in place does it go to the stage's page, so the token appears in no argument, no address and
//! no file. The engine ends by itself when its pipe closes, so it never outlives the client.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use thiserror::Error;
use tokio::time::timeout;

use crate::engine::cdp::Cdp;
use crate::engine::cdp::CdpError;
use crate::engine::process;
use crate::engine::process::Process;
use crate::engine::process::Reader;
use crate::engine::process::Writer;

/// How long the engine may take until its page has the token. Measured: 1 to 3 s; the rest is patience
/// with a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a polite request to end is given.
const END_LIMIT: Duration = Duration::from_secs(2);
const DISABLE_FEATURES: &str = "--disable-features=";
/// Media keys belong to the session's page; a share of a screen was clicked for there, and is asked for by the client; windows that
/// Windows calls covered go on drawing.
const FEATURES_OFF: &str = "HardwareMediaKeyHandling,GlobalMediaControls,Translate,GetDisplayMediaRequiresUserActivation,\
                            CalculateNativeWinOcclusion";

/// What an engine is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub profile: PathBuf,
    pub headless: bool,
    pub extra_arguments: Vec<OsString>,
    /// An empty page of the stage's origin.
    pub start_url: String,
    pub stage_url: String,
    /// Runs in the stage's page before the page's own scripts.
    pub script: String,
}

/// Why an engine did not come up.
#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("the profile folder can't be used: {0}")]
    Profile(io::Error),
    #[error("another engine uses the profile folder")]
    ProfileBusy,
    #[error("the engine can't be started: {0}")]
    Spawn(io::Error),
    #[error("the engine ended or misbehaved while it started: {0}")]
    Control(#[from] CdpError),
    #[error("the engine was not ready within 30 s")]
    Slow,
}

/// A running engine; ends with its value.
#[derive(Debug)]
pub struct Engine {
    process: Process,
    cdp: Cdp<Reader, Writer>,
    target: String,
    version: String,
    _profile_lock: fs::File,
}

/// Starts the program; the page is not there yet.
#[derive(Debug)]
pub struct Starting(Engine);

impl Starting {
    /// Starts the engine's process.
    pub fn spawn(launch: &Launch) -> Result<Self, LaunchError> {
        let lock = prepare_profile(&launch.profile)?;
        let (process, reader, writer) =
            Process::spawn(&launch.program, arguments(launch)).map_err(LaunchError::Spawn)?;
        let cdp = Cdp::new(reader, writer);
        let engine =
            Engine { process, cdp, target: String::new(), version: String::new(), _profile_lock: lock };
        Ok(Self(engine))
    }

    /// The engine's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// The engine as it is: its page shows what it was started with.
    #[must_use]
    pub fn begin(self) -> Engine {
        self.0
    }

    /// Puts the script in place and sends the page to the stage.
    pub async fn ready(self, launch: &Launch) -> Result<Engine, LaunchError> {
        let mut engine = self.0;
        match timeout(START_LIMIT, engine.bring_up(launch)).await {
            Ok(result) => result?,
            Err(_elapsed) => return Err(LaunchError::Slow),
        }
        Ok(engine)
    }
}

impl Engine {
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Name and version, e.g. `Chrome/156.0.8078.79`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn cdp(&mut self) -> &mut Cdp<Reader, Writer> {
        &mut self.cdp
    }

    async fn bring_up(&mut self, launch: &Launch) -> Result<(), CdpError> {
        let version = self.cdp.call("Browser.getVersion", json!({}), None).await?;
        self.version = text(&version, "product").unwrap_or("unknown").to_owned();
        self.cdp.call("Target.setDiscoverTargets", json!({"discover": true}), None).await?;
        loop {
            let event = self.cdp.event().await?;
            let info = event.params.get("targetInfo").unwrap_or(&Value::Null);
            if text(info, "type") == Some("page") && text(info, "url") == Some(&launch.start_url) {
                text(info, "targetId")
                    .ok_or(CdpError::Incomplete("Target.setDiscoverTargets"))?
                    .clone_into(&mut self.target);
                break;
            }
        }
        let attached = self
            .cdp
            .call("Target.attachToTarget", json!({"targetId": self.target, "flatten": true}), None)
            .await?;
        let session =
            text(&attached, "sessionId").ok_or(CdpError::Incomplete("Target.attachToTarget"))?.to_owned();
        self.cdp.call("Page.enable", json!({}), Some(&session)).await?;
        let script = json!({"source": launch.script});
        self.cdp.call("Page.addScriptToEvaluateOnNewDocument", script, Some(&session)).await?;
        // Which site gets microphone and camera is asked and decided by the client, before the stage hears of it.
        let devices = json!({"origin": launch.start_url.split("/o/").next(), "permissions": ["audioCapture", "videoCapture"]});
        self.cdp.call("Browser.grantPermissions", devices, None).await?;
        let address = json!({"url": launch.stage_url});
        let gone = self.cdp.call("Page.navigate", address, Some(&session)).await?;
        if let Some(error) = text(&gone, "errorText") {
            let message = error.to_owned();
            return Err(CdpError::Refused { method: "Page.navigate".to_owned(), message });
        }
        Ok(())
    }

    /// Waits until the engine or its page is gone, and says how.
    pub async fn ended(&mut self) -> String {
        loop {
            tokio::select! {
                status = self.process.wait() => return match status {
                    Ok(status) => format!("the engine ended: {status}"),
                    Err(error) => format!("the engine can't be waited for: {error}"),
                },
                event = self.cdp.event() => {
                    let Ok(event) = event else {
                        // The process ends within moments; its status says more than the closed pipe.
                        if let Ok(Ok(status)) = timeout(END_LIMIT, self.process.wait()).await {
                            return format!("the engine ended: {status}");
                        }
                        return "the engine closed its pipe".to_owned();
                    };
                    let same = text(&event.params, "targetId") == Some(&self.target);
                    match event.method.as_str() {
                        "Target.targetCrashed" if same => return "the engine's page crashed".to_owned(),
                        "Target.targetDestroyed" if same => return "the engine's page was closed".to_owned(),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Asks the engine to end, and ends all of it if it doesn't.
    pub async fn end(mut self) {
        let polite = async {
            if self.cdp.call("Browser.close", json!({}), None).await.is_ok() {
                self.process.wait().await.ok();
            }
        };
        if timeout(END_LIMIT, polite).await.is_err() {
            tracing::debug!("the engine did not end when asked");
        }
        self.process.kill();
        timeout(END_LIMIT, self.process.wait()).await.ok();
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn arguments(launch: &Launch) -> Vec<OsString> {
    let mut profile = OsString::from("--user-data-dir=");
    profile.push(&launch.profile);
    let mut arguments = vec![profile];
    arguments.extend(
        [
            "--remote-debugging-pipe",
            // No first-run pages, bubbles or bars: nothing but the stage is ever drawn.
            "--no-first-run",
            "--no-default-browser-check",
            "--hide-crash-restore-bubble",
            "--disable-session-crashed-bubble",
            "--noerrdialogs",
            "--disable-sync",
            "--disable-default-apps",
            "--disable-extensions",
            "--disable-background-networking",
            "--password-store=basic",
            // The stage opens a window per picture and plays without a gesture on its own side.
            "--disable-popup-blocking",
            "--autoplay-policy=no-user-gesture-required",
            // Pictures go on decoding while they are covered or scrolled out.
            "--disable-backgrounding-occluded-windows",
            "--disable-renderer-backgrounding",
            "--disable-background-timer-throttling",
            // A CSS pixel is a pixel of the screen.
            "--force-device-scale-factor=1",
        ]
        .map(OsString::from),
    );
    // Chromium heeds the last of such lists alone.
    let (features, others): (Vec<_>, Vec<_>) = launch
        .extra_arguments
        .iter()
        .partition(|argument| argument.to_string_lossy().starts_with(DISABLE_FEATURES));
    let more = features.iter().map(|argument| argument.to_string_lossy());
    let more = more.map(|argument| argument.replacen(DISABLE_FEATURES, ",", 1)).collect::<String>();
    arguments.push(format!("{DISABLE_FEATURES}{FEATURES_OFF}{more}").into());
    arguments.extend(process::arguments(launch.headless).into_iter().map(OsString::from));
    if launch.headless {
        arguments.extend(["--headless=new", "--disable-gpu"].map(OsString::from));
    }
    arguments.extend(others.into_iter().cloned());
    arguments.push(if launch.headless {
        OsString::from(&launch.start_url)
    } else {
        OsString::from(format!("--app={}", launch.start_url))
    });
    arguments
}

/// Makes the profile folder, seeds it, and locks it against a second client.
fn prepare_profile(profile: &Path) -> Result<fs::File, LaunchError> {
    let mut folder = fs::DirBuilder::new();
    // Elsewhere it is in a folder that other people can't read.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(profile).map_err(LaunchError::Profile)?;
    let lock = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(profile.join("offstage.lock"))
        .map_err(LaunchError::Profile)?;
    if lock.try_lock().is_err() {
        return Err(LaunchError::ProfileBusy);
    }
    let preferences = profile.join("Default/Preferences");
    if !preferences.exists() {
        // The window manager's frame, not Chromium's own: the page then fills its X window.
        let seed = json!({"browser": {"custom_chrome_frame": false}}).to_string();
        fs::create_dir_all(profile.join("Default"))
            .and_then(|()| fs::write(&preferences, seed))
            .map_err(LaunchError::Profile)?;
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(program: &str, profile: &Path) -> Launch {
        Launch {
            program: PathBuf::from(program),
            profile: profile.to_path_buf(),
            headless: true,
            extra_arguments: Vec::new(),
            start_url: "http://127.0.0.1:1/o/x/start.html".to_owned(),
            stage_url: "http://127.0.0.1:1/o/x/engine.html".to_owned(),
            script: "secret".to_owned(),
        }
    }

    /// A program that ends at once, whatever its arguments are.
    fn short_lived() -> String {
        if cfg!(windows) {
            format!(r"{}\system32\hostname.exe", std::env::var("SystemRoot").unwrap())
        } else {
            "/bin/true".to_owned()
        }
    }

    #[test]
    fn no_argument_carries_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let shown = format!("{:?}", arguments(&launch("chromium", folder.path())));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn features_that_somebody_turns_off_are_turned_off_besides_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut launch = launch("chromium", folder.path());
        launch.extra_arguments =
            ["--disable-features=A,B", "--mute-audio", "--disable-features=C"].map(OsString::from).into();
        let arguments: Vec<_> =
            arguments(&launch).into_iter().map(|one| one.into_string().unwrap_or_default()).collect();
        let lists: Vec<_> = arguments.iter().filter(|one| one.starts_with(DISABLE_FEATURES)).collect();
        assert_eq!(lists, [&format!("{DISABLE_FEATURES}{FEATURES_OFF},A,B,C")]);
        assert!(arguments.contains(&"--mute-audio".to_owned()));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_program_that_ends_at_once_is_a_typed_failure() {
        let folder = tempfile::tempdir().unwrap();
        let launch = launch(&short_lived(), folder.path());
        let failure = Starting::spawn(&launch).unwrap().ready(&launch).await.unwrap_err();
        assert!(matches!(failure, LaunchError::Control(_)), "{failure}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_profile_serves_one_engine() {
        let folder = tempfile::tempdir().unwrap();
        let launch = launch(&short_lived(), folder.path());
        let first = Starting::spawn(&launch).unwrap();
        assert!(matches!(Starting::spawn(&launch).unwrap_err(), LaunchError::ProfileBusy));
        drop(first);
    }
}
