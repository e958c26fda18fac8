//! What the tests, the demo and the benchmark share: real programs started and ended cleanly, a screen to draw on, the
//! browser's debugging port, a small web server, and the number that every frame of the test clips carries.
//!
//! Linux only, like the tests that need it. Everything that is started here is ended by its process id when its value is dropped.

pub mod calls;
pub mod cdp;
pub mod faulty_link;
pub mod frame_number;
pub mod geometry;
pub mod lossy_path;
pub mod process;
pub mod rdp;
pub mod remote_desktop;
pub mod server;
pub mod services;
pub mod session;
pub mod shaped_line;
pub mod single_windows;
pub mod sites;
pub mod sounds;
pub mod stage_probe;
pub mod web_client;
pub mod xvfb;
