// World: a test's web page, hostile.
// Tries to pass for the relay, to the hook and to the extension's worker.

const forge = {
  /** Offers and questions of the real relay and hook that this page got to see. */
  overheard: [],
  /** What came on ports of this page's. */
  answers: [],
  /** Addresses of frames that appeared, with the number of times. */
  frames: [],
};

for (const target of [document, window]) {
  for (const type of ['offstage-offer', 'offstage-ask']) target.addEventListener(type, (event) => { if (!event.mine) forge.overheard.push(type); }, true);
}
new MutationObserver((records) => {
  for (const { addedNodes } of records) for (const node of addedNodes) if (node.nodeName === 'IFRAME') forge.frames.push(node.src);
}).observe(document, { childList: true, subtree: true });

function dispatch(doc, event) {
  event.mine = true;
  doc.dispatchEvent(event);
}

/** An offer as the relay makes it, with a port of this page's. */
function offer(doc = document) {
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data }) => forge.answers.push(data);
  dispatch(doc, new MessageEvent('offstage-offer', { data: 'x-mine', ports: [channel.port2] }));
  channel.port1.postMessage({ ready: true });
  channel.port1.postMessage({ ready: true, nonce: 'mine' });
}

function tryAll(doc = document) {
  offer(doc);
  dispatch(doc, new Event('offstage-ask'));
}

// From the very first script on, and at every later occasion.
tryAll();
document.addEventListener('readystatechange', () => tryAll());
queueMicrotask(() => tryAll());
setTimeout(() => tryAll(), 0);
requestAnimationFrame(() => tryAll());

/** Loads the extension's frame and offers a port of this page's with a word; answers what the frame said, or that it did not load. */
async function offerPort(url, nonce) {
  const frame = document.createElement('iframe');
  frame.src = url;
  const loaded = new Promise((done) => { frame.onload = done; });
  document.documentElement.append(frame);
  await loaded;
  const [media, done] = [new MessageChannel(), new MessageChannel()];
  media.port1.onmessage = ({ data }) => forge.answers.push(data);
  const taken = new Promise((resolve) => {
    done.port1.onmessage = ({ data }) => resolve(data);
    setTimeout(() => resolve('nothing'), 1500);
  });
  frame.contentWindow.postMessage({ nonce }, '*', [media.port2, done.port2]);
  media.port1.postMessage({ open: { ms: 77, replay: false } });
  media.port1.postMessage({ addBuffer: { ms: 77, sb: 1, mime: 'video/mp4; codecs="avc1.4d401e"' } });
  media.port1.postMessage({ playback: { ms: 77, paused: false, rate: 1, volume: 1, muted: false, preservesPitch: true, seekId: 0, position: 0 } });
  const answer = await taken;
  frame.remove();
  return answer;
}

/** Forgeries inside a frame of the same origin. */
async function fromFrame() {
  const frame = document.createElement('iframe');
  frame.src = '/pages/blank.html';
  const loaded = new Promise((done) => { frame.onload = done; });
  document.documentElement.append(frame);
  tryAll(frame.contentDocument);
  await loaded;
  tryAll(frame.contentDocument);
  frame.remove();
}

/** A player as any page has one. */
async function play(kind = 'h264 muxed') {
  const index = await (await fetch('/clips/index.json')).json();
  globalThis.recorder = new Recorder(kind, index);
  await recorder.open();
  await recorder.fill(0, 3);
  await recorder.ready();
  return [recorder.video.videoWidth, recorder.video.videoHeight];
}
