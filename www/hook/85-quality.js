// World: MAIN. Frames as they are presented where the player plays: their counts, and the callbacks for each.

const VE = HTMLVideoElement.prototype;
const isVideo = (element) => succeeds(() => native.videoWidth(element));

// ---- counts: [frames, dropped frames, bytes of picture, bytes of sound], which only grow --------------------------------

function countedHere(e) {
  if (!e) return list(0, 0, 0, 0);
  const quality = isVideo(e) && native.quality(e);
  return list(quality ? native.frames(quality) : 0, quality ? native.dropped(quality) : 0, native.videoBytes(e), native.audioBytes(e));
}

/** `before` is what had been counted elsewhere when playback came to where it is. */
function counts(m) {
  const here = m.grey ? m.counted : countedHere(m.element);
  return m.before.map((before, i) => before + here[i]);
}

/** From now on the element holds the stand-in, or real media. */
function setGrey(m, grey) {
  const sofar = counts(m);
  m.grey = grey;
  m.counted = list(0, 0, 0, 0);
  const here = grey ? m.counted : countedHere(m.element);
  m.before = sofar.map((count, i) => count - here[i]);
  m.skipped = null;
  m.watching = false;
  if (!grey && m.element) askNatively(m.element);
}

const qualities = new WeakMap();
patchMethod(VE, 'getVideoPlaybackQuality', (target, self, args) => {
  const quality = apply(target, self, args);
  const m = native.get(elements, self);
  if (m) native.set(qualities, quality, counts(m));
  return quality;
});
for (const [name, i] of [['totalVideoFrames', 0], ['droppedVideoFrames', 1]]) {
  patchAccessor(VideoPlaybackQuality.prototype, name, (target, self) => {
    const own = apply(target, self, []);
    const all = native.get(qualities, self);
    return all ? all[i] : own;
  });
}
for (const [proto, name, i] of [[VE, 'webkitDecodedFrameCount', 0], [VE, 'webkitDroppedFrameCount', 1],
  [ME, 'webkitVideoDecodedByteCount', 2], [ME, 'webkitAudioDecodedByteCount', 3]]) {
  patchAccessor(proto, name, (target, self) => {
    const own = apply(target, self, []);
    const m = native.get(elements, self);
    return m ? counts(m)[i] : own;
  });
}

// ---- callbacks ----------------------------------------------------------------------------------------------------------

/** Element → table of requests by the page's handle. `native`: the browser's handle while it has been asked. */
const requests = new WeakMap();
const requestsOf = (element) => native.get(requests, element) || table();
/** After so many frames that nobody has asked for the device need not tell them. */
const IDLE = 30;

function onNativeFrame(element, id, now, frame) {
  const all = requestsOf(element);
  const request = all.get(id);
  const m = native.get(elements, element);
  if (!request) return;
  request.native = 0;
  // A picture of the stand-in is none: the device tells of its frames.
  if (m && m.grey) return;
  all.delete(id);
  if (m) frame.presentedFrames = presented(m, frame.presentedFrames);
  all.told = frame.presentedFrames;
  apply(request.callback, undefined, list(now, frame));
}

/** Counts on, wherever the frames come from. */
function presented(m, count) {
  if (m.skipped === null) m.skipped = m.presented < count ? 0 : m.presented + 1 - count;
  return (m.presented = m.skipped + count);
}

function askNatively(element) {
  for (const request of requestsOf(element).values()) {
    if (!request.native) request.native = native.onFrame(element, (now, frame) => onNativeFrame(element, request.id, now, frame));
  }
}

/** Has the device tell of its frames if the page waits for any. */
function watchFrames(m) {
  if (!m || m.mode !== 'device' || m.watching || !m.element || !requestsOf(m.element).values().length) return;
  m.watching = true;
  m.idle = 0;
  toWorker({ watchFrames: { ms: m.id, on: true } });
}

/** The newest frame is told of with the browser's next picture. */
function onDeviceFrame(m, frame) {
  if (m.mode !== 'device' || !m.element) return;
  if (!m.frame) native.onTick((now) => tellFrame(m, now));
  m.frame = frame;
}

function tellFrame(m, now) {
  const { media, wallMs, displayAfterMs, count, width, height, processing } = m.frame;
  m.frame = null;
  if (m.mode !== 'device') return;
  const all = requestsOf(m.element);
  const told = all.values();
  m.idle = told.length ? 0 : m.idle + 1;
  if (m.watching && m.idle > IDLE) { m.watching = false; toWorker({ watchFrames: { ms: m.id, on: false } }); }
  const presentedFrames = presented(m, count);
  const presentationTime = wallMs - native.origin < now ? wallMs - native.origin : now; // a new device's clock is not well known yet
  for (const { id, native: handle, callback } of told) {
    if (!all.get(id)) continue; // taken back by another callback
    all.delete(id);
    if (handle) native.offFrame(m.element, handle);
    const frame = { expectedDisplayTime: presentationTime + displayAfterMs, height, mediaTime: media, presentationTime, presentedFrames, processingDuration: processing, width };
    try { apply(callback, undefined, list(now, frame)); } catch (error) { native.report(error); }
  }
}

patchMethod(VE, 'requestVideoFrameCallback', (target, self, args) => {
  const callback = args[0];
  if (typeof callback !== 'function' || !isVideo(self)) return apply(target, self, args);
  const id = apply(target, self, list((now, frame) => onNativeFrame(self, id, now, frame)));
  if (!native.get(requests, self)) native.set(requests, self, table());
  requestsOf(self).set(id, { __proto__: null, id, native: id, callback });
  watchFrames(native.get(elements, self));
  return id;
});

patchMethod(VE, 'cancelVideoFrameCallback', (target, self, args) => {
  const all = isVideo(self) && typeof args[0] === 'number' ? requestsOf(self) : table();
  const request = all.get(args[0]);
  if (!request) return apply(target, self, args);
  all.delete(args[0]);
  return request.native ? apply(target, self, list(request.native)) : undefined;
});
