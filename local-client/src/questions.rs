//! Questions to the person in front of the device, about microphone and camera.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::client::Asking;
use crate::client::Question;
use crate::engine;
use crate::engine::chromium::Launch;
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

/// Nobody can be asked without a screen, nor where no engine starts: that is a no.
async fn ask(config: &EngineConfig, question: &Question) -> bool {
    let program = engine::find(config.program.as_deref()).filter(|_| !config.headless);
    let Some(program) = program else {
        tracing::warn!("a site wants the microphone or camera, and there is no screen to ask on");
        return false;
    };
    let address = question::address(question);
    let mut profile = config.profile.clone().into_os_string();
    profile.push("-questions");
    let launch = Launch {
        program,
        profile: profile.into(),
        headless: false,
        extra_arguments: vec!["--window-size=460,240".into()],
        start_url: address.clone(),
        stage_url: address,
        script: String::new(),
    };
    match question::ask(&launch).await {
        Ok(allowed) => {
            tracing::info!(
                allowed,
                microphone = question.microphone,
                camera = question.camera,
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
