//! Says why the bridge doesn't work, or that it does: the program, the browsers' manifests, their policies, the session,
//! the way to the device, the client, paired devices.

mod channel;
mod client;
mod manifests;
#[cfg(unix)]
mod paired;
mod policy;

use std::path::Path;
use std::path::PathBuf;

#[cfg(unix)]
use offstage_pairing::store::End;
#[cfg(unix)]
use offstage_pairing::store::folder;
use offstage_protocol::error::ErrorCode;
use serde::Serialize;

use crate::channel::choice::Choice;
use crate::install::manifest::ExtensionId;
use crate::install::places::Browser;
use crate::install::places::Scope;
use crate::install::program_path;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Questions {
    /// The program that the browsers should start.
    pub program: PathBuf,
    /// Where manifests count, the stronger first.
    pub scopes: Vec<Scope>,
    pub browsers: Vec<Browser>,
    /// Extensions that have to be allowed.
    pub extensions: Vec<ExtensionId>,
    /// The way to the device.
    pub choice: Choice,
    /// Root of the file system, for policies and programs of browsers.
    pub root: PathBuf,
}

/// How one answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Worth knowing, and no fault by itself.
    Warn,
    Fail,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: Status,
    /// What was looked at.
    pub subject: String,
    pub detail: String,
    pub code: Option<ErrorCode>,
}

impl Answer {
    pub(crate) fn ok(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status: Status::Ok, subject: subject.into(), detail: detail.into(), code: None }
    }

    pub(crate) fn warn(subject: impl Into<String>, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { status: Status::Warn, subject: subject.into(), detail: detail.into(), code: Some(code) }
    }

    pub(crate) fn fail(subject: impl Into<String>, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { status: Status::Fail, subject: subject.into(), detail: detail.into(), code: Some(code) }
    }
}

/// Answers everything; takes a few seconds at most.
#[must_use]
pub fn examine(questions: &Questions) -> Vec<Answer> {
    let mut answers = vec![examine_program(questions)];
    answers.extend(manifests::examine(questions));
    answers.extend(policy::examine(questions));
    answers.push(examine_session());
    answers.extend(channel::examine(&questions.choice));
    #[cfg(unix)]
    answers.extend(paired::examine(folder(End::Session).as_deref()));
    answers.extend(offstage_support::logs::folder().map(|folder| examine_folder("log files", &folder)));
    answers.extend(offstage_support::metrics::folder().map(|folder| examine_folder("counters", &folder)));
    answers
}

/// True unless something failed.
#[must_use]
pub fn is_well(answers: &[Answer]) -> bool {
    answers.iter().all(|answer| answer.status != Status::Fail)
}

/// The answers in lines for people: what is wrong is followed by what it means and what to do.
#[must_use]
pub fn to_text(answers: &[Answer]) -> String {
    let line = |answer: &Answer| {
        let mark = match answer.status {
            Status::Ok => "ok  ",
            Status::Warn => "note",
            Status::Fail => "FAIL",
        };
        let mut text = format!("{mark}  {}: {}\n", answer.subject, answer.detail);
        if let Some(code) = answer.code {
            text += &format!("      {code} {}\n      {}\n", code.sentence(), code.remedy());
        }
        text
    };
    let end = if is_well(answers) { "Everything works.\n" } else { "Something is wrong, see above.\n" };
    answers.iter().map(line).chain([end.to_owned()]).collect()
}

/// The answers for programs.
///
/// # Errors
/// None that could happen with these types.
pub fn to_json(answers: &[Answer]) -> Result<String, serde_json::Error> {
    let checks = answers
        .iter()
        .map(|answer| JsonCheck {
            status: answer.status,
            subject: &answer.subject,
            detail: &answer.detail,
            code: answer.code.map(|code| code.to_string()),
            sentence: answer.code.map(ErrorCode::sentence),
            remedy: answer.code.map(ErrorCode::remedy),
        })
        .collect();
    serde_json::to_string_pretty(&JsonAnswers {
        ok: is_well(answers),
        version: env!("CARGO_PKG_VERSION"),
        checks,
    })
}

#[derive(Serialize)]
struct JsonAnswers<'a> {
    ok: bool,
    version: &'a str,
    checks: Vec<JsonCheck<'a>>,
}

#[derive(Serialize)]
struct JsonCheck<'a> {
    status: Status,
    subject: &'a str,
    detail: &'a str,
    code: Option<String>,
    sentence: Option<&'a str>,
    remedy: Option<&'a str>,
}

fn examine_program(questions: &Questions) -> Answer {
    match program_path(&questions.program) {
        Ok(path) => Answer::ok("program", format!("{} {}", path.display(), env!("CARGO_PKG_VERSION"))),
        Err(error) => Answer::fail("program", error.code(), error.to_string()),
    }
}

/// A folder that is made when it is needed: what is there must be one that can be written.
fn examine_folder(subject: &str, folder: &Path) -> Answer {
    if offstage_support::is_writable(folder) {
        Answer::ok(subject, folder.display().to_string())
    } else {
        Answer::fail(subject, ErrorCode::CONFIG_INVALID, format!("{} can't be written", folder.display()))
    }
}

fn examine_session() -> Answer {
    let seen = crate::session::signs_of_a_desktop();
    let kind = crate::session::session_info().session_type;
    if seen.is_empty() && cfg!(unix) {
        Answer::warn("session", ErrorCode::DISPLAY_MISSING, "neither DISPLAY nor WAYLAND_DISPLAY is set here")
    } else {
        let seen = seen.iter().map(|sign| format!(", {sign}"));
        Answer::ok("session", std::iter::once(kind).chain(seen).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn answers() -> [Answer; 2] {
        [
            Answer::ok("program", "/x 1.0.0"),
            Answer::fail("client", ErrorCode::CLIENT_UNREACHABLE, "nobody listens at /s"),
        ]
    }

    #[test]
    fn people_get_the_code_and_the_remedy() {
        expect![[r#"
            ok    program: /x 1.0.0
            FAIL  client: nobody listens at /s
                  OFS-1201 The Offstage client on your device can't be reached.
                  Start offstage-client on your device and connect to the remote session again.
            Something is wrong, see above.
        "#]]
        .assert_eq(&to_text(&answers()));
    }

    #[test]
    fn programs_get_the_same() {
        let json: serde_json::Value = serde_json::from_str(&to_json(&answers()).unwrap()).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["checks"][0]["status"], "ok");
        assert_eq!(json["checks"][1]["code"], "OFS-1201");
    }

    #[test]
    fn notes_are_no_faults() {
        assert!(is_well(&[Answer::warn("session", ErrorCode::DISPLAY_MISSING, "")]));
        assert!(!is_well(&answers()));
    }
}
