// World: a test's web page.
// Looks at everything that a patch could change, with the means that pages use to find patches.

/** What was there before the first script of the page could look. */
const first = { globals: Object.getOwnPropertyNames(globalThis), nodes: document.documentElement.outerHTML };

const attempt = (f) => { try { return String(f()); } catch (error) { return `${error.name}: ${error.message}`; } };

/** What can be seen of one function. `otherToString` is that of another realm. */
function aboutFunction(f, otherToString) {
  const cyclic = () => {
    const before = Object.getPrototypeOf(f);
    try { Object.setPrototypeOf(f, Object.create(f)); return 'no error'; } finally { Reflect.setPrototypeOf(f, before); }
  };
  return {
    name: f.name, length: f.length, keys: Reflect.ownKeys(f).map(String).join(), prototype: 'prototype' in f, own: Object.hasOwn(f, 'toString'),
    parent: Object.getPrototypeOf(f) === Function.prototype, extensible: Object.isExtensible(f),
    text: Function.prototype.toString.call(f), textByCall: attempt(() => f.toString()), textByTemplate: attempt(() => `${f}`),
    otherText: otherToString.call(f),
    constructible: attempt(() => { Reflect.construct(Object, [], f); return true; }), called: attempt(() => f()), built: attempt(() => typeof new f()),
    wrongReceiver: attempt(() => f.call({}, 1, 2)), noReceiver: attempt(() => f.call(undefined, 1)), primitive: attempt(() => f.call(5)),
    itsPrototype: attempt(() => f.call(Object.getPrototypeOf(f))),
    extended: attempt(() => { class A extends f {} return typeof A; }), inherited: attempt(() => Object.create(f).toString()), cyclic: attempt(cyclic),
    reflectCyclic: attempt(() => Reflect.setPrototypeOf(f, Object.create(f))),
    caller: attempt(() => f.caller), args: attempt(() => f.arguments), bound: attempt(() => f.bind(null).name), type: typeof f, tag: Object.prototype.toString.call(f),
  };
}

function aboutObject(object, otherToString) {
  const functions = {};
  const keys = Reflect.ownKeys(object).map((key) => {
    const d = Object.getOwnPropertyDescriptor(object, key);
    for (const part of ['value', 'get', 'set']) if (typeof d[part] === 'function') functions[`${part} ${String(key)}`] = aboutFunction(d[part], otherToString);
    return `${String(key)} ${d.enumerable} ${d.configurable} ${d.writable} ${typeof d.value} ${typeof d.get} ${typeof d.set}`;
  });
  const enumerated = [];
  for (const key in object) enumerated.push(key);
  return { keys, enumerated: enumerated.join(), functions };
}

/** Own properties of instances, which must be none. */
function aboutInstances() {
  const video = document.createElement('video');
  const source = new MediaSource();
  return {
    video: Reflect.ownKeys(video).map(String), source: Reflect.ownKeys(source).map(String), kind: [source instanceof MediaSource, Object.getPrototypeOf(source) === MediaSource.prototype],
    constructor: MediaSource.prototype.constructor === MediaSource, sameGlobal: source.constructor === MediaSource,
    subclass: attempt(() => { class Mine extends MediaSource {} const mine = new Mine(); return `${mine.constructor.name} ${mine instanceof Mine} ${mine.readyState}`; }),
    called: attempt(() => MediaSource()), supported: MediaSource.isTypeSupported('video/mp4; codecs="avc1.4d401e"'), text: String(MediaSource),
  };
}

function describe() {
  const frame = document.createElement('iframe');
  document.documentElement.append(frame);
  const otherToString = frame.contentWindow.Function.prototype.toString;
  const objects = { MediaSource, SourceBuffer, SourceBufferList, HTMLMediaElement, HTMLVideoElement, HTMLAudioElement, URL, Function, EventTarget, Event, MessagePort, MessageEvent, MessageChannel, TimeRanges, Element, Document, Node,
    CanvasRenderingContext2D, OffscreenCanvasRenderingContext2D, WebGLRenderingContext, WebGL2RenderingContext, VideoFrame, AudioContext,
    MediaElementAudioSourceNode, MediaDevices, MediaStream, MediaStreamTrack, VideoPlaybackQuality, GPUQueue, GPUDevice };
  const out = { objects: {}, instances: aboutInstances(), globals: first.globals, nodes: first.nodes, title: document.title };
  for (const [name, object] of Object.entries(objects)) {
    out.objects[name] = aboutObject(object, otherToString);
    out.objects[`${name}.prototype`] = aboutObject(object.prototype, otherToString);
  }
  out.objects.Reflect = aboutObject(Reflect, otherToString);
  out.objects.createImageBitmap = { functions: aboutFunction(createImageBitmap, otherToString), own: Object.getOwnPropertyDescriptor(window, 'createImageBitmap') };
  frame.remove();
  return out;
}
