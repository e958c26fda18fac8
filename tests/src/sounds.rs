//! A sound server with devices that a test plugs in and takes out: Debian's PulseAudio in a folder of its own, which
//! `cargo xtask` unpacks beside the programs. What sounds at its outputs is recorded and its tones are found.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::process::{Process, command};

const PATIENCE: Duration = Duration::from_secs(40);
const RATE: u32 = 48_000;
/// How much is listened to at a time, in samples.
const PIECE: usize = 24_000;

/// Where the unpacked packages are, beside the folder of programs.
#[must_use]
pub fn packages_folder(programs: &Path) -> PathBuf {
    programs.with_file_name("calls").join("sound")
}

/// A running sound server; it ends with its value.
#[derive(Debug)]
pub struct Sounds {
    folder: TempDir,
    packages: PathBuf,
    _server: Process,
}

/// An output or a microphone that is plugged in: the server's number of it.
#[derive(Debug)]
pub struct Plugged(String);

/// What a microphone of [`Sounds::plug_microphone`] is called.
#[must_use]
pub fn microphone_name(hertz: u32) -> String {
    format!("Sine source at {hertz} Hz")
}

impl Sounds {
    /// Starts a server without any device. `programs` is the folder of the product's programs.
    pub fn start(programs: &Path) -> Result<Self> {
        let (folder, packages) = (TempDir::with_prefix("offstage-sounds-")?, packages_folder(programs));
        ensure!(packages.exists(), "there is no sound server: `cargo xtask test` brings it");
        let mut start = command(packages.join("usr/bin/pulseaudio"));
        start
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"])
            .arg(format!("--dl-search-path={}", modules(&packages).display()))
            .args(["-L", &format!("module-native-protocol-unix socket={}", socket(&folder)), "-L"])
            // Without any output Chromium asks for none.
            .args(["module-rescue-streams", "-L"])
            .arg("module-null-sink sink_name=speakers sink_properties=device.description=Speakers")
            .stderr(std::fs::File::create(folder.path().join("log"))?);
        let server = Process::spawn("pulseaudio", libraries(&mut start, &packages, &folder))?;
        let sounds = Self { folder, packages, _server: server };
        let end = Instant::now() + PATIENCE;
        while sounds.control(&["info"]).is_err() {
            let log = std::fs::read_to_string(sounds.folder.path().join("log")).unwrap_or_default();
            ensure!(Instant::now() < end, "the sound server does not answer: {log}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Ok(sounds)
    }

    /// The variables by which programs find it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("PULSE_SERVER".to_owned(), format!("unix:{}", socket(&self.folder)))]
    }

    /// An output more. `name` is one word; programs show it to people.
    pub fn plug_output(&self, name: &str) -> Result<Plugged> {
        let described = format!("sink_properties=device.description={name}");
        self.load(&["module-null-sink", &format!("sink_name={name}"), &described])
    }

    /// A microphone more, into which somebody sounds a tone; people are shown it as [`microphone_name`].
    pub fn plug_microphone(&self, hertz: u32) -> Result<Plugged> {
        self.load(&[
            "module-sine-source",
            &format!("source_name=at{hertz}"),
            "rate=48000",
            &format!("frequency={hertz}"),
        ])
    }

    /// Takes a device out.
    pub fn unplug(&self, plugged: &Plugged) -> Result<()> {
        self.control(&["unload-module", &plugged.0]).map(drop)
    }

    /// Waits until this tone, in Hz, is the loudest part of what sounds at an output, or until it is silent (`None`).
    pub fn wait_tone(&self, output: &str, wanted: Option<f64>) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.tone(output)?;
            let fits = match (wanted, found) {
                (Some(wanted), Some(found)) => (wanted - found).abs() < 15.0,
                (wanted, found) => wanted.is_none() && found.is_none(),
            };
            if fits {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{output} sounds {found:?}, not {wanted:?}");
        }
    }

    /// The strongest tone of half a second at an output, in Hz; none if it is silent.
    pub fn tone(&self, output: &str) -> Result<Option<f64>> {
        let mut record = command(self.packages.join("usr/bin/parec"));
        let file = self.folder.path().join("recorded");
        std::fs::write(&file, [])?;
        record
            .args(["--raw", "--channels=1", "--format=s16le", "--latency-msec=50"])
            .arg(format!("--rate={RATE}"))
            .arg(format!("--device={output}.monitor"))
            .arg(&file);
        libraries(&mut record, &self.packages, &self.folder);
        let _recorder = Process::spawn("parec", record.envs(self.environment()))?;
        let end = Instant::now() + PATIENCE;
        let bytes = loop {
            let bytes = std::fs::read(&file)?;
            if bytes.len() >= PIECE * 2 {
                break bytes;
            }
            ensure!(Instant::now() < end, "nothing can be recorded at {output}");
            std::thread::park_timeout(Duration::from_millis(50));
        };
        let samples: Vec<f64> = bytes
            .chunks_exact(2)
            .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
            .collect();
        Ok(strongest(&samples))
    }

    fn load(&self, module: &[&str]) -> Result<Plugged> {
        let arguments: Vec<&str> = std::iter::once("load-module").chain(module.iter().copied()).collect();
        Ok(Plugged(self.control(&arguments)?.trim().to_owned()))
    }

    fn control(&self, arguments: &[&str]) -> Result<String> {
        let mut control = command(self.packages.join("usr/bin/pactl"));
        control.args(arguments);
        let output =
            libraries(&mut control, &self.packages, &self.folder).envs(self.environment()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pactl {}: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The server's modules: /usr/lib/pulse-16.1/modules, whatever its version.
fn modules(packages: &Path) -> PathBuf {
    let folders = std::fs::read_dir(packages.join("usr/lib")).into_iter().flatten().flatten();
    let mut modules = folders.map(|entry| entry.path().join("modules"));
    modules.find(|path| path.join("module-null-sink.so").exists()).unwrap_or_default()
}

fn socket(folder: &TempDir) -> String {
    folder.path().join("native").display().to_string()
}

/// Lets a program of the packages find its libraries, and keeps it out of the person's own files.
fn libraries<'c>(command: &'c mut Command, packages: &Path, folder: &TempDir) -> &'c mut Command {
    let libraries = packages.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let path = format!("{0}:{0}/pulseaudio:{1}", libraries.display(), modules(packages).display());
    command.env("LD_LIBRARY_PATH", path).env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path())
}

/// The strongest of the frequencies from 200 to 1200 Hz, in steps of 5 Hz; none where hardly anything sounds.
fn strongest(samples: &[f64]) -> Option<f64> {
    const QUIET: f64 = 0.002;
    let power = |hertz: f64| {
        // Goertzel's filter.
        let turn = 2.0 * (std::f64::consts::TAU * hertz / f64::from(RATE)).cos();
        let (one, two) =
            samples.iter().fold((0.0, 0.0), |(one, two), sample| (sample + turn * one - two, one));
        one * one + two * two - turn * one * two
    };
    let loudest = samples.iter().fold(0.0_f64, |most, sample| most.max(sample.abs()));
    let all = (40..=240).map(|step| f64::from(step) * 5.0);
    all.map(|hertz| (hertz, power(hertz)))
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .map(|(hertz, _)| hertz)
        .filter(|_| loudest > QUIET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_are_told_apart() {
        for hertz in [440.0_f64, 600.0, 1000.0] {
            let sound =
                |at: u32| (f64::from(at) * hertz * std::f64::consts::TAU / f64::from(RATE)).sin() * 0.1;
            assert_eq!(strongest(&(0..24_000).map(sound).collect::<Vec<_>>()), Some(hertz));
        }
        assert_eq!(strongest(&[0.0; 24_000]), None);
    }
}
