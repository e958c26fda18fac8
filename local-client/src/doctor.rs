//! Looks at everything that the client needs and says what is wrong with it.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use offstage_protocol::ErrorCode;
use serde_json::json;
use x11rb::connection::RequestConnection as _;
use x11rb::protocol::composite;
use x11rb::protocol::res;
use x11rb::protocol::shape;

use crate::cli::Places;
use crate::engine;

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
pub(crate) fn examine(places: &Places) -> Vec<Finding> {
    let mut findings = vec![engine_finding(places.engine().as_deref())];
    findings.extend(display_findings());
    findings.push(socket_finding(&places.socket()));
    findings.push(stage_finding(&places.stage_folder()));
    findings
}

fn engine_finding(asked: Option<&Path>) -> Finding {
    let Some(program) = engine::find(asked) else {
        let asked = asked.map(|asked| asked.display().to_string()).unwrap_or_default();
        return Finding::bad("engine", ErrorCode::ENGINE_MISSING, asked);
    };
    let shown = program.display();
    match Command::new(&program).arg("--version").output() {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Finding::good("engine", format!("{shown}: {version}"))
        }
        Ok(output) => {
            Finding::bad("engine", ErrorCode::ENGINE_FAILED_TO_START, format!("{shown}: {}", output.status))
        }
        Err(error) => Finding::bad("engine", ErrorCode::ENGINE_FAILED_TO_START, format!("{shown}: {error}")),
    }
}

fn display_findings() -> Vec<Finding> {
    let conn = match x11rb::connect(None) {
        Ok((conn, _screen)) => conn,
        Err(error) => return vec![Finding::bad("display", ErrorCode::DISPLAY_MISSING, error.to_string())],
    };
    let name = std::env::var("DISPLAY").unwrap_or_default();
    let mut findings = vec![Finding::good("display", name)];
    for (subject, extension) in [
        ("extension SHAPE", shape::X11_EXTENSION_NAME),
        ("extension Composite", composite::X11_EXTENSION_NAME),
        ("extension X-Resource", res::X11_EXTENSION_NAME),
    ] {
        findings.push(match conn.extension_information(extension) {
            Ok(Some(_)) => Finding::good(subject, ""),
            Ok(None) => Finding::bad(subject, ErrorCode::DISPLAY_UNSUITABLE, ""),
            Err(error) => Finding::bad(subject, ErrorCode::DISPLAY_MISSING, error.to_string()),
        });
    }
    findings
}

fn socket_finding(path: &Path) -> Finding {
    let shown = path.display().to_string();
    if UnixStream::connect(path).is_ok() {
        return Finding::good("socket", format!("{shown}: a client answers"));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    match folder.metadata() {
        Ok(data) if data.uid() != rustix::process::geteuid().as_raw() && data.mode() & 0o1000 == 0 => {
            Finding::bad("socket", ErrorCode::SOCKET_UNSAFE, shown)
        }
        Ok(data) if data.mode() & 0o022 != 0 && data.mode() & 0o1000 == 0 => {
            Finding::bad("socket", ErrorCode::SOCKET_UNSAFE, shown)
        }
        Ok(_) | Err(_) => Finding::good("socket", format!("{shown}: no client runs")),
    }
}

fn stage_finding(folder: &Path) -> Finding {
    let missing: Vec<&str> = ["engine.html", "engine.js", "stage.js", "stage_bg.wasm"]
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
    fn findings_are_json_too() {
        let findings =
            [Finding::good("display", ":0"), Finding::bad("stage", ErrorCode::STAGE_FILES_MISSING, "x")];
        let value: serde_json::Value = serde_json::from_str(&to_json(&findings)).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["findings"][1]["code"], 1218);
    }
}
