//! The summary of a package without what differs from run to run: wixl gives it a random identifier and the moment.
//!
//! It is a property set ([MS-OLEPS]) in a stream of its own.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

const STREAM: &str = "\u{5}SummaryInformation";
/// Where the header says at which byte the only section begins.
const SECTION: usize = 44;
/// The numbers of the package's identifier and of its two dates, and the types of their values.
const IDENTIFIER: u32 = 9;
const CREATED: u32 = 12;
const SAVED: u32 = 13;
const TEXT: u32 = 30;
const TIME: u32 = 64;
/// From 1601, with which the system's time begins, to 1970, in seconds.
const EPOCH: u64 = 11_644_473_600;
const TICKS: u64 = 10_000_000;

/// Gives the package this identifier, and this date in seconds since 1970.
pub(super) fn fix(package: &Path, identifier: &str, date: u64) -> Result<()> {
    let mut file = cfb::open_rw(package).with_context(|| format!("cannot open {}", package.display()))?;
    let mut bytes = Vec::new();
    file.open_stream(STREAM)?.read_to_end(&mut bytes)?;
    let ticks = (date + EPOCH) * TICKS;
    put(&mut bytes, IDENTIFIER, TEXT, 8, identifier.as_bytes())?;
    for which in [CREATED, SAVED] {
        put(&mut bytes, which, TIME, 4, &ticks.to_le_bytes())?;
    }
    let mut stream = file.open_stream(STREAM)?;
    stream.write_all(&bytes)?;
    stream.flush()?;
    file.flush()?;
    Ok(())
}

/// Writes over the value of a property, which begins some bytes behind its type.
fn put(bytes: &mut [u8], property: u32, kind: u32, behind: usize, value: &[u8]) -> Result<()> {
    let section = usize::try_from(number(bytes, SECTION)?)?;
    let count = usize::try_from(number(bytes, section + 4)?)?;
    for entry in (0..count).map(|index| section + 8 + index * 8) {
        if number(bytes, entry)? == property {
            let at = section + usize::try_from(number(bytes, entry + 4)?)?;
            ensure!(number(bytes, at)? == kind, "property {property} of the summary has another type");
            let place = bytes.get_mut(at + behind..at + behind + value.len());
            place.context("the summary is cut off")?.copy_from_slice(value);
            return Ok(());
        }
    }
    anyhow::bail!("the summary has no property {property}")
}

fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let found = bytes.get(at..at + 4).context("the summary is cut off")?;
    Ok(u32::from_le_bytes(found.try_into()?))
}
