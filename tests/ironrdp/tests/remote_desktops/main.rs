//! Clients of remote desktops against a server in this process, and a session of Offstage's through them.

#[cfg(test)]
mod desk;
#[cfg(test)]
mod pipe_proxy;
#[cfg(test)]
mod xfreerdp;
