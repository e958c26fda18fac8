//! What a console tells its programs. Without one, Windows ends a program with the person's session, and the engine ends with it.

use std::io;

use tokio::signal::windows;

/// Completes when the process is asked to end: by a key, with its console's window, with the person's session or with the machine.
pub(crate) fn end() -> io::Result<impl Future<Output = ()>> {
    let (mut c, mut break_key) = (windows::ctrl_c()?, windows::ctrl_break()?);
    let (mut close, mut logoff, mut shutdown) =
        (windows::ctrl_close()?, windows::ctrl_logoff()?, windows::ctrl_shutdown()?);
    Ok(async move {
        tokio::select! {
            _ = c.recv() => {}
            _ = break_key.recv() => {}
            _ = close.recv() => {}
            _ = logoff.recv() => {}
            _ = shutdown.recv() => {}
        }
    })
}

/// Nobody can wish here that settings are read again; they are whenever a session connects.
#[derive(Debug)]
pub(crate) struct Hangups;

impl Hangups {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "elsewhere it has to be")]
    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
