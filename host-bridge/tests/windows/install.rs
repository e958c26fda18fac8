//! Browsers know the bridge by keys of the registry, and forget it without a trace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use offstage_bridge::install::manifest::EXTENSION_ID;
use offstage_bridge::install::manifest::FILE_NAME;
use offstage_bridge::install::manifest::HostManifest;
use offstage_bridge::install::places::Browser;
use offstage_bridge::install::registry::keys;
use offstage_support::win32::registry;
use offstage_support::win32::registry::Root;

/// A copy of the program in a folder of its own, as an installer would put it there.
fn installed() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("offstage-bridge.exe");
    fs::copy(env!("CARGO_BIN_EXE_offstage-bridge"), &program).unwrap();
    (dir, program)
}

fn run(program: &Path, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

fn words(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split("  ").next()).collect()
}

/// The whole life of an installation below one root. One test for both, because both share the program's manifest and what is read is
/// the machine's.
#[test]
fn keys_lead_to_the_manifest_and_go_again() {
    let _alone = crate::alone();
    let (dir, program) = installed();
    let manifest = dir.path().join(FILE_NAME);
    let all = keys(&Browser::ALL);
    // What a run that failed has left.
    for key in &all {
        registry::remove(Root::User, key).unwrap();
        registry::remove(Root::Machine, key).unwrap();
    }
    for (root, scope) in [(Root::User, &[][..]), (Root::Machine, &["--system"][..])] {
        let (output, text) = run(&program, &[&["install"], scope].concat());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(words(&text), vec!["written"; 1 + all.len()], "{text}");
        for key in &all {
            let file = registry::text(root, key, "").unwrap();
            assert_eq!(file.as_deref().map(Path::new), Some(manifest.as_path()), "{root} {key}");
        }
        let text = fs::read(&manifest).unwrap();
        let read = HostManifest::parse(&text).unwrap();
        assert_eq!(read.path, program, "a path that shells take");
        assert_eq!(read.allowed_origins, [format!("chrome-extension://{EXTENSION_ID}/")]);
        let (output, text) = run(&program, &[&["install"], scope].concat());
        assert!(output.status.success() && words(&text) == vec!["unchanged"; 1 + all.len()], "{text}");

        let (_, text) = run(&program, &[&["doctor", "--json"], scope].concat());
        let answers: serde_json::Value = serde_json::from_str(&text).unwrap();
        let of = |subject: &str| {
            let checks = answers["checks"].as_array().unwrap().iter();
            checks.filter(|check| check["subject"] == subject).cloned().collect::<Vec<_>>()
        };
        for browser in Browser::ALL {
            let said = of(browser.name());
            assert!(!said.is_empty() && said.iter().all(|check| check["status"] == "ok"), "{said:?}");
        }
        assert_eq!(of("client")[0]["code"], "OFS-1201", "{text}");
        assert_eq!(of("log files")[0]["status"], "ok", "{text}");

        let (output, text) = run(&program, &[&["uninstall"], scope].concat());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(words(&text), vec!["removed"; 1 + all.len()], "{text}");
        assert!(!manifest.exists());
        assert!(all.iter().all(|key| !registry::exists(root, key)));
    }

    // Another copy's key stays, and a policy that forbids hosts is told.
    let (_other_dir, other) = installed();
    assert!(run(&other, &["install"]).0.status.success());
    let (_, text) = run(&program, &["uninstall", "--browser", "edge"]);
    assert!(text.starts_with("kept"), "{text}");
    let blocked = r"Software\Policies\Microsoft\Edge\NativeMessagingBlocklist";
    registry::set_text(Root::User, blocked, "1", "*").unwrap();
    let (output, text) = run(&other, &["doctor", "--browser", "edge"]);
    assert!(!output.status.success() && text.contains("NativeMessagingBlocklist"), "{text}");
    registry::remove(Root::User, blocked).unwrap();
    assert!(run(&other, &["uninstall"]).0.status.success());
}

#[test]
fn a_profile_is_no_place_on_windows() {
    let (_dir, program) = installed();
    let (output, _) = run(&program, &["install", "--user-data-dir", r"C:\profile"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("OFS-16"), "{output:?}");
}
