//! Pictures in the page of a web client: the stage's socket carries where they are.

use crate::client::Client;
use crate::window::web;

impl Client {
    /// Hands the stage what else the windows would be told, ahead of what waits for it. What waits longer is replaced by what is newer.
    pub fn pass_windows_to_stage(&mut self) {
        while self.stage.has_room()
            && let Some(command) = self.windows.pop()
        {
            if let Some(message) = web::message(command) {
                self.stage.push_first(message);
            }
        }
    }
}
