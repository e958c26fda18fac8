// World: MAIN, a page of the tests. A calling app made with SIP.js.

import { Inviter, SessionState, UserAgent } from 'sip.js';

/** Calls `target` through a SIP server; resolves when the other side has answered and the connection is up. */
globalThis.dial = async ({ server, target }) => {
  const agent = new UserAgent({
    uri: UserAgent.makeURI('sip:person@offstage.test'),
    transportOptions: { server },
    sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] } },
  });
  await agent.start();
  const session = new Inviter(agent, UserAgent.makeURI(target), { sessionDescriptionHandlerOptions: { constraints: { audio: PLAIN_SOUND, video: false } } });
  globalThis.hangUp = async () => { await session.bye(); await agent.stop(); };
  globalThis.keys = (tones) => session.sessionDescriptionHandler.sendDtmf(tones);
  await new Promise((resolve, reject) => {
    session.stateChange.addListener((state) => {
      if (state === SessionState.Established) resolve();
      if (state === SessionState.Terminated) reject(new Error('refused'));
    });
    session.invite().catch(reject);
  });
  const handler = session.sessionDescriptionHandler;
  pc = handler.peerConnection;
  theirs.srcObject = handler.remoteMediaStream;
};
