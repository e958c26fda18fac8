// World: a test's web page.
// What players seldom do.

let recorder, video;

async function make(kind) {
  recorder = new Recorder(kind, await (await fetch('/clips/index.json')).json());
  video = recorder.video;
}

// ---- a worker's MediaSource ------------------------------------------------------------------------------------------

/** Gives the element the source of a worker. */
async function attachWorker() {
  const worker = new Worker('/pages/corners_worker.js');
  worker.postMessage(recorder.files);
  const { data: handle } = await once(worker, 'message');
  recorder.through = once(video, 'canplaythrough');
  video.srcObject = handle;
  globalThis.worker = worker;
  return once(worker, 'message');
}
async function attachHere() {
  video.srcObject = null;
  await recorder.open();
  await recorder.fill(0, recorder.files[0].segments.length);
  recorder.source.endOfStream();
}

const constructible = () => MediaSource.canConstructInDedicatedWorker;
const describeStatic = () => {
  const { get, set, enumerable, configurable } = Object.getOwnPropertyDescriptor(MediaSource, 'canConstructInDedicatedWorker');
  return [get.name, get.length, `${get}`, Object.getOwnPropertyNames(get).join(), 'prototype' in get, typeof set, enumerable, configurable];
};

/** What a player does that asks first. */
async function steered(kind) {
  await make(kind);
  await (constructible() ? attachWorker() : attachHere());
  await recorder.play();
}

/** What a page sees of a worker's source. */
async function unasked(kind) {
  await make(kind);
  await attachWorker();
  await recorder.ready();
  await recorder.seek(1.5);
  await recorder.ready();
  const playing = once(video, 'playing');
  await recorder.play();
  await playing;
  await once(video, 'timeupdate', () => video.currentTime > 1.8);
  const paused = once(video, 'pause');
  video.pause();
  await paused;
  recorder.note('at the end', [video.currentSrc, String(video.srcObject), video.buffered.length, Math.round(video.buffered.end(0))]);
  return recorder.log;
}

// ---- autoplay --------------------------------------------------------------------------------------------------------

/** Plays without a person's gesture: with sound, silently, and with sound again. */
async function autoplay(kind) {
  await make(kind);
  const r = recorder;
  video.muted = false;
  await r.open();
  await r.fill(0, r.files[0].segments.length);
  r.source.endOfStream();
  await r.ready();
  const tried = () => r.play().then(() => 'plays', (error) => `${error.name}: ${error.message}`);
  r.note('with sound', [await tried(), video.paused]);
  video.muted = true;
  const playing = once(video, 'playing');
  r.note('silent', [await tried(), video.paused]);
  await playing;
  await once(video, 'timeupdate', () => video.currentTime > 0.5);
  const paused = once(video, 'pause');
  video.muted = false;
  r.note('with sound again', video.paused);
  await paused;
  r.note('and again', [await tried(), video.paused, navigator.userActivation.hasBeenActive]);
  button.onclick = () => tried().then((how) => r.note('after a click', [how, video.paused]));
  return r.log;
}

// ---- several at once -------------------------------------------------------------------------------------------------

const several = [];

/** Four sources, a file and sound alone, each at a place of its own. */
async function playSeveral() {
  let row = 0;
  const place = (element) => {
    element.style.cssText = `position: absolute; width: 240px; height: 135px; left: ${20 + (row % 3) * 260}px; top: ${120 + Math.floor(row / 3) * 160}px`;
    row++;
    return document.body.appendChild(element);
  };
  globalThis.makeElement = () => place(document.createElement('video'));
  for (const kind of ['h264 demuxed', 'h264 muxed', 'vp9 demuxed', 'vp9 muxed']) {
    await make(kind);
    await recorder.open();
    await recorder.fill(0, recorder.files[0].segments.length);
    recorder.source.endOfStream();
    video.style.width = '240px';
    several.push(video);
  }
  for (const src of ['/clips/files/film.mp4', '/clips/files/sound.mp3']) {
    const element = place(document.createElement(src.endsWith('3') ? 'audio' : 'video'));
    element.src = src;
    several.push(element);
  }
  for (const element of several) { element.muted = true; element.loop = true; }
  for (let i = 0; i < several.length; i++) {
    several[i].play();
    several[i].currentTime = 4 * i + 1;
  }
}
const positions = () => several.map((element) => element.currentTime);

// ---- frames ----------------------------------------------------------------------------------------------------------

/** Plays in the document that has the frame, then goes into the frame's. */
function adopt() {
  const frame = document.body.appendChild(document.createElement('iframe'));
  frame.contentDocument.body.append(video);
  return [video.ownerDocument === frame.contentDocument, video.paused];
}

async function manyFrames(count) {
  const all = [];
  for (let i = 0; i < count; i++) {
    const frame = document.createElement('iframe');
    frame.style.cssText = 'width: 20px; height: 10px; border: 0';
    frame.src = '/pages/blank.html';
    all.push(once(frame, 'load'));
    document.body.append(frame);
  }
  await Promise.all(all);
  const player = document.createElement('iframe');
  player.style.cssText = 'position: absolute; left: 20px; top: 120px; width: 400px; height: 300px';
  player.src = '/pages/corners.html';
  document.body.append(player);
  await once(player, 'load');
  globalThis.inner = player.contentWindow;
}

// ---- a full buffer ---------------------------------------------------------------------------------------------------

async function openFor(name) {
  FILES[name] = [name];
  await make(name);
  await recorder.open();
}

globalThis.how = null;
/** Appends one clip behind the other until it is refused; gives how often it was not. */
async function fillUp(most) {
  const { source, buffers: [sb], files: [file] } = recorder;
  const data = await (await fetch(`/clips/${file.name}`)).arrayBuffer();
  globalThis.at ??= 0;
  for (let i = 0; i < most; i++) {
    try {
      sb.timestampOffset = at;
      sb.appendBuffer(data);
    } catch (error) {
      return { count: i, error: error.name, message: error.message, type: error.constructor.name, updating: sb.updating, state: source.readyState };
    }
    await once(sb, 'updateend');
    at = sb.buffered.end(sb.buffered.length - 1);
  }
  return { count: most };
}

// ---- a live stream whose clock has begun in 1970 ---------------------------------------------------------------------

/** Plays a clip with all its times so many seconds later, sought before anything of it is there. */
async function playLater(kind, offset) {
  await make(kind);
  video.muted = true;
  const r = recorder;
  await r.open();
  r.source.duration = Infinity;
  r.source.setLiveSeekableRange(offset, offset + 30);
  for (const sb of r.source.sourceBuffers) sb.timestampOffset = offset;
  const known = once(video, 'loadedmetadata');
  await r.fill(0, 0);
  await known;
  video.currentTime = offset + 1;
  await r.fill(0, r.files[0].segments.length, false);
  await r.play();
}

/** Aborts the append that is under way: whether one is then, what is heard of it, whether it left nothing behind. */
async function abortUnderWay() {
  const { buffers: [sb], log: { 'source.0': heard } } = recorder;
  const reach = () => ranges(sb.buffered).split('-').pop(); // what has been played may go any time
  const [from, end, before] = [heard.length, once(sb, 'updateend'), reach()];
  sb.abort();
  const { updating } = sb;
  await end;
  return [updating, heard.slice(from).map(({ event }) => event), reach() === before];
}
