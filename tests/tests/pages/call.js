// World: MAIN, a page of the tests. One end of a call; the test carries the descriptions to the other end. Candidates are in the descriptions.

const log = [];
let pc = null;
let channel = null;
const heard = [];
const client = new URLSearchParams(location.search).get('client');
/** The library of tests/calls that the address names. */
const ready = client ? import(`/clients/${client}.js`) : Promise.resolve();

/** The microphone as it is: a tone without end is noise to what is on otherwise, and suppressed within seconds. */
const PLAIN_SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

async function begin({ audio = PLAIN_SOUND, video = true, config = {}, make = null } = {}) {
  pc = new RTCPeerConnection(config);
  for (const type of ['negotiationneeded', 'signalingstatechange', 'icegatheringstatechange', 'iceconnectionstatechange', 'connectionstatechange', 'track', 'datachannel']) {
    pc.addEventListener(type, () => log.push(`${type} ${pc.signalingState} ${pc.iceGatheringState} ${pc.connectionState}`));
  }
  pc.ontrack = ({ streams: [stream] }) => { if (theirs.srcObject !== stream) theirs.srcObject = stream; };
  pc.ondatachannel = (event) => listen(event.channel);
  if (!audio && !video && !make) return;
  const stream = make ? make() : await navigator.mediaDevices.getUserMedia({ audio, video });
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

/** As pages did it before there were promises. */
async function beginOld() {
  pc = new webkitRTCPeerConnection({ iceServers: [] });
  pc.onaddstream = ({ stream }) => { log.push('addstream', `adapter ${adapter.browserDetails.browser}`); theirs.srcObject = stream; };
  const stream = await new Promise((ok, failed) => { navigator.webkitGetUserMedia({ audio: PLAIN_SOUND, video: true }, ok, failed); });
  own.srcObject = stream;
  pc.addStream(stream);
}

async function offerOld() {
  await new Promise((ok, failed) => { pc.createOffer((made) => pc.setLocalDescription(made, ok, failed), failed); });
  await gathered();
  return pc.localDescription.toJSON();
}

const acceptOld = (description) => new Promise((ok, failed) => { pc.setRemoteDescription(new RTCSessionDescription(description), ok, failed); });

const accept = (description) => pc.setRemoteDescription(description);

/** Media that the page makes itself: a tone of 1000 Hz, and red, moving. */
function homemade() {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const tone = context.createOscillator();
  tone.frequency.value = 1000;
  tone.connect(out);
  tone.start();
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
  const pen = canvas.getContext('2d');
  let at = 0;
  setInterval(() => { pen.fillStyle = 'red'; pen.fillRect(0, 0, 320, 240); pen.fillStyle = '#c00'; pen.fillRect(at++ % 300, 200, 20, 20); }, 50);
  return new MediaStream([...out.stream.getTracks(), ...canvas.captureStream(20).getTracks()]);
}

/** `count` pictures, each of a colour of its own. */
function colours(count) {
  const canvases = Array.from({ length: count }, () => Object.assign(document.createElement('canvas'), { width: 160, height: 120 }));
  let at = 0;
  setInterval(() => {
    at++;
    canvases.forEach((canvas, i) => {
      const pen = canvas.getContext('2d');
      pen.fillStyle = `hsl(${i * 360 / count} 100% 40%)`;
      pen.fillRect(0, 0, 160, 120);
      pen.fillStyle = 'white';
      pen.fillRect(at * 5 % 140, 110, 10, 10);
    });
  }, 200);
  canvases[0].getContext('2d');
  return canvases.map((canvas) => canvas.captureStream(5).getTracks()[0]);
}

/** Shows each picture that comes in a tile of its own. */
function tileAll() {
  for (const old of document.querySelectorAll('video')) old.remove();
  const grid = document.body.appendChild(document.createElement('div'));
  grid.style = 'display: grid; grid-template-columns: repeat(5, 160px); gap: 8px; padding: 8px; background: #fff';
  pc.ontrack = ({ track }) => {
    const tile = grid.appendChild(document.createElement('video'));
    Object.assign(tile, { autoplay: true, muted: true, playsInline: true, srcObject: new MediaStream([track]) });
    Object.assign(tile.style, { width: '160px', height: '120px', borderRadius: '12px' });
  };
}

/** The colour in the middle of a video, [r, g, b]. */
function colour(video) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
  const pen = canvas.getContext('2d');
  pen.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

/** The strongest frequency of what a recording of half a second has, in Hz. */
async function recorded(stream) {
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.start();
  await new Promise((resolve) => { setTimeout(resolve, 3000); });
  recorder.stop();
  await new Promise((resolve) => { recorder.onstop = resolve; });
  const context = new AudioContext();
  const file = new Blob(parts, { type: recorder.mimeType });
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  await context.close();
  const samples = sound.getChannelData(0);
  const film = Object.assign(document.createElement('video'), { src: URL.createObjectURL(file), muted: true });
  await film.play();
  // An encoder's first pictures come out of the dark.
  while (film.currentTime < 1.5 && !film.ended) await new Promise((resolve) => { setTimeout(resolve, 50); });
  return { is: recorder.stream === stream, loudest: samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0), seconds: sound.duration, width: film.videoWidth, colour: colour(film) };
}

/** The strongest frequency of a stream, over three seconds, in Hz. */
async function tone(stream = theirs.srcObject) {
  const context = new AudioContext();
  await context.resume();
  const analyser = context.createAnalyser();
  analyser.fftSize = 8192;
  const sound = new Audio();
  sound.srcObject = stream; // Chromium decodes what is received only where an element plays it
  sound.muted = true;
  const source = context.createMediaStreamSource(stream);
  source.connect(analyser);
  globalThis.keptForTone = [source, sound]; // or they are collected, and silent
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

let onset = null;
let lastLoud = 0;
/** Notes when sound comes after a silence, on the clock that all pages of a machine have. */
async function listenForOnsets() {
  const context = new AudioContext({ latencyHint: 'interactive' });
  await context.resume();
  const analyser = context.createAnalyser();
  analyser.fftSize = 256;
  const source = context.createMediaStreamSource(theirs.srcObject);
  source.connect(analyser);
  const sound = Object.assign(new Audio(), { srcObject: theirs.srcObject, muted: true });
  await sound.play();
  globalThis.keptForOnsets = [source, sound]; // or they are collected, and silent
  const samples = new Float32Array(256);
  setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    if (samples.every((sample) => Math.abs(sample) < 0.02)) return;
    lastLoud = performance.now();
    onset ??= performance.timeOrigin + lastLoud;
  }, 4);
}

/** Nothing has been heard for half a second, and what comes next counts. */
function isQuiet() {
  if (performance.now() - lastLoud < 500) return false;
  onset = null;
  return true;
}

async function inbound() {
  const out = {};
  for (const one of (await pc.getStats()).values()) {
    if (one.type === 'inbound-rtp') out[one.kind] = { bytes: one.bytesReceived, frames: one.framesDecoded ?? null, energy: one.totalAudioEnergy ?? null };
  }
  return out;
}

/** Every sender's and receiver's frames go through a worker, which lets them pass. */
function transform() {
  const code = 'onrtctransform = ({ transformer: { readable, writable } }) => { readable.pipeTo(writable); };';
  const worker = new Worker(URL.createObjectURL(new Blob([code])));
  for (const part of [...pc.getSenders(), ...pc.getReceivers()]) part.transform = new RTCRtpScriptTransform(worker, {});
}
