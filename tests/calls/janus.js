// World: MAIN, a page of the tests. A conference through Janus's video room, as its own library makes it: what the page sends on one
// connection, what it receives of each other participant on another one.

import Janus from 'janus-gateway';
import adapter from 'webrtc-adapter';

const tiles = new Map(); // participant → { pc, video, choose(substream) }

const attach = (janus, on) => new Promise((success, error) => {
  const handle = { current: null };
  janus.attach({ plugin: 'janus.plugin.videoroom', success: (it) => { handle.current = it; success(it); }, error: (why) => error(new Error(why)), ...on(handle) });
});

const negotiate = (handle, how, answers) => new Promise((success, error) => {
  const give = { ...how, success, error: (why) => error(new Error(why.message ?? why)) };
  if (answers) handle.createAnswer(give); else handle.createOffer(give);
});

async function watch(janus, room, { id }) {
  const tile = { pc: null, video: document.body.appendChild(document.createElement('video')), choose: null };
  Object.assign(tile.video, { autoplay: true, playsInline: true, srcObject: new MediaStream(), id: `tile${id}` });
  tiles.set(id, tile);
  const handle = await attach(janus, (own) => ({
    onmessage: async (_, jsep) => {
      if (!jsep) return;
      const answer = await negotiate(own.current, { jsep, tracks: [] }, true);
      tile.pc = own.current.webrtcStuff.pc;
      own.current.send({ message: { request: 'start', room }, jsep: answer });
    },
    onremotetrack: (track, _, on) => { if (on) tile.video.srcObject.addTrack(track); },
  }));
  tile.choose = (substream) => handle.send({ message: { request: 'configure', substream } });
  handle.send({ message: { request: 'join', room, ptype: 'subscriber', streams: [{ feed: id }] } });
}

/** Comes into the room with microphone and camera. */
globalThis.joinRoom = async ({ server, room, name, simulcast = false }) => {
  await new Promise((callback) => { Janus.init({ debug: false, dependencies: Janus.useDefaultDependencies({ adapter }), callback }); });
  const janus = await new Promise((resolve, error) => {
    const it = new Janus({ server, iceServers: [], success: () => resolve(it), error: (why) => error(new Error(why)) });
  });
  globalThis.leave = () => new Promise((success) => { janus.destroy({ success }); });
  let joined;
  const handle = await attach(janus, (own) => ({
    onmessage: (message, jsep) => {
      if (message.videoroom === 'joined') joined();
      for (const publisher of message.publishers ?? []) watch(janus, room, publisher).catch((error) => log.push(String(error)));
      if (message.leaving || message.unpublished) tiles.get(message.leaving ?? message.unpublished)?.video.remove();
      if (jsep) own.current.handleRemoteJsep({ jsep });
    },
    onlocaltrack: (track, on) => { if (on && track.kind === 'video') own.current.stream = track; },
  }));
  const isIn = new Promise((resolve) => { joined = resolve; });
  handle.send({ message: { request: 'join', room, ptype: 'publisher', display: name } });
  await isIn;
  const jsep = await negotiate(handle, { tracks: [{ type: 'audio', capture: PLAIN_SOUND, recv: false }, { type: 'video', capture: true, recv: false, simulcast }] }, false);
  handle.send({ message: { request: 'configure', audio: true, video: true }, jsep });
  pc = handle.webrtcStuff.pc;
  own.srcObject = new MediaStream(pc.getSenders().map((sender) => sender.track));
};

globalThis.tiles = tiles;
/** How many other participants are seen and heard. */
globalThis.seen = async () => {
  let count = 0;
  for (const { pc: one, video } of tiles.values()) {
    if (!one || video.videoWidth === 0) continue;
    const got = [...(await one.getStats()).values()].filter((part) => part.type === 'inbound-rtp');
    if (got.some((part) => part.framesDecoded > 10) && got.some((part) => part.totalAudioEnergy > 0)) count++;
  }
  return count;
};
