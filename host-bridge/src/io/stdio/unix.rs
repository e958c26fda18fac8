//! The standard streams as descriptors.

use std::fs::File;
use std::io;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::fcntl_setpipe_size;
use rustix::stdio::dup2_stdout;

/// Wanted size of the browser's pipes; with the usual 64 KiB a message takes many more switches between the processes.
const PIPE_SIZE: usize = 1 << 20;

/// Input and output; standard output is standard error from here on.
pub(super) fn take() -> io::Result<(File, File)> {
    let input = File::from(fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let output = File::from(fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    dup2_stdout(rustix::stdio::stderr())?;
    for pipe in [&input, &output] {
        if let Err(error) = fcntl_setpipe_size(pipe, PIPE_SIZE) {
            // Not a pipe, or the user's pages for pipes are used up: slower, and nothing else.
            tracing::debug!(%error, "pipe keeps its size");
        }
    }
    Ok((input, output))
}
