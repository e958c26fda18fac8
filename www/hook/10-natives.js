// World: MAIN (the page's own), document_start, covered origins only. All files of this folder are joined, in the
// order of their names, into one closure: hook.js.
//
// This file: natives saved before the page's first script, and patches that cannot be told from natives.

const { apply, defineProperty, getOwnPropertyDescriptor } = Reflect;
const bound = (fn) => (self, ...args) => apply(fn, self, args);

/** The getter and setter of an accessor, callable as get(object) and set(object, value). */
function accessor(proto, name) {
  const { get, set } = getOwnPropertyDescriptor(proto, name);
  return { get: bound(get), set: set && bound(set) };
}

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
  readyState: accessor(MS, 'readyState'), duration: accessor(MS, 'duration'),
  currentTime: accessor(ME, 'currentTime'), rate: accessor(ME, 'playbackRate'), seeking: accessor(ME, 'seeking'),
  paused: accessor(ME, 'paused'), volume: accessor(ME, 'volume'), muted: accessor(ME, 'muted'),
  pitch: accessor(ME, 'preservesPitch'), currentSrc: accessor(ME, 'currentSrc'), error: accessor(ME, 'error'),
  listen: bound(ET.addEventListener), unlisten: bound(ET.removeEventListener), dispatch: bound(ET.dispatchEvent),
  stop: bound(Event.prototype.stopImmediatePropagation), post: bound(MessagePort.prototype.postMessage),
  closePort: bound(MessagePort.prototype.close), text: bound(Function.prototype.toString),
  rangesLength: accessor(TimeRanges.prototype, 'length').get, rangeStart: bound(TimeRanges.prototype.start),
  rangeEnd: bound(TimeRanges.prototype.end), now: bound(Performance.prototype.now), later: setTimeout.bind(window),
  forget: clearTimeout.bind(window), get: bound(WeakMap.prototype.get), set: bound(WeakMap.prototype.set),
  origin: performance.timeOrigin, Event, DOMException, Uint8Array, isView: ArrayBuffer.isView,
  bufferLength: bound(getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get), round: Math.round,
};

/** Wall clock in milliseconds, shared by all processes of this machine. */
const wall = () => native.origin + native.now(performance);

/** Patched function → the native it stands for, for Function.prototype.toString. */
const originals = new WeakMap();

/** Puts `handler(nativeFn, self, args)` in front of a native function. A Proxy keeps name, length, own properties,
 * the missing prototype and the missing [[Construct]]; the text of the function comes from the toString patch. */
function wrap(fn, handler) {
  const proxy = new Proxy(fn, { apply: (target, self, args) => handler(target, self, args) });
  native.set(originals, proxy, fn);
  return proxy;
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
  defineProperty(proto, name, {
    ...descriptor,
    get: get ? wrap(descriptor.get, get) : descriptor.get,
    set: set ? wrap(descriptor.set, set) : descriptor.set,
  });
}

patchMethod(Function.prototype, 'toString', (target, self) =>
  apply(target, (typeof self === 'function' && native.get(originals, self)) || self, []));

/** TimeRanges → [start, end, …] in whole microseconds, which is what Chromium counts in. */
function microseconds(ranges) {
  const out = [];
  for (let i = 0, n = native.rangesLength(ranges); i < n; i++) {
    out.push(native.round(native.rangeStart(ranges, i) * 1e6), native.round(native.rangeEnd(ranges, i) * 1e6));
  }
  return out;
}
