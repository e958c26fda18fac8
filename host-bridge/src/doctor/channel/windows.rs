//! The client's pipe, or the remote desktop's channel.

use offstage_protocol::socket_path::DVC_NAME;

use crate::channel::choice::AnyChannel;
use crate::doctor::Answer;
use crate::doctor::client;

pub(super) fn examine(channel: &AnyChannel) -> Vec<Answer> {
    match channel {
        AnyChannel::Pipe(channel) => client::examine(channel),
        // Not asked for: one more might take the running one's place at the client.
        AnyChannel::Wts(channel) => vec![Answer::ok(
            "remote desktop's channel",
            format!(
                "{}; whether the device has a plug-in for {DVC_NAME} shows when the extension connects",
                channel.name()
            ),
        )],
    }
}
