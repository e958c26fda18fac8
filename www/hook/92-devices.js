// World: MAIN. Microphones and cameras: they are the device's, and so are the tracks. What the page gets are native tracks that
// stand in for them: silence, and flat grey of the true size.

/** Native track → {id, kind, about, muted}: captured on the device. */
const trackInfo = new WeakMap();
const MST = window.MediaStreamTrack && MediaStreamTrack.prototype;
const MDV = window.MediaDevices && MediaDevices.prototype;
const Generator = window.MediaStreamTrackGenerator;
const mdn = MST && {
  __proto__: null, stop: bound(MST.stop), state: accessor(MST, 'readyState').get, id: accessor(MST, 'id').get, kind: accessor(MST, 'kind').get,
  Stream: window.MediaStream, tracks: bound(MediaStream.prototype.getTracks), streamId: accessor(MediaStream.prototype, 'id').get,
  Frame: window.VideoFrame, closeFrame: window.VideoFrame && bound(VideoFrame.prototype.close),
  writable: Generator && accessor(Generator.prototype, 'writable').get, writer: bound(WritableStream.prototype.getWriter),
  write: bound(WritableStreamDefaultWriter.prototype.write),
};
const streamId = (stream) => mdn.streamId(stream);

/** How often a stand-in shows its grey again: who begins to look at it gets no frame from before. */
const GREY_MS = 500;

/** A native track that stands in for one of the device's: `track`, and `size(width, height)` for a picture. */
function emptyTrack(kind) {
  const track = new Generator({ kind });
  const writer = mdn.writer(mdn.writable(track));
  setPrototypeOf(track, MST);
  let [grey, timer] = list(null, 0);
  const show = () => {
    native.forget(timer);
    if (mdn.state(track) === 'ended') { mdn.closeFrame(grey); grey = null; return; }
    quiet(mdn.write(writer, new mdn.Frame(grey, { timestamp: native.round(native.now(thisPerformance) * 1000) })));
    timer = native.later(show, GREY_MS);
  };
  let real = false;
  /** Shows real samples. When no more come, it is grey again. */
  const write = (samples) => {
    if (kind === 'video') {
      native.forget(timer);
      real = true;
      timer = native.later(() => { real = false; if (grey) show(); }, GREY_MS * 4);
    }
    return mdn.write(writer, samples);
  };
  const size = (width, height) => {
    const [codedWidth, codedHeight] = list(width + (width % 2), height + (height % 2));
    const data = new native.Uint8Array(codedWidth * codedHeight * 1.5);
    native.level(data, 128);
    if (grey) mdn.closeFrame(grey);
    grey = new mdn.Frame(data, { format: 'I420', codedWidth, codedHeight, visibleRect: { x: 0, y: 0, width, height }, timestamp: 0 });
    if (!real) show();
  };
  return { __proto__: null, track, size, write };
}

function captured(about) {
  const t = { ...emptyTrack(about.kind), __proto__: null, id: about.track, kind: about.kind, about, muted: about.muted, tap: null };
  const { track } = t;
  native.set(trackInfo, track, t);
  calls.captured.set(t.id, t);
  sizeTrack(t);
  return track;
}

function sizeTrack(t) {
  const { width, height } = t.about.settings;
  if (t.kind === 'video' && width > 0 && height > 0) t.size(width, height);
}

function trackEvent(t, type) {
  if (type === 'ended') {
    if (mdn.state(t.track) === 'ended') return;
    mdn.stop(t.track);
    calls.captured.delete(t.id);
  } else t.muted = type === 'mute';
  native.dispatch(t.track, new native.Event(type));
}

function loseTracks() {
  for (const t of calls.captured.values()) trackEvent(t, 'ended');
  if (thisDevices) native.dispatch(thisDevices, new native.Event('devicechange'));
}

const thisDevices = MDV && navigator.mediaDevices;

/** Whether the document may, by its permissions policy. */
const mayUse = (feature) => { const policy = document.featurePolicy; return !policy || policy.allowsFeature(feature); };

/** Runs on the device, or natively where the call is the session's. */
function onDevice(otherwise, run) {
  callBegins();
  if (calls.state === 'session') return otherwise();
  return promised(async () => {
    if (calls.state === 'asking') await calls.decided;
    if (calls.state !== 'device') return otherwise();
    try { return await safe(run()); } catch (error) { if (error === LOST) return otherwise(); throw error; }
  });
}

if (MST && MDV && Generator) {
  const constraintsOf = (given) => parse(stringify({ audio: given.audio, video: given.video }));
  patchMethod(MDV, 'getUserMedia', (target, self, args) => {
    const call = () => apply(target, self, args);
    return self === thisDevices && isForDevice(args[0]) ? capture(args[0], call) : call();
  });
  const isForDevice = (given) => given && (given.audio || given.video) && (!given.audio || mayUse('microphone')) && (!given.video || mayUse('camera'));
  const capture = (given, otherwise) => onDevice(otherwise, async () => {
    const { value } = await ask('capture', 0, list(constraintsOf(given), nextId(), nextId()));
    return new mdn.Stream(toList(value).map(captured));
  });
  // A share of the page itself is the session's; so are all where nobody wants the device's (then there is no value).
  const sharesScreen = (given) => navigator.userActivation.isActive && mayUse('display-capture') && !(given && given.preferCurrentTab);
  patchMethod(MDV, 'getDisplayMedia', (target, self, args) => {
    const call = () => apply(target, self, args);
    if (self !== thisDevices || !sharesScreen(args[0])) return call();
    return onDevice(call, async () => {
      const { value } = await ask('captureScreen', 0, list(parse(stringify(args[0] || {})), nextId(), nextId()));
      return value ? new mdn.Stream(toList(value).map(captured)) : call();
    });
  });
  // The forms of before there were promises.
  for (const name of ['getUserMedia', 'webkitGetUserMedia']) {
    if (!navigator[name]) continue;
    patchMethod(Navigator.prototype, name, (target, self, args) => {
      const [given, ok, failed] = args;
      if (self !== navigator || !isForDevice(given) || typeof ok !== 'function' || typeof failed !== 'function') return apply(target, self, args);
      const told = (callback) => (value) => { native.later(() => callback(value), 0); };
      apply(then, capture(given, () => new Promise((yes, no) => { apply(target, self, list(given, yes, no)); })), [told(ok), told(failed)]);
      return undefined;
    });
  }

  const infos = new WeakMap();
  patchMethod(MDV, 'enumerateDevices', (target, self, args) => (self !== thisDevices ? apply(target, self, args) : onDevice(() => apply(target, self, args), async () => {
    const { value } = await ask('enumerate', 0);
    return [...toList(value).map((about) => {
      const Interface = about.kind !== 'audiooutput' && window.InputDeviceInfo ? InputDeviceInfo : MediaDeviceInfo;
      const info = Object.create(Interface.prototype);
      native.set(infos, info, about);
      return info;
    })];
  })));
  patchMethod(MediaStream.prototype, 'getTrackById', (target, self, args) => {
    const own = apply(target, self, args);
    const id = `${args[0]}`;
    const named = toList(mdn.tracks(self)).find((track) => { const t = native.get(trackInfo, track); return t && t.about.id === id; });
    const t = own && native.get(trackInfo, own);
    return named || (t && t.about.id && t.about.id !== id ? null : own);
  });
  for (const name of ['deviceId', 'kind', 'label', 'groupId']) {
    patchAccessor(MediaDeviceInfo.prototype, name, (target, self) => {
      const about = native.get(infos, self);
      return about ? about[name] : apply(target, self, []);
    });
  }
  patchMethod(MediaDeviceInfo.prototype, 'toJSON', (target, self, args) => {
    const about = native.get(infos, self);
    if (!about) return apply(target, self, args);
    const { deviceId, kind, label, groupId } = about;
    return { deviceId, kind, label, groupId };
  });
  if (window.InputDeviceInfo) {
    patchMethod(InputDeviceInfo.prototype, 'getCapabilities', (target, self, args) => {
      const about = native.get(infos, self);
      return about ? parse(stringify(about.capabilities || {})) : apply(target, self, args);
    });
  }

  for (const name of ['id', 'label', 'muted']) {
    patchAccessor(MST, name, (target, self) => {
      const t = native.get(trackInfo, self);
      if (t) return name === 'muted' ? t.muted : name === 'label' ? t.about.label : t.about.id || apply(target, self, []);
      const e = name === 'muted' && PC ? partOf(self) : null;
      const told = e && e.track === self ? toldOf(e).muted : undefined;
      return told === undefined ? apply(target, self, []) : told;
    });
  }
  for (const [name, what] of [['getSettings', 'settings'], ['getCapabilities', 'capabilities'], ['getConstraints', 'constraints']]) {
    patchMethod(MST, name, (target, self, args) => {
      const t = native.get(trackInfo, self);
      return t ? parse(stringify(t.about[what])) : apply(target, self, args);
    });
  }
  patchMethod(MST, 'applyConstraints', (target, self, args) => {
    const t = native.get(trackInfo, self);
    if (!t || calls.state !== 'device') return apply(target, self, args);
    return promised(async () => {
      const { value } = await ask('applyConstraints', t.id, list(parse(stringify(args[0] || {}))));
      t.about = { ...t.about, settings: value.settings, constraints: value.constraints };
      sizeTrack(t);
    });
  });
  patchMethod(MST, 'stop', (target, self, args) => {
    const t = native.get(trackInfo, self);
    if (t && calls.captured.get(t.id)) {
      calls.captured.delete(t.id);
      if (calls.state === 'device') quiet(ask('stopTrack', t.id));
    }
    return apply(target, self, args);
  });
  patchMethod(MST, 'clone', (target, self, args) => {
    const t = native.get(trackInfo, self);
    if (!t) {
      const [clone, e] = list(apply(target, self, args), received(self));
      if (e) { native.set(parts, clone, e); native.add(receivedClones, clone); }
      return clone;
    }
    const clone = captured({ ...t.about, track: nextId(), id: '' });
    if (calls.state === 'device') quiet(ask('cloneTrack', t.id, list(native.get(trackInfo, clone).id, mdn.id(clone))));
    return clone;
  });
  patchAccessor(MST, 'enabled', null, (target, self, args) => {
    apply(target, self, args);
    const t = native.get(trackInfo, self);
    if (t && calls.state === 'device') quiet(ask('enableTrack', t.id, list(!!args[0])));
    const e = t ? null : received(self);
    if (e) tell(e.c, 'enableTrack', list(!!args[0]), nameOf(e));
  });
}

/** An event of the device, whatever it is of. */
function callHappened({ target, event, detail, data }) {
  const [of, type] = toList(native.split(event, '.'));
  const about = detail ? parse(detail) : {};
  if (of === 'connection') { const c = calls.connections.get(target); if (c) connectionEvent(c, type, about); }
  if (of === 'channel') { const d = calls.channels.get(target); if (d) channelEvent(d, type, about, data); }
  if (of === 'tap') { const tap = calls.taps.get(target); if (tap) tapped(tap, about, data); }
  if (of === 'track') { const t = calls.captured.get(target); if (t) trackEvent(t, type); }
  if (of === 'devices' && thisDevices) native.dispatch(thisDevices, new native.Event(type));
}
