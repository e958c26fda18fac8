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
        let recording = self.record(output, 50)?;
        let end = Instant::now() + PATIENCE;
        while recording.length()? < PIECE {
            ensure!(Instant::now() < end, "nothing can be recorded at {output}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Ok(strongest(&recording.samples()?, (40..=240).map(|step| f64::from(step) * 5.0)))
    }

    /// Records what sounds at an output, in steps of that many milliseconds, until it is dropped.
    pub fn record(&self, output: &str, step_ms: u32) -> Result<Recording> {
        let mut record = command(self.packages.join("usr/bin/parec"));
        let file = self.folder.path().join("recorded");
        std::fs::write(&file, [])?;
        record
            .args(["--raw", "--channels=1", "--format=s16le"])
            .arg(format!("--latency-msec={step_ms}"))
            .arg(format!("--rate={RATE}"))
            .arg(format!("--device={output}.monitor"))
            .arg(&file);
        libraries(&mut record, &self.packages, &self.folder);
        let recorder = Process::spawn("parec", record.envs(self.environment()))?;
        Ok(Recording { file, first: None, _recorder: recorder })
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

/// What sounds at an output, as it is being recorded.
#[derive(Debug)]
pub struct Recording {
    file: PathBuf,
    /// When its first sample sounded, as far as is known.
    first: Option<Instant>,
    _recorder: Process,
}

impl Recording {
    /// Looks how far it is. The more often, the better it is known what sounded when.
    pub fn note(&mut self) -> Result<()> {
        let (length, now) = (self.length()?, Instant::now());
        let before = Duration::from_secs_f64(u32::try_from(length).map_or(0.0, seconds));
        // The earliest is the one that waited least for its look.
        if length > 0
            && let Some(first) = now.checked_sub(before)
        {
            self.first = Some(self.first.map_or(first, |known| known.min(first)));
        }
        Ok(())
    }

    /// When each of these tones, in Hz and in their order, gave way to the next: the number of the one that began, and the time.
    pub fn changes(&self, tones: &[f64]) -> Result<Vec<(usize, Instant)>> {
        let Some(first) = self.first else { return Ok(Vec::new()) };
        let found = changes(&self.samples()?, tones);
        Ok(found
            .into_iter()
            .map(|(tone, at)| (tone, first + Duration::from_secs_f64(u32::try_from(at).map_or(0.0, seconds))))
            .collect())
    }

    /// In samples.
    fn length(&self) -> Result<usize> {
        Ok(usize::try_from(std::fs::metadata(&self.file)?.len())? / 2)
    }

    fn samples(&self) -> Result<Vec<f64>> {
        let bytes = std::fs::read(&self.file)?;
        let sample = |pair: &[u8]| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0;
        Ok(bytes.chunks_exact(2).map(sample).collect())
    }
}

fn seconds(samples: u32) -> f64 {
    f64::from(samples) / f64::from(RATE)
}

/// Where a tone gives way to the next of the list: which one begins, and at what sample.
fn changes(samples: &[f64], tones: &[f64]) -> Vec<(usize, usize)> {
    // 20 ms tell tones 60 Hz apart; the next one is the stronger from the middle of such a piece on. What is heard for less than
    // 50 ms is none of the tones: it is where one begins or ends.
    const WINDOW: usize = 960;
    const STEP: usize = 120;
    const LEAST: usize = 20;
    let loudest = |window: &[f64]| {
        let found = strongest(window, tones.iter().copied())?;
        tones.iter().position(|tone| (tone - found).abs() < 1.0)
    };
    let heard: Vec<Option<usize>> = samples.windows(WINDOW).step_by(STEP).map(loudest).collect();
    let mut at = 0;
    let mut runs = Vec::new();
    for run in heard.chunk_by(|one, other| one == other) {
        if run.len() >= LEAST
            && let Some(tone) = run[0]
        {
            runs.push((tone, at, at + run.len()));
        }
        at += run.len();
    }
    let pairs = runs.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1 && pair[1].1 - pair[0].2 < LEAST);
    pairs.map(|pair| (pair[1].0, (pair[0].2 + pair[1].1 - 1) * STEP / 2 + WINDOW / 2)).collect()
}

/// The strongest of these frequencies; none where hardly anything sounds.
fn strongest(samples: &[f64], of: impl Iterator<Item = f64>) -> Option<f64> {
    const QUIET: f64 = 0.002;
    let power = |hertz: f64| {
        // Goertzel's filter.
        let turn = 2.0 * (std::f64::consts::TAU * hertz / f64::from(RATE)).cos();
        let (one, two) =
            samples.iter().fold((0.0, 0.0), |(one, two), sample| (sample + turn * one - two, one));
        one * one + two * two - turn * one * two
    };
    let loudest = samples.iter().fold(0.0_f64, |most, sample| most.max(sample.abs()));
    of.map(|hertz| (hertz, power(hertz)))
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .map(|(hertz, _)| hertz)
        .filter(|_| loudest > QUIET)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, samples: u32) -> impl Iterator<Item = f64> {
        (0..samples)
            .map(move |at| (f64::from(at) * hertz * std::f64::consts::TAU / f64::from(RATE)).sin() * 0.1)
    }

    #[test]
    fn tones_are_told_apart() {
        let all = || (40..=240).map(|step| f64::from(step) * 5.0);
        for hertz in [440.0_f64, 600.0, 1000.0] {
            assert_eq!(strongest(&tone(hertz, 24_000).collect::<Vec<_>>(), all()), Some(hertz));
        }
        assert_eq!(strongest(&[0.0; 24_000], all()), None);
    }

    #[test]
    fn the_moment_is_found_where_a_tone_gives_way_to_the_next() {
        let tones = [300.0, 360.0, 420.0, 480.0];
        let silence = std::iter::repeat_n(0.0, 5_000);
        let sound = silence.chain(tone(360.0, 20_000)).chain(tone(420.0, 30_000)).chain(tone(300.0, 9_000));
        let found = changes(&sound.collect::<Vec<_>>(), &tones);
        assert_eq!(found.len(), 1, "{found:?}");
        let (began, at) = found[0];
        // Within 5 ms.
        assert!(began == 2 && at.abs_diff(25_000) < 240, "{found:?}");
    }
}
