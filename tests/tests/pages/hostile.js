// World: a test's web page, hostile.
// Replaces builtins before anything plays, and floods what it can reach.

/** Builtins of this page's that the extension's hook has called. */
const caught = [];

const reflectApply = Reflect.apply;
const define = Reflect.defineProperty;

/** Puts a spy in place of a method: it works as before and tells when the hook is below it on the stack. */
function spy(owner, key, label) {
  const descriptor = Object.getOwnPropertyDescriptor(owner, key);
  for (const part of ['value', 'get', 'set']) {
    const original = descriptor?.[part];
    if (typeof original !== 'function') continue;
    descriptor[part] = function (...args) {
      const stack = new Error().stack.split('\n');
      if (/hook\.js/.test(stack[2] ?? '')) caught.push(`${label}.${String(key)}`);
      return reflectApply(original, this, args);
    };
  }
  if (descriptor?.configurable) define(owner, key, Object.setPrototypeOf(descriptor, null));
}

const spied = { Array, Map, Set, WeakMap, WeakSet, Promise, Function, MessagePort, MessageEvent, Event, EventTarget, NodeList, Document, Element, HTMLMediaElement,
  SourceBuffer, MediaSource, TimeRanges, ArrayBuffer, DataView, Uint8Array, Performance, URL, Number, Boolean };

function tamper() {
  for (const [label, constructor] of Object.entries(spied)) {
    for (const key of Reflect.ownKeys(constructor.prototype)) {
      // The recorder below uses these all the time; the stack says who calls.
      if (key === 'constructor' || (label === 'Function' && key !== 'bind')) continue;
      if (label === 'Array' && !['push', 'shift', 'splice', 'filter', 'map', 'find', 'indexOf', 'includes', Symbol.iterator].includes(key)) continue;
      try { spy(constructor.prototype, key, label); } catch { /* not configurable */ }
    }
  }
  for (const key of ['get', 'set', 'then', 'apply', 'construct', 'append', 'remove', 'swap', 'type', 'ready', 'value', 'next', 'acknowledged', 'composed', 'getPrototypeOf']) {
    define(Object.prototype, key, {
      __proto__: null, configurable: true,
      get() { if (/hook\.js/.test(new Error().stack.split('\n')[2] ?? '')) caught.push(`Object.prototype.${key}`); return undefined; },
      set(value) { define(this, key, { __proto__: null, value, configurable: true, enumerable: true, writable: true }); },
    });
  }
  for (const name of ['keys', 'assign', 'defineProperty']) spy(Object, name, 'Object');
  for (const name of ['apply', 'construct', 'ownKeys']) spy(Reflect, name, 'Reflect');
  const { Promise: Original } = globalThis;
  globalThis.Promise = class extends Original { constructor(run) { if (/hook\.js/.test(new Error().stack.split('\n')[2] ?? '')) caught.push('Promise'); super(run); } };
  for (const name of ['setTimeout', 'clearTimeout', 'queueMicrotask']) spy(globalThis, name, 'window');
}

/** Looks at frames, then reads them in each way that leads back to the session. */
async function readAll() {
  const { video } = recorder;
  const told = [];
  video.cancelVideoFrameCallback(video.requestVideoFrameCallback(() => told.push('cancelled')));
  told.push(await new Promise((done) => video.requestVideoFrameCallback((now, frame) => done(typeof frame.mediaTime))));
  told.push(video.getVideoPlaybackQuality().totalVideoFrames > 0, video.webkitDecodedFrameCount > 0);
  const context = new OffscreenCanvas(64, 36).getContext('2d');
  context.drawImage(video, 0, 0);
  context.createPattern(video, 'repeat');
  const gl = new OffscreenCanvas(4, 4).getContext('webgl2');
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
  try { new VideoFrame(video).close(); } catch { /* no frame yet */ }
  told.push((await createImageBitmap(video)).width);
  await new Promise((done) => video.requestVideoFrameCallback(done));
  video.captureStream();
  new MediaElementAudioSourceNode(new AudioContext(), { mediaElement: video });
  return told;
}

/** Thousands of sources, buffers and operations. */
async function flood() {
  const keep = [];
  for (let i = 0; i < 3000; i++) keep.push(URL.createObjectURL(new MediaSource()));
  const opened = [];
  for (let i = 0; i < 60; i++) {
    const video = document.createElement('video');
    const source = new MediaSource();
    video.src = URL.createObjectURL(source);
    opened.push(new Promise((done) => source.addEventListener('sourceopen', () => done([video, source]), { once: true })));
  }
  const refused = [];
  for (const [, source] of await Promise.all(opened)) {
    for (let i = 0; i < 20; i++) try { source.addSourceBuffer('video/mp4; codecs="avc1.4d401e"'); } catch (error) { refused.push(error.name); }
    for (const sb of source.sourceBuffers) for (let i = 0; i < 10; i++) { sb.abort(); sb.timestampOffset = i; }
  }
  return [keep.length, refused.length];
}

/** 20000 calls on one buffer that plays, then one more append. */
async function storm() {
  const [sb] = recorder.buffers;
  for (let i = 0; i < 20000; i++) sb.abort();
  for (let i = 0; i < 2000; i++) {
    window.postMessage({ ready: true, nonce: `${i}` }, '*');
    document.dispatchEvent(new MessageEvent('offstage-offer', { data: 'x', ports: [new MessageChannel().port1] }));
  }
  await recorder.fill(3, 5, false);
  return ranges(sb.buffered);
}

/** 8 MB of nothing, views on nothing, objects that throw when they are looked at. */
async function oddBytes() {
  const [sb] = recorder.buffers;
  const thrower = new Uint8Array(8);
  for (const key of ['buffer', 'byteLength', 'byteOffset', 'length', 'constructor']) Object.defineProperty(thrower, key, { get() { throw new Error('looked at'); } });
  const free = new Uint8Array([0, 0, 0, 8, 0x66, 0x72, 0x65, 0x65]);
  thrower.set(free);
  await recorder.append(0, thrower);
  await recorder.append(0, new DataView(free.buffer));
  await recorder.append(0, new Uint16Array(free.buffer, 0, 4));
  await recorder.append(0, new Proxy({}, {})).catch(() => {});
  const big = new Uint8Array(8e6);
  // A `free` box of 8 MB: right, and of no use.
  new DataView(big.buffer).setUint32(0, big.length);
  big.set([0x66, 0x72, 0x65, 0x65], 4);
  await recorder.append(0, big);
  await recorder.fill(5, 6, false);
  return ranges(sb.buffered);
}
