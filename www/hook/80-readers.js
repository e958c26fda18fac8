// World: MAIN. What reads pixels or sound of a player's element. The stand-in has none: while it is in the element, a reader gets
// what a video without a current frame gives; the worker is told, and has the real bytes brought back.

/** Element → the reader that it can't be taken from again: `sound` or `stream`. */
const taken = new WeakMap();
/** A page that reads all the time is told of once in so many milliseconds. */
const READ_MS = 1000;
/** What was read so lately counts when a device is asked. */
const RECENT_MS = 10000;

function readerOf(m) {
  const e = m.element;
  if (e && native.get(taken, e)) return native.get(taken, e);
  if (e && native.inWindow(thisDocument) === e) return 'window';
  return native.now(thisPerformance) - m.readAt < RECENT_MS ? 'pixels' : null;
}

/** The page reads an element: gives its player while there is nothing to read but the stand-in. */
function reads(element, reader) {
  const s = native.get(screens, element);
  if (s) return readsScreen(s, reader);
  const m = native.get(elements, element);
  if (!m || !players.get(m.id) || (reader === 'pixels' && !isVideo(element))) return null;
  const now = native.now(thisPerformance);
  if (reader !== 'pixels' || now - m.readAt >= READ_MS) {
    if (reader === 'pixels') m.readAt = now;
    if (deviceReady !== false) toWorker({ read: { ms: m.id, reader } });
  }
  return m.grey ? m : null;
}

function take(element, reader) { native.set(taken, element, reader); reads(element, reader); }

let nothingLoaded = null;
/** A video that has no frame: natives that draw it do nothing, the others refuse it in their own words. */
const empty = () => (nothingLoaded = nothingLoaded || native.create(thisDocument, 'video'));

/** What a texture gets of a video without a frame: black, as large as the video. */
function black(m) {
  const [width, height] = list(native.videoWidth(m.element), native.videoHeight(m.element));
  if (!width || !height) return empty();
  if (!m.black) m.black = native.create(thisDocument, 'canvas');
  if (native.canvasWidth.get(m.black) !== width || native.canvasHeight.get(m.black) !== height) {
    native.canvasWidth.set(m.black, width);
    native.canvasHeight.set(m.black, height);
  }
  return m.black;
}

/** Puts `other(player)` in the place of a video that has nothing to read. */
function instead(args, other) {
  for (let i = 0; i < args.length; i++) {
    const m = typeof args[i] === 'object' ? reads(args[i], 'pixels') : null;
    if (m) args[i] = other(m);
  }
  return args;
}
/** The same for a dictionary with a `source`. No getter of the page's is called. */
const insteadIn = (args) => args.map((arg) => {
  const descriptor = arg !== null && typeof arg === 'object' ? getOwnPropertyDescriptor(arg, 'source') : undefined;
  return descriptor && reads(setPrototypeOf(descriptor, null) && descriptor.value, 'pixels') ? { __proto__: arg, source: empty() } : arg;
});

for (const [name, methods, replaced] of [
  ['CanvasRenderingContext2D', ['drawImage', 'createPattern'], (args) => instead(args, empty)],
  ['OffscreenCanvasRenderingContext2D', ['drawImage', 'createPattern'], (args) => instead(args, empty)],
  ['WebGLRenderingContext', ['texImage2D', 'texSubImage2D'], (args) => instead(args, black)],
  ['WebGL2RenderingContext', ['texImage2D', 'texSubImage2D', 'texImage3D', 'texSubImage3D'], (args) => instead(args, black)],
  ['GPUQueue', ['copyExternalImageToTexture'], insteadIn],
  ['GPUDevice', ['importExternalTexture'], insteadIn],
]) {
  if (window[name]) for (const method of methods) patchMethod(window[name].prototype, method, (target, self, args) => apply(target, self, replaced(args)));
}
patchConstructor('VideoFrame', (frame) => frame, (args) => instead(args, empty));

patchMethod(window, 'createImageBitmap', (target, self, args) => {
  const m = reads(args[0], 'pixels');
  if (!m) return apply(target, self, args);
  return (async () => {
    await new Promise((go) => { m.settled.push(go); });
    return await safe(apply(target, self, args));
  })();
});

// ---- readers that stay ----------------------------------------------------------------------------------------------

for (const [proto, name, reader, read] of [[ME, 'captureStream', 'stream', (self) => self],
  [AudioContext.prototype, 'createMediaElementSource', 'sound', (self, args) => args[0]]]) {
  patchMethod(proto, name, (target, self, args) => {
    const made = apply(target, self, args);
    take(read(self, args), reader);
    return made;
  });
}
patchConstructor('MediaElementAudioSourceNode', (node) => { take(native.heard(node), 'sound'); return node; });

// The browser's small window shows what the element decodes.
native.listen(window, 'enterpictureinpicture', (event) => { if (event.isTrusted) reads(native.target(event), 'window'); }, true);
native.listen(window, 'leavepictureinpicture', (event) => {
  const m = event.isTrusted && native.get(elements, native.target(event));
  if (m && players.get(m.id)) toWorker({ readEnded: { ms: m.id } });
}, true);

// ---- a share of the screen shows the stand-ins of all pages ----------------------------------------------------------

let shared = list();
let sharing = false;
const picturesOf = (x) => (succeeds(() => native.trackState(x)) ? list(x) : toList(native.pictures(x)));

function share(tracks) {
  for (const track of tracks) shared.push(track);
  shared = shared.filter((track) => native.trackState(track) === 'live');
  const live = shared.length > 0;
  if (live !== sharing) toWorker({ sharing: { live } });
  // stop() fires no event.
  if (live && !(tracks.length && sharing)) native.later(() => share(list()), READ_MS);
  sharing = live;
}

if (window.MediaDevices) {
  patchMethod(MediaDevices.prototype, 'getDisplayMedia', (target, self, args) => {
    const asked = safe(apply(target, self, args));
    return (async () => {
      const stream = await asked;
      share(picturesOf(stream));
      return stream;
    })();
  });
  for (const { prototype } of [MediaStream, MediaStreamTrack]) {
    patchMethod(prototype, 'clone', (target, self, args) => {
      const copy = apply(target, self, args);
      if (shared.length && picturesOf(self).some((track) => shared.includes(track))) share(picturesOf(copy));
      return copy;
    });
  }
  onReadyChange.push((ready) => { if (ready && sharing) toWorker({ sharing: { live: true } }); });
}
