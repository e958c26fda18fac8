//! Does each browser that is there know this bridge?

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use offstage_protocol::error::ErrorCode;

use crate::doctor::Answer;
use crate::doctor::Questions;
use crate::install::leads_to;
use crate::install::manifest::HOST_NAME;
use crate::install::manifest::HostManifest;
use crate::install::manifest_files;
use crate::install::places::Browser;
use crate::install::places::Scope;
use crate::install::program_path;

pub(crate) fn examine(questions: &Questions) -> Vec<Answer> {
    if let [scope @ Scope::Profile(dir)] = questions.scopes.as_slice() {
        let subject = format!("profile {}", dir.display());
        let found = examine_folders(questions, scope, &[], &subject);
        return if found.is_empty() { vec![not_installed(&subject)] } else { found };
    }
    let mut answers = Vec::new();
    let mut seen = false;
    for browser in &questions.browsers {
        let name = browser.name();
        let found: Vec<_> = questions
            .scopes
            .iter()
            .flat_map(|scope| examine_folders(questions, scope, &[*browser], name))
            .collect();
        let present = is_present(*browser);
        seen |= present || !found.is_empty();
        if present && found.is_empty() {
            answers.push(not_installed(name));
        }
        answers.extend(found);
    }
    if !seen {
        answers.push(Answer::fail(
            "browsers",
            ErrorCode::BROWSER_NOT_FOUND,
            "none is found on this machine, and none knows the bridge",
        ));
    }
    answers
}

fn not_installed(subject: &str) -> Answer {
    Answer::fail(subject, ErrorCode::BRIDGE_NOT_INSTALLED, "no manifest of the bridge")
}

/// The answers about the manifests that are there.
fn examine_folders(questions: &Questions, scope: &Scope, browsers: &[Browser], subject: &str) -> Vec<Answer> {
    manifest_files(scope, browsers).iter().filter_map(|file| examine_file(questions, file, subject)).collect()
}

fn examine_file(questions: &Questions, file: &Path, subject: &str) -> Option<Answer> {
    let place = file.display();
    let invalid =
        |what: String| Some(Answer::fail(subject, ErrorCode::MANIFEST_INVALID, format!("{place}: {what}")));
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return invalid(error.to_string()),
    };
    let manifest = match HostManifest::of_file(file, &text) {
        Ok(manifest) => manifest,
        Err(error) => return invalid(error.to_string()),
    };
    if manifest.name != HOST_NAME {
        return invalid(format!("it is for {:?}", manifest.name));
    }
    if manifest.kind != "stdio" {
        return invalid(format!("its type is {:?}", manifest.kind));
    }
    if !manifest.path.is_absolute() {
        return invalid(format!("its path {} is not absolute", manifest.path.display()));
    }
    let missing = questions.extensions.iter().find(|id| !manifest.allowed_origins.contains(&id.origin()));
    if let Some(id) = missing {
        return invalid(format!("it doesn't allow the extension {id}"));
    }
    Some(match program_path(&manifest.path) {
        Err(error) => Answer::fail(subject, error.code(), format!("{place}: {error}")),
        Ok(path) if leads_to(&path, &questions.program) => Answer::ok(subject, place.to_string()),
        Ok(path) => Answer::warn(
            subject,
            ErrorCode::MANIFEST_INVALID,
            format!("{place}: it starts another copy of the bridge, {}", path.display()),
        ),
    })
}

/// True if it can be started from here. Only the search path is looked at.
#[cfg(unix)]
fn is_present(browser: Browser) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .any(|folder| browser.programs().iter().any(|name| folder.join(name).is_file()))
}

/// True if Windows knows where its program is.
#[cfg(windows)]
fn is_present(browser: Browser) -> bool {
    use offstage_support::win32::registry;
    let key = format!(r"Software\Microsoft\Windows\CurrentVersion\App Paths\{}", browser.program_file());
    [registry::Root::User, registry::Root::Machine].iter().any(|root| {
        let program = registry::text(*root, &key, "").ok().flatten();
        program.is_some_and(|program| Path::new(program.trim_matches('"')).is_file())
    })
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::channel::choice::Given;
    use crate::channel::choice::choose;
    use crate::doctor::Status;
    use crate::install::manifest::ExtensionId;
    use crate::install::manifest::FILE_NAME;

    struct Test {
        dir: tempfile::TempDir,
        questions: Questions,
    }

    impl Test {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let program = dir.path().join("bridge");
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let questions = Questions {
                program: program_path(&program).unwrap(),
                scopes: vec![Scope::Profile(dir.path().to_owned())],
                browsers: Vec::new(),
                extensions: vec![ExtensionId::product()],
                choice: choose(&Given::default()),
                root: dir.path().to_owned(),
            };
            Self { dir, questions }
        }

        fn manifest(&self) -> HostManifest {
            HostManifest::new(self.questions.program.clone(), [ExtensionId::product()])
        }

        /// The one answer to a file with this text.
        fn check(&self, text: &str, status: Status, code: Option<ErrorCode>) {
            let folder = self.dir.path().join("NativeMessagingHosts");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(FILE_NAME), text).unwrap();
            let answers = examine(&self.questions);
            assert_eq!(answers.len(), 1, "{answers:?}");
            assert_eq!((answers[0].status, answers[0].code), (status, code), "{answers:?}");
        }
    }

    #[test]
    fn a_manifest_that_leads_here_is_well() {
        let test = Test::new();
        test.check(&test.manifest().to_text(), Status::Ok, None);
    }

    #[test]
    fn no_manifest_means_not_installed() {
        let test = Test::new();
        assert_eq!(examine(&test.questions)[0].code, Some(ErrorCode::BRIDGE_NOT_INSTALLED));
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_named() {
        let test = Test::new();
        let invalid = |manifest: &HostManifest| {
            test.check(&manifest.to_text(), Status::Fail, Some(ErrorCode::MANIFEST_INVALID));
        };
        test.check("{", Status::Fail, Some(ErrorCode::MANIFEST_INVALID));
        invalid(&HostManifest { name: "org.other".to_owned(), ..test.manifest() });
        invalid(&HostManifest { kind: "socket".to_owned(), ..test.manifest() });
        invalid(&HostManifest { path: PathBuf::from("bridge"), ..test.manifest() });
        invalid(&HostManifest { allowed_origins: Vec::new(), ..test.manifest() });
        let gone = HostManifest { path: test.dir.path().join("gone"), ..test.manifest() };
        test.check(&gone.to_text(), Status::Fail, Some(ErrorCode::PROGRAM_MISSING));
        let other = HostManifest { path: PathBuf::from("/bin/sh"), ..test.manifest() };
        test.check(&other.to_text(), Status::Warn, Some(ErrorCode::MANIFEST_INVALID));
    }
}
