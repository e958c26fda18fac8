//! `offstage-client freerdp`: the plug-in where FreeRDP looks for it.
//!
//! FreeRDP loads `/dvc:offstage` from one folder that is compiled into it, and from nowhere else. The folder is read from its
//! library's own bytes: running FreeRDP's client only to ask needs a display in some versions.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

/// The file's name as FreeRDP makes it from `/dvc:offstage`.
pub const FILE: &str = "liboffstage-client.so";
/// The name of the library that cargo makes.
const BUILT: &str = "liboffstage_rdp_plugin.so";
/// Versions of FreeRDP whose interface the plug-in has.
const VERSIONS: [u32; 2] = [2, 3];
/// Folders of libraries, below the root.
const FOLDERS: [&str; 5] = ["usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64", "opt/freerdp/lib"];
/// The longest path that is taken out of a library.
const MAX_PATH: usize = 256;

/// Why the plug-in is not where it should be.
#[derive(Debug, Error)]
pub enum PluginError {
    #[error("FreeRDP 2 or 3 (libfreerdp2.so.2, libfreerdp3.so.3) is not installed below {}", .0.display())]
    NoFreeRdp(PathBuf),
    #[error("the plug-in {} can't be read: {error}", .path.display())]
    NoPlugin { path: PathBuf, error: io::Error },
    #[error("{} can't be written: {error}", .path.display())]
    NotWritten { path: PathBuf, error: io::Error },
}

/// A FreeRDP on this machine, and the plug-in's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub version: u32,
    pub file: PathBuf,
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Missing,
    Installed,
    /// Another one than what would be installed.
    Different,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no plug-in",
            Self::Installed => "the plug-in is installed",
            Self::Different => "a plug-in of another version",
        })
    }
}

impl Place {
    /// All of them below `root`, which is `/` but for packages and tests.
    #[must_use]
    pub fn find(root: &Path) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for folder in FOLDERS.iter().map(|folder| root.join(folder)) {
            let mut folders = vec![folder.clone()];
            // Debian has a folder for each kind of machine in between.
            let inner = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            folders.extend(inner.filter(|path| path.to_string_lossy().contains("-linux-")));
            folders.sort();
            for (folder, version) in
                folders.iter().flat_map(|folder| VERSIONS.map(|version| (folder, version)))
            {
                let Ok(library) = fs::read(folder.join(format!("libfreerdp{version}.so.{version}"))) else {
                    continue;
                };
                let place = Self { version, file: addins(root, folder, &library, version).join(FILE) };
                if !found.contains(&place) {
                    found.push(place);
                }
            }
        }
        found
    }

    /// What is there, beside what would be installed; without that, whether anything is.
    #[must_use]
    pub fn state(&self, plugin: Option<&[u8]>) -> State {
        match (fs::read(&self.file), plugin) {
            (Err(_), _) => State::Missing,
            (Ok(found), Some(plugin)) if found != plugin => State::Different,
            (Ok(_), _) => State::Installed,
        }
    }

    fn install(&self, plugin: &[u8]) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        // A client that runs keeps the old file.
        let new = self.file.with_extension("new");
        fs::write(&new, plugin)?;
        fs::rename(&new, &self.file)
    }

    /// True if there was one.
    fn uninstall(&self) -> io::Result<bool> {
        match fs::remove_file(&self.file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        // The folder is not there without plug-ins; others keep it.
        self.file.parent().map(fs::remove_dir);
        Ok(true)
    }
}

/// The folder for plug-ins of the FreeRDP whose library is in `folder`.
fn addins(root: &Path, folder: &Path, library: &[u8], version: u32) -> PathBuf {
    let usual = folder.join(format!("freerdp{version}"));
    let Some(told) = told_folder(library, version) else { return usual };
    if let Ok(absolute) = Path::new(&told).strip_prefix("/") {
        return root.join(absolute);
    }
    // Relative to the prefix that FreeRDP was built for: the library's folder is below the same one.
    let below = Path::new(&told).parent().unwrap_or(Path::new(""));
    let levels = below.components().count();
    match folder.ancestors().nth(levels) {
        Some(prefix) if folder.ends_with(below) => prefix.join(told),
        Some(_) | None => usual,
    }
}

/// The text that ends in `/freerdp<version>` in a library.
fn told_folder(library: &[u8], version: u32) -> Option<String> {
    let end = format!("/freerdp{version}");
    let texts = library.split(|byte| *byte == 0);
    let mut paths = texts.filter(|text| text.len() <= MAX_PATH && text.ends_with(end.as_bytes()));
    paths.find_map(|text| {
        let text = std::str::from_utf8(text).ok()?;
        let is_path = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
        (is_path && !text.split('/').any(|part| part == "..") && text.contains("lib"))
            .then(|| text.to_owned())
    })
}

/// The library that was built or packed with this program.
#[must_use]
pub fn built(program: &Path) -> PathBuf {
    let folder = program.parent().unwrap_or(Path::new(""));
    let beside = folder.join(BUILT);
    let packed = folder.parent().map(|prefix| prefix.join("lib/offstage-client").join(BUILT));
    packed.filter(|packed| !beside.is_file() && packed.is_file()).unwrap_or(beside)
}

fn all(root: &Path) -> Result<Vec<Place>, PluginError> {
    let places = Place::find(root);
    if places.is_empty() { Err(PluginError::NoFreeRdp(root.to_owned())) } else { Ok(places) }
}

/// Installs for every FreeRDP; tells what was done and how to use it.
pub fn install(root: &Path, plugin: &Path) -> Result<String, PluginError> {
    let bytes = fs::read(plugin).map_err(|error| PluginError::NoPlugin { path: plugin.to_owned(), error })?;
    let mut text = String::new();
    for place in all(root)? {
        place.install(&bytes).map_err(|error| PluginError::NotWritten { path: place.file.clone(), error })?;
        text += &format!("FreeRDP {}: {}\n", place.version, place.file.display());
    }
    Ok(text + "Start the remote desktop's client with the plug-in, e.g. xfreerdp /v:HOST /dvc:offstage\n")
}

/// Takes it away from every FreeRDP.
pub fn uninstall(root: &Path) -> Result<String, PluginError> {
    let mut text = String::new();
    for place in all(root)? {
        let removed =
            place.uninstall().map_err(|error| PluginError::NotWritten { path: place.file.clone(), error })?;
        let told = if removed { "removed" } else { "there was none" };
        text += &format!("FreeRDP {}: {}: {told}\n", place.version, place.file.display());
    }
    Ok(text)
}

/// What is there.
pub fn status(root: &Path, plugin: &Path) -> Result<String, PluginError> {
    let bytes = fs::read(plugin).ok();
    let line = |place: Place| {
        format!("FreeRDP {}: {}: {}\n", place.version, place.file.display(), place.state(bytes.as_deref()))
    };
    Ok(all(root)?.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with a FreeRDP whose library holds `told`.
    fn machine(folder: &str, version: u32, told: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let library = format!("\x7fELF\0freerdp{version}\0{told}\0lib%s-client\0");
        fs::write(folder.join(format!("libfreerdp{version}.so.{version}")), library).unwrap();
        root
    }

    fn check(folder: &str, version: u32, told: &str, expected: &str) {
        let root = machine(folder, version, told);
        let file = root.path().join(expected).join(FILE);
        assert_eq!(Place::find(root.path()), [Place { version, file }]);
    }

    #[test]
    fn the_folder_is_what_the_library_says() {
        let debian = "usr/lib/x86_64-linux-gnu";
        check(debian, 2, "lib/x86_64-linux-gnu/freerdp2", "usr/lib/x86_64-linux-gnu/freerdp2");
        check(debian, 3, "/usr/lib/x86_64-linux-gnu/freerdp3", "usr/lib/x86_64-linux-gnu/freerdp3");
        check("usr/lib64", 3, "lib64/freerdp3", "usr/lib64/freerdp3");
        check("usr/local/lib", 3, "/opt/other/lib/freerdp3", "opt/other/lib/freerdp3");
    }

    #[test]
    fn what_is_no_folder_is_not_believed() {
        for told in ["", "lib/../../etc/freerdp3", "a b/lib/freerdp3", "other/lib/freerdp3"] {
            check("usr/lib", 3, told, "usr/lib/freerdp3");
        }
    }

    #[test]
    fn it_is_installed_told_and_taken_away() {
        let root = machine("usr/lib/x86_64-linux-gnu", 2, "lib/x86_64-linux-gnu/freerdp2");
        let plugin = root.path().join("plugin.so");
        assert!(matches!(install(root.path(), &plugin), Err(PluginError::NoPlugin { .. })));
        fs::write(&plugin, "library").unwrap();
        let place = Place::find(root.path()).remove(0);
        assert!(status(root.path(), &plugin).unwrap().ends_with("no plug-in\n"));
        assert!(install(root.path(), &plugin).unwrap().contains("/dvc:offstage"));
        assert_eq!(fs::read(&place.file).unwrap(), b"library");
        assert_eq!(place.state(Some(b"library")), State::Installed);
        assert_eq!(place.state(Some(b"newer")), State::Different);
        assert!(uninstall(root.path()).unwrap().ends_with("removed\n"));
        assert!(!place.file.parent().unwrap().exists());
        assert!(uninstall(root.path()).unwrap().ends_with("there was none\n"));
    }

    #[test]
    fn without_freerdp_it_says_so() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(uninstall(root.path()), Err(PluginError::NoFreeRdp(_))));
    }
}
