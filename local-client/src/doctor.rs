//! Looks at everything that the client needs and says what is wrong with it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use offstage_protocol::ErrorCode;
use offstage_protocol::PROTOCOL_MAX;
use offstage_protocol::PROTOCOL_MIN;
use offstage_settings::Origin;
use offstage_support::logs;
use offstage_support::metrics;
use serde_json::json;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;
use crate::cli::Places;
use crate::engine;
use crate::engine::process;
use crate::policy;
use crate::policy::Policy;
use crate::policy::Sources;

/// One thing that was looked at.
#[derive(Debug)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// What is wrong; `None` if it is fine.
    pub code: Option<ErrorCode>,
    pub detail: String,
}

impl Finding {
    fn good(subject: &'static str, detail: impl Into<String>) -> Self {
        Self { subject, code: None, detail: detail.into() }
    }

    fn bad(subject: &'static str, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { subject, code: Some(code), detail: detail.into() }
    }

    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.code.is_some()
    }
}

/// Looks at everything.
pub(crate) async fn examine(places: &Places) -> Vec<Finding> {
    let version = env!("CARGO_PKG_VERSION");
    let protocol = format!("{}, protocol {PROTOCOL_MIN} to {PROTOCOL_MAX}", version);
    let mut findings = vec![Finding::good("client", protocol)];
    findings.extend(policy_findings(&Sources::usual().read()));
    let engine = engine_finding(places.engine().as_deref());
    let found = engine::find(places.engine().as_deref()).filter(|_| !engine.is_bad());
    findings.push(engine);
    if let Some(program) = found {
        findings.push(codecs_finding(&program).await);
    }
    findings.extend(own::display());
    findings.push(own::socket(&places.socket()));
    findings.extend(own::pairings());
    findings.push(stage_finding(&places.stage_folder()));
    findings.extend(own::plugins());
    findings.extend(logs::folder().map(|folder| folder_finding("log files", &folder)));
    findings.extend(metrics::folder().map(|folder| folder_finding("counters", &folder)));
    findings
}

/// What somebody has set, and what is wrong with it.
fn policy_findings(policy: &Policy) -> Vec<Finding> {
    let settings = policy.settings();
    let set = settings.effective().filter(|row| row.source != Origin::Default);
    let mut findings: Vec<Finding> = set
        .map(|row| {
            let value = serde_json::to_string(&row.value).unwrap_or_default();
            Finding::good("setting", format!("{} = {value} ({})", row.key, row.source.name()))
        })
        .collect();
    findings.extend(settings.problems().iter().map(|problem| {
        let code = ErrorCode::from_u32(problem.code.trim_start_matches("OFS-").parse().unwrap_or_default());
        let detail = format!("{}: {} ({})", problem.key, problem.text, problem.source.name());
        Finding::bad("setting", code.unwrap_or(ErrorCode::CONFIG_INVALID), detail)
    }));
    if !policy.plays() {
        findings.push(Finding::bad("setting", ErrorCode::CONSENT_REFUSED, "nothing plays on this device"));
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            "settings",
            format!("none in {}, none of yours", policy::machine().display()),
        ));
    }
    findings
}

/// What the engine is asked; it writes what it can into the page.
const CODECS: &str = "data:text/html,<body><script>document.body.textContent = Object.entries({ 'H.264': 'video/mp4;codecs=avc1.64001f', \
    'HEVC': 'video/mp4;codecs=hvc1.1.6.L93.B0', 'VP9': 'video/webm;codecs=vp9', 'AV1': 'video/mp4;codecs=av01.0.05M.08', \
    'AAC': 'audio/mp4;codecs=mp4a.40.2', 'Opus': 'audio/webm;codecs=opus' }).filter(([, type]) => MediaSource.isTypeSupported(type))\
    .map(([name]) => name).join(', ')</script>";
/// How long the engine may take to answer; a slow disk's first start takes seconds.
const ENGINE_LIMIT: Duration = Duration::from_secs(30);

/// Starts the engine once, without a window, in a profile of its own.
async fn codecs_finding(program: &Path) -> Finding {
    let bad = |why: String| Finding::bad("engine starts", ErrorCode::ENGINE_FAILED_TO_START, why);
    let profile = std::env::temp_dir().join(format!("offstage-doctor-{}", std::process::id()));
    let mut profile_argument = OsString::from("--user-data-dir=");
    profile_argument.push(&profile);
    let mut engine = tokio::process::Command::new(program);
    engine.args(["--headless=new", "--disable-gpu", "--no-first-run", "--dump-dom"]).arg(profile_argument);
    let answer =
        engine.args(process::arguments(true)).arg(CODECS).stdin(Stdio::null()).kill_on_drop(true).output();
    let answer = tokio::time::timeout(ENGINE_LIMIT, answer).await;
    std::fs::remove_dir_all(&profile).ok();
    let output = match answer {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return bad(error.to_string()),
        Err(_) => return bad(format!("no answer within {} seconds", ENGINE_LIMIT.as_secs())),
    };
    let page = String::from_utf8_lossy(&output.stdout);
    let codecs = page.split_once("<body>").and_then(|(_, rest)| Some(rest.split_once("</body>")?.0.trim()));
    match codecs {
        Some(codecs) if !codecs.is_empty() => Finding::good("engine starts", format!("it plays {codecs}")),
        Some(_) => Finding::bad("engine starts", ErrorCode::UNSUPPORTED_TYPE, "it plays no codec of the web"),
        None => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim().lines().last().unwrap_or_default();
            bad(format!("{}: {}", output.status, last.chars().take(200).collect::<String>()))
        }
    }
}

/// A folder that is made when it is needed: what is there must be one that can be written.
fn folder_finding(subject: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    if offstage_support::is_writable(folder) {
        Finding::good(subject, shown.to_string())
    } else {
        Finding::bad(subject, ErrorCode::CONFIG_INVALID, format!("{shown} can't be written"))
    }
}

fn engine_finding(asked: Option<&Path>) -> Finding {
    let Some(program) = engine::find(asked) else {
        let asked = asked.map(|asked| asked.display().to_string()).unwrap_or_default();
        return Finding::bad("engine", ErrorCode::ENGINE_MISSING, asked);
    };
    let shown = program.display();
    match own::version(&program) {
        Ok(version) => Finding::good("engine", format!("{shown}: {version}")),
        Err(why) => Finding::bad("engine", ErrorCode::ENGINE_FAILED_TO_START, format!("{shown}: {why}")),
    }
}

fn stage_finding(folder: &Path) -> Finding {
    let missing: Vec<&str> = ["engine.html", "engine.js", "offstage-stage.js", "stage.js", "stage_bg.wasm"]
        .into_iter()
        .filter(|name| !folder.join(name).is_file())
        .collect();
    if missing.is_empty() {
        Finding::good("stage", folder.display().to_string())
    } else {
        let detail = format!("{} lacks {}", folder.display(), missing.join(", "));
        Finding::bad("stage", ErrorCode::STAGE_FILES_MISSING, detail)
    }
}

/// For people.
#[must_use]
pub fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { subject, code, detail } in findings {
        let mark = if code.is_some() { "BAD " } else { "ok  " };
        // Writing to a string does not fail.
        write!(text, "{mark} {subject:<22} {detail}").ok();
        if let Some(code) = code {
            write!(text, "\n     {code}: {} {}", code.sentence(), code.remedy()).ok();
        }
        text.push('\n');
    }
    text.push_str(if findings.iter().any(Finding::is_bad) {
        "Something is wrong."
    } else {
        "Everything that the client needs is here."
    });
    text
}

/// For programs.
#[must_use]
pub fn to_json(findings: &[Finding]) -> String {
    let list: Vec<serde_json::Value> = findings
        .iter()
        .map(|Finding { subject, code, detail }| {
            json!({
                "subject": subject,
                "ok": code.is_none(),
                "code": code.map(ErrorCode::number),
                "sentence": code.map(ErrorCode::sentence),
                "remedy": code.map(ErrorCode::remedy),
                "detail": detail,
            })
        })
        .collect();
    json!({"version": env!("CARGO_PKG_VERSION"), "ok": !findings.iter().any(Finding::is_bad), "findings": list})
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_engine_is_explained() {
        let finding = engine_finding(Some(Path::new("/nonexistent/engine")));
        assert_eq!(finding.code, Some(ErrorCode::ENGINE_MISSING));
        let text = to_text(&[finding]);
        assert!(text.contains("OFS-1206") && text.contains("--engine"), "{text}");
    }

    #[test]
    fn settings_are_shown_with_their_source_and_what_is_wrong_is_told() {
        let of =
            |machine: policy::File| policy_findings(&Policy::new(machine, policy::File::Missing, Vec::new()));
        let all = of(policy::File::Object(vec![
            ("play".to_owned(), offstage_settings::Value::Switch(false)),
            ("fetch".to_owned(), offstage_settings::Value::Text("all".to_owned())),
        ]));
        let told: Vec<(Option<u32>, &str)> =
            all.iter().map(|f| (f.code.map(ErrorCode::number), f.detail.as_str())).collect();
        let expected = [
            (None, "play = false (policy)"),
            (Some(1503), "fetch: it has to be one of session, device (policy)"),
            (Some(1507), "nothing plays on this device"),
        ];
        assert_eq!(told, expected);
        assert!(of(policy::File::Missing).iter().all(|finding| !finding.is_bad()));
        assert_eq!(of(policy::File::Broken("x".to_owned())).iter().filter(|f| f.is_bad()).count(), 2);
    }

    #[test]
    fn a_folder_that_can_be_made_is_fine_and_one_below_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!folder_finding("log files", &folder.path().join("a/b")).is_bad());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(folder_finding("log files", &file.join("b")).is_bad());
    }

    #[test]
    fn findings_are_json_too() {
        let findings =
            [Finding::good("display", ":0"), Finding::bad("stage", ErrorCode::STAGE_FILES_MISSING, "x")];
        let value: serde_json::Value = serde_json::from_str(&to_json(&findings)).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["findings"][1]["code"], 1218);
    }
}
