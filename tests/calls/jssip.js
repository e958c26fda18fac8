// World: MAIN, a page of the tests. A calling app made with JsSIP.

import JsSIP from 'jssip';

/** Calls `target` through a SIP server; resolves when the other side has answered and the connection is up. */
globalThis.dial = ({ server, target }) => new Promise((resolve, reject) => {
  const socket = new JsSIP.WebSocketInterface(server);
  const ua = new JsSIP.UA({ sockets: [socket], uri: 'sip:person@offstage.test', register: false });
  ua.start();
  ua.on('connected', () => {
    const session = ua.call(target, { mediaConstraints: { audio: PLAIN_SOUND, video: false }, pcConfig: { iceServers: [] } });
    globalThis.hangUp = () => { session.terminate(); ua.stop(); };
    globalThis.keys = (tones) => session.sendDTMF(tones, { transportType: 'RFC2833' });
    pc = session.connection;
    pc.addEventListener('track', ({ track }) => { theirs.srcObject = new MediaStream([track]); });
    session.on('confirmed', () => resolve());
    session.on('failed', ({ cause, message }) => reject(new Error(`${cause} ${message?.status_code ?? ''}`)));
  });
});
