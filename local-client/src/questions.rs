//! What the person in front of the device is asked and shown about microphone and camera.

use std::collections::VecDeque;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::client::Asking;
use crate::client::Question;
use crate::client::Use;
use crate::engine;
use crate::engine::chromium::Launch;
use crate::engine::indicator;
use crate::engine::question;
use crate::engine::supervisor::EngineConfig;

/// What the person is asked, one after the other.
#[derive(Debug)]
pub(crate) struct Questions {
    engine: EngineConfig,
    waiting: VecDeque<Question>,
    shown: Option<(u32, AbortHandle)>,
    answers: mpsc::Sender<(u32, bool)>,
}

impl Questions {
    pub(crate) fn new(engine: EngineConfig, answers: mpsc::Sender<(u32, bool)>) -> Self {
        Self { engine, waiting: VecDeque::new(), shown: None, answers }
    }

    pub(crate) fn take(&mut self, asking: Asking) {
        match asking {
            Asking::Ask(question) => self.waiting.push_back(question),
            Asking::Withdraw { call } => {
                self.waiting.retain(|question| question.call != call);
                if let Some((_, task)) = self.shown.take_if(|(shown, _)| *shown == call) {
                    task.abort();
                }
            }
        }
        self.show_next();
    }

    /// An answer has come.
    pub(crate) fn answered(&mut self, call: u32) {
        self.shown.take_if(|(shown, _)| *shown == call);
        self.show_next();
    }

    fn show_next(&mut self) {
        if self.shown.is_some() {
            return;
        }
        let Some(question) = self.waiting.pop_front() else { return };
        let (call, config, answers) = (question.call, self.engine.clone(), self.answers.clone());
        let task = tokio::spawn(async move {
            let allowed = ask(&config, &question).await;
            answers.send((call, allowed)).await.ok();
        });
        self.shown = Some((call, task.abort_handle()));
    }
}

/// A window of its own engine, which has its own profile.
fn dialog(config: &EngineConfig, program: PathBuf, name: &str, size: &str, address: String) -> Launch {
    let mut profile = config.profile.clone().into_os_string();
    profile.push(format!("-{name}"));
    Launch {
        program,
        profile: profile.into(),
        headless: false,
        extra_arguments: vec![size.into()],
        start_url: address.clone(),
        stage_url: address,
        script: String::new(),
    }
}

/// The window that is there while a microphone or camera is on.
#[derive(Debug)]
pub(crate) struct Indicator {
    engine: EngineConfig,
    uses: watch::Sender<Vec<Use>>,
    /// There is somebody to show the window.
    shown: bool,
    turned_off: mpsc::Sender<()>,
}

impl Indicator {
    /// `turned_off` hears when the person turns everything off.
    pub(crate) fn new(engine: EngineConfig, turned_off: mpsc::Sender<()>) -> Self {
        Self { engine, uses: watch::Sender::new(Vec::new()), shown: false, turned_off }
    }

    /// What is on has changed.
    pub(crate) fn take(&mut self, uses: Vec<Use>) {
        tracing::info!(
            sites = uses.len(),
            microphone = uses.iter().any(|one| one.microphone),
            camera = uses.iter().any(|one| one.camera),
            screen = uses.iter().any(|one| one.screen),
            "microphone, camera and screens"
        );
        let nothing = uses.is_empty();
        self.uses.send_replace(uses);
        if nothing || self.shown {
            return;
        }
        let Some(program) = engine::find(self.engine.program.as_deref()).filter(|_| !self.engine.headless)
        else {
            return tracing::warn!(
                "there is no screen to show that the microphone or camera is on or a screen is shared"
            );
        };
        let (config, mut uses) = (self.engine.clone(), self.uses.subscribe());
        let turned_off = self.turned_off.clone();
        self.shown = true;
        tokio::spawn(async move {
            while uses.wait_for(|uses| !uses.is_empty()).await.is_ok() {
                let address = indicator::address(&uses.borrow());
                let launch = dialog(&config, program.clone(), "indicator", "--window-size=460,90", address);
                let told = || {
                    turned_off.try_send(()).ok();
                };
                if let Err(error) = indicator::show(&launch, &mut uses, told).await {
                    // Nothing is used unseen.
                    tracing::warn!(%error, "that the microphone or camera is on can't be shown: they are turned off");
                    turned_off.try_send(()).ok();
                }
                // They are being turned off, or it would have lasted.
                if !uses.borrow().is_empty() && uses.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Nobody can be asked without a screen, nor where no engine starts: that is a no.
async fn ask(config: &EngineConfig, question: &Question) -> bool {
    let program = engine::find(config.program.as_deref()).filter(|_| !config.headless);
    let Some(program) = program else {
        tracing::warn!("a site wants the microphone or camera, and there is no screen to ask on");
        return false;
    };
    let launch = dialog(config, program, "questions", "--window-size=460,240", question::address(question));
    match question::ask(&launch).await {
        Ok(allowed) => {
            tracing::info!(
                allowed,
                microphone = question.microphone,
                camera = question.camera,
                screen = question.screen,
                "the person has answered"
            );
            allowed
        }
        Err(error) => {
            tracing::warn!(%error, "the person can't be asked for microphone or camera");
            false
        }
    }
}
