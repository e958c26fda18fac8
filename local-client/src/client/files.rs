//! Files of players: who fetches what their elements want.

use offstage_protocol::ErrorCode;
use offstage_protocol::message::FetchCancelled;
use offstage_protocol::message::FetchRange;
use offstage_protocol::message::FromDeviceKind;

use crate::client::Client;
use crate::client::Fetch;
use crate::client::Fetched;
use crate::client::OwnCommand;
use crate::client::Player;
use crate::client::check;
use crate::client::fetches::Asked;

impl Client {
    /// A media element wants bytes of its player's file; the answer comes by [`Self::poll_fetched`].
    pub fn fetch(&mut self, fetch: Fetch) {
        let files = |player: &Player| player.buffers.contains_key(&check::FILE_BUFFER);
        if self.players.get(&fetch.player).is_some_and(files) {
            self.fetches.ask(fetch);
            self.start_fetches();
        } else {
            self.fetches.refuse(fetch.token, 404);
        }
    }

    /// It doesn't want them any more.
    pub fn drop_fetch(&mut self, token: u64) {
        if let Some((id, request)) = self.fetches.cancel(token)
            && let Some(player) = self.players.get(&id)
        {
            let cancelled = FetchCancelled { player: player.name, request };
            self.tell(player.session, FromDeviceKind::FetchCancelled(cancelled));
        }
        self.start_fetches();
    }

    /// The next answer, with the asker's token.
    pub fn poll_fetched(&mut self) -> Option<(u64, Fetched)> {
        self.fetches.poll()
    }

    /// What is to be fetched from the web, or not any more.
    pub fn poll_own_fetch(&mut self) -> Option<OwnCommand> {
        self.fetches.poll_own()
    }

    /// An [`OwnFetch`] has given bytes, or could not.
    pub fn own_fetched(&mut self, request: u32, fetched: Result<Fetched, ErrorCode>) {
        self.fetches.own_done(request, fetched);
        self.start_fetches();
    }

    pub(crate) fn start_fetches(&mut self) {
        while let Some(Asked { request, fetch, refused }) = self.fetches.start() {
            let Fetch { player, resource, start, end, .. } = fetch;
            if let Some(state) = self.players.get(&player) {
                let range = FetchRange { player: state.name, request, resource, start, end, refused };
                self.tell(state.session, FromDeviceKind::FetchRange(range));
            }
        }
    }
}
