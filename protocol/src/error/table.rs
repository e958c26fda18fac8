//! The table itself. Append only: a number, once given out, keeps its meaning for ever.

use super::{Entry, ErrorCode};

/// Makes the constants and the table of the same lines, so that they can't differ.
macro_rules! table {
    ($($code:literal $name:ident: $sentence:literal, $remedy:literal;)*) => {
        impl ErrorCode {
            $(#[doc = $sentence] pub const $name: Self = Self($code);)*
        }

        /// Sorted by code.
        pub(super) static TABLE: &[Entry] = &[
            $(Entry { code: $code, name: stringify!($name), sentence: $sentence, remedy: $remedy },)*
        ];
    };
}

table! {
    // 10xx: the link, its frames and versions.
    1001 LINK_DEAD:
        "The other end has stopped answering.",
        "Check that the remote session is still connected; Offstage reconnects by itself.";
    1002 LINK_CLOSED:
        "The connection to the other end was closed.",
        "Nothing to do; Offstage reconnects by itself.";
    1003 MALFORMED_FRAME:
        "The other end sent bytes that are not an Offstage frame.",
        "Update Offstage on both machines; if it happens again, report it with the logs.";
    1004 OVERSIZE_FRAME:
        "The other end sent a frame that is larger than allowed.",
        "Update Offstage on both machines; if it happens again, report it with the logs.";
    1005 OVERSIZE_MESSAGE:
        "A message is larger than allowed.",
        "Update Offstage on both machines; if it happens again, report it with the logs.";
    1006 SEQUENCE_GAP:
        "A part of what the other end sent is missing.",
        "Nothing to do; Offstage reconnects by itself. If it happens often, check the remote desktop's connection.";
    1007 CREDIT_EXCEEDED:
        "The other end sent more than it was allowed to.",
        "Update Offstage on both machines; if it happens again, report it with the logs.";
    1008 TOO_MANY_STREAMS:
        "The connection carries more streams than allowed.",
        "Close some tabs with videos; Offstage reconnects by itself.";
    1009 QUEUE_FULL:
        "The connection is too slow for what has to be sent.",
        "Check the network between the remote session and this device.";
    1010 VERSION_MISMATCH:
        "The two ends of Offstage have versions that can't work together.",
        "Update Offstage on the machine that has the older version.";
    1011 HELLO_MISSING:
        "The other end spoke before it introduced itself.",
        "Make sure that nothing but Offstage uses its channel, and update it on both machines.";
    1012 MALFORMED_MESSAGE:
        "The other end sent a message that can't be read.",
        "Update Offstage on both machines; if it happens again, report it with the logs.";
    1013 UNEXPECTED_MESSAGE:
        "The other end sent a message that has no place there.",
        "Update Offstage on both machines; if it happens again, report it with the logs.";
    1014 GOING_AWAY:
        "The other end was shut down in good order.",
        "Nothing to do; start it again if it should run.";
    1015 REPLACED:
        "A newer connection has taken the place of this one.",
        "Nothing to do.";
    1016 STREAM_CLOSED:
        "Something was to be sent on a stream that is closed.",
        "Update Offstage; if it happens again, report it with the logs.";
    1017 INTERNAL:
        "Offstage made a mistake of its own.",
        "Report it with the logs.";
    1018 RDP_CLIENT_MISSING:
        "No remote desktop client is connected to the session.",
        "Connect to the session again; Offstage goes on by itself.";
    1019 RDP_PLUGIN_MISSING:
        "The remote desktop client on your device runs without Offstage's plug-in.",
        "Install Offstage's plug-in on your device, and start the remote desktop client with it.";
    1020 RDP_CHANNEL_REFUSED:
        "The remote desktop client refuses Offstage's channel.",
        "Close the remote desktop client and connect again; if it happens again, report it with the detail.";
    1021 RDP_ANSWER_CUT:
        "xrdp's channel service broke off in the middle of its answer.",
        "Nothing to do; Offstage tries again. If it happens often, look into xrdp-chansrv's log.";
    1022 XRDP_UNREACHABLE:
        "xrdp's channel service can't be reached in this session.",
        "Check that xrdp-chansrv runs in the session, and that the browser is none of a sandbox (flatpak, snap).";
    1030 WTS_CHANNEL_REFUSED:
        "The remote desktop did not open Offstage's channel to your device.",
        "Install Offstage's plug-in on your device and connect again; a group policy may forbid plug-ins.";
    1031 WTS_DATA_MALFORMED:
        "The remote desktop's channel delivered data that can't be read.",
        "Nothing to do; Offstage reconnects by itself. If it happens again, report it with the logs.";

    // 104x: pairing and TLS.
    1040 NOT_PAIRED:
        "The session and the device are not paired.",
        "Run \"offstage-client pair\" on the device and \"offstage-bridge pair\" in the session.";
    1041 PEER_UNKNOWN:
        "The other end has another key than the one that was paired.",
        "If it was installed anew, pair again; if not, somebody may be answering in its place.";
    1042 PAIRING_CODE_WRONG:
        "The pairing code is wrong.",
        "Type the code as the device shows it. If it was right, somebody may be between session and device.";
    1043 PAIRING_CODE_EXPIRED:
        "The pairing code is no longer valid.",
        "Run \"offstage-client pair\" on the device again; a code is valid for five minutes.";
    1044 PAIRING_TRIES_USED_UP:
        "The pairing code was tried too often.",
        "Run \"offstage-client pair\" on the device again for a new code.";
    1045 TLS_FAILED:
        "The encrypted connection could not be made.",
        "Make sure that the address is the one of offstage-client, and update Offstage on both machines.";
    1046 PAIRINGS_UNREADABLE:
        "The keys or pairings of this machine can't be read or kept.",
        "Look at the named file: it must be yours alone and unchanged; remove it and pair again.";
    1047 DEVICE_NOT_PAIRING:
        "The device shows no pairing code at the moment.",
        "Run \"offstage-client pair\" on the device, and type the code that it shows.";

    // 11xx: the bridge and native messaging.
    1101 BRIDGE_NOT_INSTALLED:
        "The Offstage bridge is not installed in the remote session.",
        "Install Offstage's host package, or run \"offstage-bridge install\".";
    1102 NATIVE_MESSAGING_BROKEN:
        "The browser and the Offstage bridge can't understand each other.",
        "Run \"offstage-bridge doctor\"; reinstall the bridge if its program was replaced.";
    1103 NATIVE_MESSAGE_TOO_LARGE:
        "A message between the browser and the bridge is larger than the browser allows.",
        "Update the extension and the bridge; if it happens again, report it with the logs.";
    1104 BRIDGE_EXITED:
        "The Offstage bridge has stopped.",
        "Nothing to do; it is started again. If it happens often, run \"offstage-bridge doctor\".";
    1105 BRIDGE_FORBIDDEN:
        "The browser is not allowed to start the Offstage bridge.",
        "Run \"offstage-bridge doctor\"; an administrator's policy may block native messaging hosts.";
    1106 BRIDGE_OUTDATED:
        "The extension and the bridge have versions that can't work together.",
        "Update the bridge and the extension.";

    // 12xx: the client, its engine and the display.
    1201 CLIENT_UNREACHABLE:
        "The Offstage client on your device can't be reached.",
        "Start offstage-client on your device and connect to the remote session again.";
    1202 PEER_OF_ANOTHER_USER:
        "The program at the other end of the channel belongs to another user.",
        "Start both ends as the same user, and look for a program that has taken the socket's place.";
    1203 SOCKET_UNSAFE:
        "The folder of the channel's socket can be changed by other users.",
        "Give the folder to your own user with mode 0700, or choose another with OFFSTAGE_SOCKET.";
    1204 CLIENT_ALREADY_RUNNING:
        "Another Offstage client is already running for this user.",
        "Use the one that runs, or stop it first.";
    1205 CLIENT_BUSY:
        "The client on your device serves as many sessions as it can.",
        "Close a remote session that is not needed.";
    1206 ENGINE_MISSING:
        "No browser that Offstage can use for playing was found on your device.",
        "Install Chromium, Chrome or Edge, or name one with --engine.";
    1207 ENGINE_FAILED_TO_START:
        "The browser that plays the videos on your device did not start.",
        "Run \"offstage-client doctor\" on your device.";
    1208 ENGINE_CRASHED:
        "The browser that plays the videos on your device has stopped.",
        "Nothing to do; it is started again. If it happens often, update it.";
    1209 ENGINE_OUTDATED:
        "The browser that plays the videos on your device is too old.",
        "Update it.";
    1210 ENGINE_UNRESPONSIVE:
        "The browser that plays the videos on your device does not answer.",
        "Nothing to do; it is started again. If it happens often, run \"offstage-client doctor\".";
    1211 DISPLAY_MISSING:
        "Your device has no display that the client can draw on.",
        "Start the client inside your desktop session, with DISPLAY set.";
    1212 DISPLAY_UNSUITABLE:
        "Your device's display lacks something that is needed to place pictures.",
        "Run \"offstage-client doctor\" on your device; on Wayland, XWayland is needed.";
    1213 WINDOW_NOT_FOUND:
        "The window of the remote session was not found on your device.",
        "Make sure that the remote desktop's window is open and that both ends see the same display.";
    1214 WINDOW_LOST:
        "The window of the remote session was closed.",
        "Nothing to do; open the remote session again.";
    1215 WINDOW_NOT_ADOPTED:
        "The picture's own window could not be taken over.",
        "Update the browser on your device; run \"offstage-client doctor\".";
    1216 STAGE_AUTH_FAILED:
        "Something other than the client's own page tried to connect to its player.",
        "If it happens again, look for a program on your device that scans local ports.";
    1217 STAGE_LOST:
        "The client has lost its player page.",
        "Nothing to do; it is loaded again.";
    1218 STAGE_FILES_MISSING:
        "The files of the client's player page are missing.",
        "Install the client again, or name their folder with --stage-dir.";
    1219 STAGE_UNRESPONSIVE:
        "The client's player page does not answer.",
        "Nothing to do; it is loaded again.";
    1220 GEOMETRY_STALE:
        "The picture's place has not been reported for too long, so it is hidden.",
        "Nothing to do; it comes back with the next report.";
    1221 DEVICE_NOT_READY:
        "The client on your device is still starting.",
        "Wait a few seconds.";
    1222 WEB_PAGE_MISSING:
        "No page of the web client shows this session.",
        "Open the session in the web client, or reload its page.";

    // 13xx: media.
    1301 UNSUPPORTED_TYPE:
        "Your device can't play this kind of video or sound.",
        "Install a browser with more codecs on your device; until then it plays in the session.";
    1302 APPEND_FAILED:
        "Your device could not take a part of the video.",
        "Nothing to do; it plays in the session.";
    1303 DECODE_ERROR:
        "Your device could not decode the video.",
        "Nothing to do; it plays in the session.";
    1304 QUOTA_EXCEEDED:
        "Your device can't hold more of the video at the moment.",
        "Nothing to do; the page removes what was played and goes on.";
    1305 RETAINED_BYTES_LOST:
        "The session has not kept all bytes of this video, so it can't move.",
        "Reload the page.";
    1306 PLAYER_UNKNOWN:
        "A message speaks of a player that does not exist.",
        "Nothing to do; it plays in the session.";
    1307 BUFFER_UNKNOWN:
        "A message speaks of a part of a player that does not exist.",
        "Nothing to do; it plays in the session.";
    1308 PIXELS_READ:
        "The page reads the video's picture, so it has to play in the session.",
        "Nothing to do.";
    1309 SOUND_READ:
        "The page reads the video's sound, so it has to play in the session.",
        "Nothing to do.";
    1310 STREAM_CAPTURED:
        "The page captures the video as a stream, so it has to play in the session.",
        "Nothing to do.";
    1311 ENCRYPTED_MEDIA:
        "The video is encrypted in a way that can't be moved to your device.",
        "Nothing to do; it plays in the session.";
    1312 STAND_IN_FAILED:
        "The session's browser refused the stand-in for the video.",
        "Update the extension and the browser; until then it plays in the session.";
    1313 STAND_IN_MISMATCH:
        "What the session and your device have of the video is not the same.",
        "Nothing to do; it plays in the session. If it happens often, report it with the logs.";
    1314 DEVICE_TOO_SLOW:
        "Your device did not answer in time.",
        "Check the network between the remote session and this device.";
    1315 PLAYBACK_REFUSED:
        "Your device's browser did not let the video play.",
        "Run \"offstage-client doctor\" on your device.";
    1316 DRIFT_TOO_LARGE:
        "Session and device can't be kept at the same place of the video.",
        "Nothing to do; it plays in the session.";
    1317 SOURCE_NOT_SUPPORTED:
        "The page feeds this video in a way that Offstage does not move yet.",
        "Nothing to do; it plays in the session.";
    1318 PICTURE_IN_PICTURE:
        "The video is shown outside the page, so it plays in the session.",
        "Close the small window to move it back.";
    1319 SEEK_FAILED:
        "Your device could not go to the wanted place of the video.",
        "Nothing to do; it plays in the session.";
    1320 SCREEN_SHARED:
        "A page shares the session's screen, and all videos have to be on it.",
        "Nothing to do; they move back when the share ends.";
    1321 PICTURES_DROPPED:
        "Your device drops too many pictures of this video.",
        "Close other programs on your device; playback there is tried again after a while.";
    1322 LINK_TOO_SLOW:
        "The connection to your device is too slow for this video.",
        "Check the network between the remote session and this device; playback there is tried again after a while.";
    1323 DEVICE_LAGS:
        "Your device plays this video slower than it should.",
        "Close other programs on your device, and check its sound output; playback there is tried again after a while.";
    1330 FETCH_FAILED:
        "The session could not fetch the video's file for your device.",
        "Nothing to do; it plays in the session.";
    1331 NOTHING_TO_SEEK:
        "The video has no length or can't be wound, so it plays in the session.",
        "Nothing to do.";
    1340 SOURCE_IN_WORKER:
        "The page feeds this video from a worker, which can't be moved to your device.",
        "Switch off workers in the page's player, or report the site; it plays in the session.";
    1350 FETCH_NOT_ALLOWED:
        "Policy has your device fetch this site's files, and your device does not allow that, so the session fetches them.",
        "Start offstage-client with --fetch=device, or take the site out of the policy.";
    1351 FETCH_PRIVATE_ADDRESS:
        "A video's file is inside your device's own network, where no page may reach; the session fetches it.",
        "If it may be fetched from there, name the network with offstage-client's --fetch-network.";
    1352 FETCH_ADDRESS_REFUSED:
        "The address of a video's file is none that your device fetches from; the session fetches it.",
        "If its port is the reason, name that with offstage-client's --fetch-port.";
    1353 FETCH_REDIRECTED:
        "A video's file has moved too often, or to where your device does not follow; the session fetches it.",
        "Nothing to do.";
    1354 FETCH_UNREACHABLE:
        "Your device can't reach the server of a video's file; the session fetches it.",
        "Check the device's network; a device that needs a proxy can't fetch by itself.";
    1355 FETCH_REFUSED:
        "The server of a video's file does not give it to your device; the session fetches it.",
        "Nothing to do: it may want cookies, or another address. Take the site out of the policy if it happens always.";
    1356 FETCH_DIFFERS:
        "Your device gets another file from its server than the session does; the session fetches it.",
        "Nothing to do. Take the site out of the policy if it happens always.";
    1357 FETCH_TOO_SLOW:
        "The server of a video's file answers your device too slowly; the session fetches it.",
        "Check the device's network.";
    1358 FETCH_GARBLED:
        "The server of a video's file answers your device with what is no HTTP; the session fetches it.",
        "Nothing to do.";

    // 14xx: the page and the hook in it.
    1401 PAGE_FLOOD:
        "The page asks for more than a page reasonably does.",
        "Reload the page; if it happens again, report the site.";
    1402 TOO_MANY_PLAYERS:
        "The page has more videos than can be moved at once.",
        "Close some of them.";
    1403 TOO_MANY_BUFFERS:
        "A video of the page has more parts than allowed.",
        "Nothing to do; it plays in the session.";
    1404 TOO_MANY_BYTES:
        "The page holds more video data than can be moved.",
        "Nothing to do; it plays in the session.";
    1405 INVALID_PAGE_MESSAGE:
        "Something in the page sent a message that can't be read.",
        "Reload the page; if it happens again, report the site.";
    1406 FORGED_RELAY:
        "Something in the page pretended to be a part of Offstage.",
        "Nothing to do; nothing of it was accepted.";
    1407 REPLAYED_NONCE:
        "Something in the page used a password of Offstage's that was used before.",
        "Nothing to do; nothing of it was accepted.";
    1408 HOOK_MISSING:
        "The page was loaded before Offstage was there.",
        "Reload the page.";
    1409 HOOK_TAMPERED:
        "The page has changed what Offstage needs in it.",
        "Nothing to do; it plays in the session.";
    1410 RELAY_LOST:
        "The page's connection to the extension was cut.",
        "Nothing to do; it is opened again.";
    1411 PLACE_UNKNOWN:
        "The video is inside of a part of the page whose place can't be told.",
        "Nothing to do; it plays in the session.";
    1412 STYLE_UNMATCHED:
        "The page shows the video in a way that can't be drawn on the device: in 3D, blended, masked or blurred.",
        "Nothing to do; it plays in the session.";

    // 15xx: policy and configuration.
    1501 NOT_COVERED:
        "This site is not on the list of sites whose videos move.",
        "Switch the site on in the extension's window, or ask your administrator.";
    1502 SWITCHED_OFF:
        "Moving videos is switched off.",
        "Switch it on in the extension's window.";
    1503 CONFIG_INVALID:
        "A setting of Offstage can't be read.",
        "Correct the setting that the detail names.";
    1504 POLICY_DENIED:
        "Your administrator does not allow this.",
        "Ask your administrator.";
    1505 SITE_LIST_INVALID:
        "The list of sites can't be read.",
        "Correct the entry that the detail names.";
    1506 PERMISSION_MISSING:
        "The extension has no permission for this site.",
        "Allow the extension on this site in the browser's settings.";
    1507 CONSENT_REFUSED:
        "Your device does not allow this.",
        "\"offstage-client doctor\" on your device shows which setting forbids it; ask whoever manages the device.";
    1511 CALL_TRANSFORMED:
        "This page encrypts or changes its call itself, so the call stays in the session.",
        "Nothing is wrong. Switch encryption from end to end off in the page if you want the call on your device.";
    1512 TOO_MANY_CALLS:
        "More pages call at a time than your device takes.",
        "Close pages that call.";

    // 16xx: installation.
    1601 INSTALL_FAILED:
        "Offstage could not be installed.",
        "Look at the detail; run the command again as the user who will use it.";
    1602 UNINSTALL_FAILED:
        "Offstage could not be removed completely.",
        "Look at the detail and remove the named files by hand.";
    1603 MANIFEST_UNWRITABLE:
        "The file that tells the browser about the bridge can't be written.",
        "Check the rights of the folder that the detail names.";
    1604 MANIFEST_INVALID:
        "The file that tells the browser about the bridge is wrong.",
        "Run \"offstage-bridge install\" again.";
    1605 BROWSER_NOT_FOUND:
        "No supported browser was found.",
        "Install Chrome, Chromium, Edge or Brave, or name a profile folder.";
    1606 PROGRAM_MISSING:
        "The file that tells the browser about the bridge points to a program that is not there.",
        "Run \"offstage-bridge install\" again.";
    1607 EXTENSION_FORBIDDEN:
        "A policy keeps the browser from installing or running the extension.",
        "Ask your administrator to allow the extension in the policy that the detail names.";
}
