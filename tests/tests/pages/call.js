// World: MAIN, a page of the tests. One end of a call; the test carries the descriptions to the other end. Candidates are in the descriptions.

const log = [];
let pc = null;
let channel = null;
const heard = [];

async function begin({ audio = true, video = true, config = {} } = {}) {
  pc = new RTCPeerConnection(config);
  for (const type of ['negotiationneeded', 'signalingstatechange', 'icegatheringstatechange', 'iceconnectionstatechange', 'connectionstatechange', 'track', 'datachannel']) {
    pc.addEventListener(type, () => log.push(`${type} ${pc.signalingState} ${pc.iceGatheringState} ${pc.connectionState}`));
  }
  pc.ontrack = ({ streams: [stream] }) => { if (theirs.srcObject !== stream) theirs.srcObject = stream; };
  pc.ondatachannel = (event) => listen(event.channel);
  if (!audio && !video) return;
  const stream = await navigator.mediaDevices.getUserMedia({ audio, video });
  own.srcObject = stream;
  for (const track of stream.getTracks()) pc.addTrack(track, stream);
}

function listen(which) {
  channel = which;
  channel.binaryType = 'arraybuffer';
  channel.onmessage = ({ data }) => heard.push(typeof data === 'string' ? data : [...new Uint8Array(data)].join());
}

const gathered = () => new Promise((resolve) => {
  const look = () => { if (pc.iceGatheringState === 'complete') resolve(); };
  pc.addEventListener('icegatheringstatechange', look);
  look();
});

async function offer(withChannel) {
  if (withChannel) listen(pc.createDataChannel('chat', { protocol: 'x' }));
  await pc.setLocalDescription(await pc.createOffer());
  await gathered();
  return pc.localDescription.toJSON();
}

async function answer(description) {
  await pc.setRemoteDescription(description);
  await pc.setLocalDescription(await pc.createAnswer());
  await gathered();
  return pc.localDescription.toJSON();
}

const accept = (description) => pc.setRemoteDescription(description);

/** The strongest frequency of what is received, over half a second, in Hz. */
async function tone() {
  const context = new AudioContext();
  await context.resume();
  const analyser = context.createAnalyser();
  analyser.fftSize = 8192;
  const sound = new Audio();
  sound.srcObject = theirs.srcObject; // Chromium decodes what is received only where an element plays it
  sound.muted = true;
  context.createMediaStreamSource(theirs.srcObject).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  let [best, at] = [-Infinity, 0];
  for (let i = 0; i < 60; i++) {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
    analyser.getFloatFrequencyData(bins);
    for (let bin = Math.ceil(100 * 8192 / context.sampleRate); bin < bins.length; bin++) if (bins[bin] > best) [best, at] = [bins[bin], bin];
  }
  const rate = context.sampleRate;
  await context.close();
  return { hertz: at * rate / 8192, level: best, rate };
}

async function inbound() {
  const out = {};
  for (const one of (await pc.getStats()).values()) {
    if (one.type === 'inbound-rtp') out[one.kind] = { bytes: one.bytesReceived, frames: one.framesDecoded ?? null, energy: one.totalAudioEnergy ?? null };
  }
  return out;
}
