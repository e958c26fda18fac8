//! `pair` and `pairings`: whom this device lets in by TLS.

use std::io::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use offstage_pairing::PairingError;
use offstage_pairing::address::PORT;
use offstage_pairing::code::Code;
use offstage_pairing::door;
use offstage_pairing::identity::Identity;
use offstage_pairing::invitation::Fate;
use offstage_pairing::invitation::Invitation;
use offstage_pairing::invitation::InvitationFile;
use offstage_pairing::invitation::TRIES;
use offstage_pairing::listening::Listening;
use offstage_pairing::store;
use offstage_pairing::store::Store;
use thiserror::Error;
use tokio::time::interval;
use tokio::time::timeout;

use crate::channel::tls::TlsListener;
use crate::channel::tls::folder;

/// How often the invitation is looked at: the process that takes the connection may be another.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct PairArgs {
    /// Where to wait for the session [default: where the running client listens, else 0.0.0.0:7644]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PairingsCommand {
    /// Say which sessions may connect, and the key that this device shows.
    List {
        /// Print JSON: [{"name", "key", "address", "since"}].
        #[arg(long)]
        json: bool,
    },
    /// Forget a session; what it plays on this device ends within a second.
    Remove {
        /// A name of the list, or the beginning of a key (eight digits at least).
        which: String,
    },
}

/// Why a pairing did not come about.
#[derive(Debug, Error)]
enum PairError {
    #[error("{code}: {error}\n  {sentence}\n  {remedy}", code = .0.code(), error = .0, sentence = .0.code().sentence(), remedy = .0.code().remedy())]
    Pairing(PairingError),
    #[error("stopped before a session was paired")]
    Stopped,
    #[error("another \"offstage-client pair\" has a newer code")]
    Replaced,
    #[error("no pairing is called {0:?}")]
    NoSuchPairing(String),
    #[error("{0}")]
    Io(std::io::Error),
}

// Not as sources: they are told with what they mean, once.
impl From<PairingError> for PairError {
    fn from(error: PairingError) -> Self {
        Self::Pairing(error)
    }
}

impl From<std::io::Error> for PairError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Shows a code until a session has used it, or it is over.
pub(crate) async fn pair(args: &PairArgs, end: impl Future<Output = ()>) -> anyhow::Result<()> {
    let folder = folder().map_err(PairError::from)?;
    // A folder that can't be used is told before somebody types a code.
    Store::new(&folder).list().map_err(PairError::from)?;
    let running = Listening::read(&folder);
    let wanted = args.listen.or(running).unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)));
    let own = listener(wanted, running).await?;
    let address = own.as_ref().map_or(wanted, TlsListener::address);
    let file = InvitationFile::new(&folder);
    let code = Code::random().map_err(PairError::from)?;
    file.put(&Invitation::new(store::now(), code.clone())).map_err(PairError::from)?;
    let shown = format!(
        "Code: {code}\nIn the session, within five minutes: offstage-bridge pair {}\n",
        reached_at(address)
    );
    let paired = async {
        say(&shown)?;
        wait(&folder, &code, own, address).await
    };
    let ended = tokio::select! {
        ended = paired => ended,
        () = end => Err(PairError::Stopped),
    };
    // Also if nobody reads what it says.
    file.close(&code).map_err(PairError::from)?;
    Ok(ended?)
}

/// Lists pairings, or removes some.
pub(crate) fn pairings(command: &PairingsCommand) -> anyhow::Result<()> {
    let folder = folder().map_err(PairError::from)?;
    let store = Store::new(&folder);
    match command {
        PairingsCommand::List { json } => {
            let all = store.list().map_err(PairError::from)?;
            if *json {
                say(&store::to_json(&all))?;
            } else {
                let key = Identity::of_folder(&folder).map_err(PairError::from)?.pin();
                say(&format!("This device's key: {key}\nSessions:\n{}", store::to_text(&all, store::now())))?;
            }
        }
        PairingsCommand::Remove { which } => {
            let gone = store.remove(which).map_err(PairError::from)?;
            if gone.is_empty() {
                return Err(PairError::NoSuchPairing(which.clone()).into());
            }
            for pairing in gone {
                say(&format!("removed {}\n", pairing.name))?;
            }
        }
    }
    Ok(())
}

/// A port of this process's own, or none if the running client has it.
async fn listener(wanted: SocketAddr, running: Option<SocketAddr>) -> Result<Option<TlsListener>, PairError> {
    match TlsListener::bind(wanted).await {
        Ok(listener) => Ok(Some(listener)),
        Err(PairingError::Listen { error, .. })
            if error.kind() == std::io::ErrorKind::AddrInUse
                && running.is_some_and(|running| running.port() == wanted.port()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn wait(
    folder: &Path,
    code: &Code,
    own: Option<TlsListener>,
    address: SocketAddr,
) -> Result<(), PairError> {
    let owned = own.is_some();
    let serving = async {
        match own {
            Some(listener) => listener.pair().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(serving);
    let fate = async {
        let file = InvitationFile::new(folder);
        let mut looks = interval(LOOK);
        let mut told = 0;
        loop {
            looks.tick().await;
            let found = file.read()?.filter(|found| found.code() == code).ok_or(PairError::Replaced)?;
            if found.wrong() > told {
                told = found.wrong();
                say(&format!("A wrong code was tried ({told} of {TRIES}).\n"))?;
            }
            match found.fate(store::now()) {
                Fate::Open { .. } => {}
                Fate::Paired { name } => return Ok::<String, PairError>(name),
                Fate::Expired => return Err(PairingError::CodeExpired.into()),
                Fate::TriesUsedUp => return Err(PairingError::TriesUsedUp.into()),
            }
        }
    };
    let name = tokio::select! {
        pairing = &mut serving => pairing.name,
        name = fate => {
            let name = name?;
            if owned {
                // The session is still to hear of it.
                timeout(door::LIMIT, serving).await.ok();
            }
            name
        }
    };
    say(&format!("Paired with {name}.\n"))?;
    if owned {
        say(&format!("Let it in with: offstage-client run --listen {address}\n"))?;
    }
    Ok(())
}

/// How the session may reach an address; a guess if it stands for all of this device's.
fn reached_at(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    // Nothing is sent: connecting only chooses the way.
    let way = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr())
    });
    let ip = way.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |way| way.ip());
    SocketAddr::new(ip, address.port())
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
