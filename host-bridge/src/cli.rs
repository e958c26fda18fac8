//! The command line.
use std::process::ExitCode;
pub fn main() -> ExitCode {
    match run(None) {
        Ok(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

use crate::bridge::BridgeConfig;
use crate::channel::Channel as _;
use crate::channel::unix::UnixChannel;
use crate::channel::unix::path_from_environment;
use crate::session::session_info;
use offstage_protocol::message::Hello;
use std::ffi::OsStr;
use std::io;

fn run(socket: Option<&OsStr>) -> io::Result<bool> {
    // Before anything can print.
    let stdio = crate::io::stdio::take_stdio()?;
    let logs = crate::io::logs::start();
    let channel = UnixChannel::new(path_from_environment(socket));
    let config = BridgeConfig {
        hello: Hello {
            component: "bridge".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_min: offstage_protocol::PROTOCOL_MIN,
            protocol_max: offstage_protocol::PROTOCOL_MAX,
            ..Hello::default()
        },
        session: session_info(),
        channel_kind: channel.kind(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(crate::io::run(config, &channel, stdio, &logs)))
}
