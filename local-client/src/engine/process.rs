//! The engine's process: with whatever it starts it is one thing that ends together, and it is spoken to over a pair of pipes.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use self::unix as own;
#[cfg(windows)]
use self::windows as own;

pub(crate) use self::own::{Process, Reader, Writer, arguments};
