// World: MAIN (the page's own), document_start, covered origins only. All files of this folder are joined, in the
// order of their names, into one closure: hook.js.
//
// This file: natives saved before the page's first script, and patches that cannot be told from natives.

// The page may replace any method, global or prototype later, or set its own on them. So the hook uses: functions that were
// saved (`native`), arrays made by `list`, maps made by `table`, promises made by `Promise` below, and objects without prototype.

const { apply, construct, defineProperty, get, getOwnPropertyDescriptor, getPrototypeOf, ownKeys, setPrototypeOf } = Reflect;
const bound = (fn) => (self, ...args) => apply(fn, self, args);

/** A getter that not every browser has. */
const optional = (proto, name) => (getOwnPropertyDescriptor(proto, name) ? accessor(proto, name).get : () => null);

/** The getter and setter of an accessor, callable as get(object) and set(object, value). */
function accessor(proto, name) {
  const { get, set } = getOwnPropertyDescriptor(proto, name);
  return { get: bound(get), set: set && bound(set) };
}

// ---- collections with methods of their own --------------------------------------------------------------------------

const listMethods = { __proto__: null };
for (const key of ownKeys(Array.prototype)) {
  if (key !== 'constructor') defineProperty(listMethods, key, getOwnPropertyDescriptor(Array.prototype, key));
}
/** Makes an array independent of Array.prototype. */
const toList = (array) => setPrototypeOf(array, listMethods) && array;
const list = (...items) => toList(items);
for (const name of ['filter', 'map', 'splice', 'slice']) {
  const method = listMethods[name];
  listMethods[name] = function (...args) { return toList(apply(method, this, args)); };
}
listMethods[Symbol.iterator] = function () {
  let i = 0;
  const next = () => (i < this.length ? { __proto__: null, done: false, value: this[i++] } : { __proto__: null, done: true, value: undefined });
  return { __proto__: null, next };
};

const { Map } = window;
const { get: getIn, set: setIn, delete: removeIn, forEach: each } = Map.prototype;
/** A map. */
function table() {
  const map = new Map();
  const values = () => { const out = list(); apply(each, map, [(value) => { out.push(value); }]); return out; };
  return {
    __proto__: null, values, get: (key) => apply(getIn, map, [key]), set: (key, value) => { apply(setIn, map, [key, value]); },
    delete: (key) => apply(removeIn, map, [key]),
    /** Drops what has been in for longest, down to `most`. */
    limit(most) {
      let surplus = -most;
      apply(each, map, [() => { surplus++; }]);
      apply(each, map, [(_, key) => { if (surplus-- > 0) apply(removeIn, map, [key]); }]);
    },
  };
}

const PagePromise = window.Promise;
const { then } = PagePromise.prototype;
/** Makes a promise that `await` takes as it is, and whose `then` is the browser's. */
function Promise(run) { return safe(new PagePromise(run)); }
/** The same for a promise of the browser's. */
function safe(promise) {
  defineProperty(promise, 'constructor', { __proto__: null, value: PagePromise });
  defineProperty(promise, 'then', { __proto__: null, value: then });
  return promise;
}
Promise.all = async (promises) => {
  const out = list();
  for (let i = 0; i < promises.length; i++) out.push(await promises[i]);
  return out;
};

// ---- the browser's own -----------------------------------------------------------------------------------------------

const SB = SourceBuffer.prototype;
const MS = MediaSource.prototype;
const ME = HTMLMediaElement.prototype;
const ET = EventTarget.prototype;

/** Everything the hook uses of the browser, as it was before any script of the page ran. */
const native = {
  append: bound(SB.appendBuffer), abort: bound(SB.abort), remove: bound(SB.remove), changeType: bound(SB.changeType),
  updating: accessor(SB, 'updating'), buffered: accessor(SB, 'buffered'), offset: accessor(SB, 'timestampOffset'),
  windowStart: accessor(SB, 'appendWindowStart'), windowEnd: accessor(SB, 'appendWindowEnd'), mode: accessor(SB, 'mode'),
  addBuffer: bound(MS.addSourceBuffer), removeBuffer: bound(MS.removeSourceBuffer), end: bound(MS.endOfStream),
  supported: MediaSource.isTypeSupported.bind(MediaSource),
  readyState: accessor(MS, 'readyState'), duration: accessor(MS, 'duration'),
  connected: accessor(Node.prototype, 'isConnected'), owner: accessor(Node.prototype, 'ownerDocument'),
  MutationObserver, observe: bound(MutationObserver.prototype.observe), currentTime: accessor(ME, 'currentTime'), elementBuffered: accessor(ME, 'buffered'), mediaState: accessor(ME, 'readyState'), rate: accessor(ME, 'playbackRate'), seeking: accessor(ME, 'seeking'),
  paused: accessor(ME, 'paused'), volume: accessor(ME, 'volume'), muted: accessor(ME, 'muted'),
  pitch: accessor(ME, 'preservesPitch'), currentSrc: accessor(ME, 'currentSrc'), error: accessor(ME, 'error'),
  listen: bound(ET.addEventListener), unlisten: bound(ET.removeEventListener), dispatch: bound(ET.dispatchEvent),
  stop: bound(Event.prototype.stopImmediatePropagation), post: bound(MessagePort.prototype.postMessage),
  closePort: bound(MessagePort.prototype.close), text: bound(Function.prototype.toString),
  rangesLength: accessor(TimeRanges.prototype, 'length').get, rangeStart: bound(TimeRanges.prototype.start),
  rangeEnd: bound(TimeRanges.prototype.end), now: bound(Performance.prototype.now), later: setTimeout.bind(window),
  forget: clearTimeout.bind(window), get: bound(WeakMap.prototype.get), set: bound(WeakMap.prototype.set),
  origin: performance.timeOrigin, Event, MessageEvent, DOMException, TypeError, QuotaExceededError: window.QuotaExceededError, Uint8Array, isView: ArrayBuffer.isView,
  bufferLength: accessor(ArrayBuffer.prototype, 'byteLength').get, round: Math.round, fill: bound(getPrototypeOf(Uint8Array.prototype).set), level: bound(getPrototypeOf(Uint8Array.prototype).fill), isArray: Array.isArray,
  includes: bound(Array.prototype.includes), has: bound(WeakSet.prototype.has), add: bound(WeakSet.prototype.add),
  type: accessor(Event.prototype, 'type').get, target: accessor(Event.prototype, 'target').get,
  data: accessor(MessageEvent.prototype, 'data').get, ports: accessor(MessageEvent.prototype, 'ports').get,
  onmessage: accessor(MessagePort.prototype, 'onmessage').set, queryAll: bound(Document.prototype.querySelectorAll),
  nodesLength: accessor(NodeList.prototype, 'length').get, node: bound(NodeList.prototype.item), create: bound(Document.prototype.createElement),
  inWindow: accessor(Document.prototype, 'pictureInPictureElement').get,
  videoWidth: accessor(HTMLVideoElement.prototype, 'videoWidth').get, videoHeight: accessor(HTMLVideoElement.prototype, 'videoHeight').get,
  canvasWidth: accessor(HTMLCanvasElement.prototype, 'width'), canvasHeight: accessor(HTMLCanvasElement.prototype, 'height'),
  heard: accessor(MediaElementAudioSourceNode.prototype, 'mediaElement').get,
  pictures: bound(MediaStream.prototype.getVideoTracks), trackState: accessor(MediaStreamTrack.prototype, 'readyState').get,
  quality: bound(HTMLVideoElement.prototype.getVideoPlaybackQuality), frames: accessor(VideoPlaybackQuality.prototype, 'totalVideoFrames').get,
  dropped: accessor(VideoPlaybackQuality.prototype, 'droppedVideoFrames').get,
  videoBytes: accessor(ME, 'webkitVideoDecodedByteCount').get, audioBytes: accessor(ME, 'webkitAudioDecodedByteCount').get,
  onFrame: bound(HTMLVideoElement.prototype.requestVideoFrameCallback), offFrame: bound(HTMLVideoElement.prototype.cancelVideoFrameCallback),
  onTick: window.requestAnimationFrame.bind(window), report: window.reportError.bind(window),
  play: bound(ME.play), pause: bound(ME.pause), srcObject: accessor(ME, 'srcObject'), src: accessor(ME, 'src'), crossOrigin: accessor(ME, 'crossOrigin'),
  elementDuration: accessor(ME, 'duration'), seekable: accessor(ME, 'seekable'), keys: optional(ME, 'mediaKeys'),
  MediaSource, createUrl: URL.createObjectURL.bind(URL), revokeUrl: URL.revokeObjectURL.bind(URL),
  attribute: bound(Element.prototype.getAttribute), setAttribute: bound(Element.prototype.setAttribute),
  removeAttribute: bound(Element.prototype.removeAttribute), within: bound(Element.prototype.querySelectorAll),
  startsWith: bound(String.prototype.startsWith), contains: bound(String.prototype.includes), split: bound(String.prototype.split), join: bound(Array.prototype.join),
  fetch: fetch.bind(window), status: accessor(Response.prototype, 'status').get, answered: accessor(Response.prototype, 'url').get,
  headers: accessor(Response.prototype, 'headers').get, header: bound(Headers.prototype.get), bytes: bound(Response.prototype.arrayBuffer),
  blob: bound(Response.prototype.blob), body: accessor(Response.prototype, 'body').get, reader: bound(ReadableStream.prototype.getReader),
  read: bound(ReadableStreamDefaultReader.prototype.read), cancel: bound(ReadableStreamDefaultReader.prototype.cancel),
  slice: bound(Blob.prototype.slice), blobBytes: bound(Blob.prototype.arrayBuffer), blobSize: accessor(Blob.prototype, 'size').get,
  blobType: accessor(Blob.prototype, 'type').get, AbortController, signal: accessor(AbortController.prototype, 'signal').get,
  abortFetch: bound(AbortController.prototype.abort),
  part: bound(getPrototypeOf(Uint8Array.prototype).subarray), recordTarget: accessor(MutationRecord.prototype, 'target').get,
  recordName: accessor(MutationRecord.prototype, 'attributeName').get, arrays: Array.prototype,
  ...viewsOf(),
};

/** Where the bytes of a typed array or DataView are, whatever the page has put on it. */
function viewsOf() {
  const typed = getPrototypeOf(Uint8Array.prototype);
  const either = (name) => {
    const [ofTyped, ofData] = [accessor(typed, name).get, accessor(DataView.prototype, name).get];
    return (view) => { try { return ofTyped(view); } catch { return ofData(view); } };
  };
  const resizable = getOwnPropertyDescriptor(ArrayBuffer.prototype, 'resizable');
  const detached = getOwnPropertyDescriptor(ArrayBuffer.prototype, 'detached');
  return {
    viewBuffer: either('buffer'), viewOffset: either('byteOffset'), viewLength: either('byteLength'),
    resizable: resizable ? bound(resizable.get) : () => false, detached: detached ? bound(detached.get) : () => false,
  };
}

const [thisDocument, thisPerformance] = [document, performance];
const isNaN = (x) => x !== x;

/** Wall clock in milliseconds, shared by all processes of this machine. */
const wall = () => native.origin + native.now(thisPerformance);

const succeeds = (call) => { try { call(); return true; } catch { return false; } };
const isSource = (x) => succeeds(() => native.readyState.get(x));
const isMedia = (x) => succeeds(() => native.paused.get(x));

/** A message that came over a port, made independent of the page's prototypes. */
function plain(value) {
  if (typeof value !== 'object' || value === null || native.isView(value)) return value;
  if (native.isArray(value)) toList(value); else setPrototypeOf(value, null);
  const keys = toList(ownKeys(value));
  for (const key of keys) if (key !== 'length') value[key] = plain(value[key]);
  return value;
}

/** Patched function → the native it stands for, for Function.prototype.toString. */
const originals = new WeakMap();

/** Puts `handler(nativeFn, self, args)` in front of a native function, `made(object)` behind a constructor and `given(args)` in front
 * of it. A Proxy keeps name, length, own properties, the missing prototype and the missing [[Construct]]; the text of the function
 * comes from the toString patch. */
function wrap(fn, handler, made, given) {
  // Without prototype: a trap that the page puts on Object.prototype must not be found.
  const traps = { __proto__: null, setPrototypeOf: setProto };
  if (handler) traps.apply = (target, self, args) => handler(target, self, toList(args));
  if (made) {
    traps.construct = (target, args, newTarget) => made(construct(target, given ? given(toList(args)) : args, newTarget));
    // `caller` and `arguments` of a constructor tell proxies from functions.
    traps.get = (target, key, receiver) => get(target, key, receiver === proxy ? target : receiver);
  }
  const proxy = new Proxy(fn, traps);
  native.set(originals, proxy, native.get(originals, fn) || fn); // one may be patched twice
  return proxy;
  /** A chain of prototypes that leads back to the function is refused, as it would be without the proxy. */
  function setProto(target, wanted) {
    for (let p = wanted; p !== null; p = getPrototypeOf(p)) if (p === proxy) throw new native.TypeError('Cyclic __proto__ value');
    return setPrototypeOf(target, wanted);
  }
}

/** Patches a method in place, descriptor kept. */
function patchMethod(proto, name, handler) {
  const descriptor = getOwnPropertyDescriptor(proto, name);
  if (!descriptor) return;
  defineProperty(proto, name, { ...descriptor, value: wrap(descriptor.value, handler) });
}

/** Patches an accessor in place; a missing handler leaves that half native. */
function patchAccessor(proto, name, get, set) {
  const descriptor = getOwnPropertyDescriptor(proto, name);
  if (!descriptor) return;
  const or = (handler, fn) => (handler ? wrap(fn, handler) : fn);
  defineProperty(proto, name, { ...descriptor, get: or(get, descriptor.get), set: or(set, descriptor.set) });
}

/** Patches a constructor that is a property of the window, if this browser has it. */
function patchConstructor(name, made, given) {
  const fn = window[name];
  if (!fn) return;
  const constructor = wrap(fn, null, made, given);
  defineProperty(window, name, { ...getOwnPropertyDescriptor(window, name), value: constructor });
  defineProperty(fn.prototype, 'constructor', { ...getOwnPropertyDescriptor(fn.prototype, 'constructor'), value: constructor });
}

patchMethod(Function.prototype, 'toString', (target, self) =>
  apply(target, (typeof self === 'function' && native.get(originals, self)) || self, []));

/** TimeRanges → [start, end, …] in whole microseconds, which is what Chromium counts in. */
function microseconds(ranges) {
  const out = list();
  for (let i = 0, n = native.rangesLength(ranges); i < n; i++) {
    out.push(native.round(native.rangeStart(ranges, i) * 1e6), native.round(native.rangeEnd(ranges, i) * 1e6));
  }
  return out;
}
