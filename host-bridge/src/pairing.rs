//! `pair` and `pairings`: the devices of other machines that this session's user knows.

use std::io;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::io::Write as _;

use clap::Subcommand;
use offstage_pairing::address::Address;
use offstage_pairing::code::Code;
use offstage_pairing::connect;
use offstage_pairing::identity::Identity;
use offstage_pairing::store;
use offstage_pairing::store::Store;

use crate::channel::tls::folder;
use crate::cli::CommandError;
use crate::cli::say;

/// More than any code that somebody types.
const MOST_TYPED: u64 = 256;

#[derive(Debug, Subcommand)]
pub(crate) enum PairingsCommand {
    /// Say which devices, and the key that this session shows
    List {
        /// Print JSON: [{"name", "key", "address", "since"}]
        #[arg(long)]
        json: bool,
    },
    /// Forget a device
    Remove {
        /// A name of the list, or the beginning of a key (eight digits at least)
        which: String,
    },
}

/// Pairs with the device at an address.
pub(crate) fn pair(address: &Address, code: Option<String>) -> Result<bool, CommandError> {
    let code: Code = code.map_or_else(read_code, Ok)?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pairing = runtime.block_on(connect::pair(&folder()?, address.as_str(), &code))?;
    say(&format!("Paired with {} at {address}.\n", pairing.name))?;
    Ok(true)
}

/// Lists pairings, or removes some.
pub(crate) fn pairings(command: &PairingsCommand) -> Result<bool, CommandError> {
    let folder = folder()?;
    let store = Store::new(&folder);
    match command {
        PairingsCommand::List { json: true } => say(&store::to_json(&store.list()?))?,
        PairingsCommand::List { json: false } => {
            let all = store.list()?;
            let key = Identity::of_folder(&folder)?.pin();
            say(&format!("This session's key: {key}\nDevices:\n{}", store::to_text(&all, store::now())))?;
        }
        PairingsCommand::Remove { which } => {
            let gone = store.remove(which)?;
            if gone.is_empty() {
                return Err(CommandError::NoSuchPairing(which.clone()));
            }
            for pairing in gone {
                say(&format!("removed {}\n", pairing.name))?;
            }
        }
    }
    Ok(true)
}

/// A line of standard input; who sits there is asked for it.
fn read_code() -> io::Result<String> {
    let input = io::stdin();
    if input.is_terminal() {
        let mut out = io::stderr();
        out.write_all(b"Code that the device shows: ")?;
        out.flush()?;
    }
    let mut line = String::new();
    io::BufRead::read_line(&mut input.lock().take(MOST_TYPED), &mut line)?;
    Ok(line)
}
