//! install, uninstall, doctor and the help, as a person runs them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::thread;

use crate::host::Client;
use crate::host::hello_frame;
use crate::host::read_exactly;

const FILE_NAME: &str = "org.offstage.bridge.json";
const PRODUCT: &str = "chrome-extension://mlikghilbjkmjaalplkfldmjcogdihnp/";

/// A home folder of a person who has no browser yet.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_offstage-bridge"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", self.path().join("bin"))
            .env("DISPLAY", ":99")
            .env("OFFSTAGE_SOCKET", self.path().join("client.sock"))
            .output()
            .unwrap()
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The answers of the doctor that aren't good, by subject, with their codes.
    fn doctor(&self, arguments: &[&str]) -> BTreeMap<String, String> {
        let output = self.run(&[&["doctor", "--json"], arguments].concat());
        let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(if answers["ok"] == true { 0 } else { 1 }), "{answers}");
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        answers["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["status"] == "fail")
            .map(|check| {
                assert!(
                    !text(&check["sentence"]).is_empty() && !text(&check["remedy"]).is_empty(),
                    "{check}"
                );
                (text(&check["subject"]), text(&check["code"]))
            })
            .collect()
    }

    /// Every file in the home folder.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }
}

fn origins(file: &Path) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(manifest["name"], "org.offstage.bridge");
    assert_eq!(manifest["type"], "stdio");
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_offstage-bridge")).unwrap();
    assert_eq!(manifest["path"], program.to_str().unwrap());
    manifest["allowed_origins"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[test]
fn install_serves_every_browser_of_the_user_and_uninstall_takes_it_back() {
    let home = Home::new();
    let text = home.succeed(&["install"]);
    let config = home.path().join(".config");
    let expected = ["BraveSoftware/Brave-Browser", "chromium", "google-chrome", "microsoft-edge"]
        .map(|browser| config.join(browser).join("NativeMessagingHosts").join(FILE_NAME));
    assert_eq!(home.files(), expected);
    for file in &expected {
        assert!(text.contains(&format!("written    {}", file.display())), "{text}");
        assert_eq!(origins(file), [PRODUCT]);
    }
    assert_eq!(home.succeed(&["install"]).matches("unchanged").count(), 4);
    assert_eq!(home.succeed(&["uninstall"]).matches("removed").count(), 4);
    assert_eq!(home.files(), [""; 0].map(PathBuf::from));
    assert_eq!(home.succeed(&["uninstall"]).matches("not there").count(), 4);
}

#[test]
fn one_browser_one_profile_or_the_whole_machine() {
    let home = Home::new();
    home.succeed(&["install", "--browser", "chromium"]);
    assert_eq!(home.files(), [home.path().join(".config/chromium/NativeMessagingHosts").join(FILE_NAME)]);
    home.succeed(&["uninstall", "--browser", "chromium"]);

    let profile = home.path().join("profile");
    let more = "a".repeat(32);
    home.succeed(&["install", "--user-data-dir", profile.to_str().unwrap(), "--extension-id", &more]);
    let file = profile.join("NativeMessagingHosts").join(FILE_NAME);
    assert_eq!(home.files(), std::slice::from_ref(&file));
    assert_eq!(origins(&file), [PRODUCT.to_owned(), format!("chrome-extension://{more}/")]);
    home.succeed(&["uninstall", "--user-data-dir", profile.to_str().unwrap()]);

    let root = home.path().join("root");
    home.succeed(&["install", "--system", "--root", root.to_str().unwrap()]);
    let expected = ["brave", "chromium", "opt/chrome", "opt/edge"]
        .map(|browser| root.join("etc").join(browser).join("native-messaging-hosts").join(FILE_NAME));
    assert_eq!(home.files(), expected);

    // As a package is built: the program is where it will be, not where it is now.
    let inside = ["--root", root.to_str().unwrap(), "--program", "/usr/bin/offstage-bridge"];
    let missing = home.run(&[&["install", "--system"], &inside[..]].concat());
    assert!(String::from_utf8(missing.stderr).unwrap().contains("OFS-1606"), "not there yet");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_offstage-bridge"), root.join("usr/bin/offstage-bridge")).unwrap();
    home.succeed(&[&["install", "--system"], &inside[..]].concat());
    let text = fs::read_to_string(&expected[0]).unwrap();
    assert!(text.contains("\"path\": \"/usr/bin/offstage-bridge\""), "{text}");
}

#[test]
fn uninstall_leaves_what_belongs_to_others() {
    let home = Home::new();
    home.succeed(&["install", "--program", "/bin/sh"]);
    let text = home.succeed(&["uninstall"]);
    assert_eq!(text.matches("kept").count(), 4, "{text}");
    assert_eq!(home.files().len(), 4);
    home.succeed(&["uninstall", "--program", "/bin/sh"]);
    assert_eq!(home.files().len(), 0);
}

#[test]
fn what_cannot_be_done_is_told_with_its_code() {
    let home = Home::new();
    fs::write(home.path().join(".config"), "").unwrap();
    let output = home.run(&["install"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("OFS-1603"));
    let output = home.run(&["install", "--program", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("OFS-1606"));
    assert_eq!(home.run(&["install", "--extension-id", "*"]).status.code(), Some(2));
    assert_eq!(home.run(&[]).status.code(), Some(2));
}

#[test]
fn the_doctor_names_what_is_missing_until_nothing_is() {
    let home = Home::new();
    let none = home.doctor(&[]);
    assert_eq!(none["browsers"], "OFS-1605");
    assert_eq!(none["client"], "OFS-1201");

    fs::write(home.path().join("bin/chromium"), "").unwrap();
    assert_eq!(home.doctor(&[])["Chromium"], "OFS-1101");
    home.succeed(&["install", "--browser", "chromium"]);
    assert_eq!(home.doctor(&["--browser", "chromium"]).keys().collect::<Vec<_>>(), ["client"]);

    let client = Client::listen(&home.path().join("client.sock"));
    let answering = thread::spawn(move || {
        let mut stream = client.accept();
        read_exactly(&mut stream, 13).unwrap();
        stream.write_all(&hello_frame("client", 0)).unwrap();
        // Until the doctor has gone.
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    });
    assert!(home.doctor(&["--browser", "chromium"]).is_empty());
    answering.join().unwrap();

    let file = home.path().join(".config/chromium/NativeMessagingHosts").join(FILE_NAME);
    fs::write(&file, "{}").unwrap();
    assert_eq!(home.doctor(&["--browser", "chromium"])["Chromium"], "OFS-1604");
}

#[test]
fn the_doctor_speaks_to_people_too() {
    let home = Home::new();
    let output = home.run(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAIL  client: ") && text.contains("OFS-1201 "), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_help_names_commands_and_variables() {
    let text = Home::new().succeed(&["--help"]);
    for word in ["install", "uninstall", "doctor", "OFFSTAGE_SOCKET", "OFFSTAGE_LOG_FILE", "Exit status"] {
        assert!(text.contains(word), "{text}");
    }
}
