// World: MAIN. Elements that show or sound a call: the device draws them. The page's element plays a stand-in of the true size, so
// that its events and its layout are native.

/** Element → the stream that the page has given it; stream → its elements. */
const given = new WeakMap();
const shownBy = new WeakMap();
/** Element → its screen, {ms, element, stream, shadow, refs, watched}. */
const screens = new WeakMap();
const SCREEN_EVENTS = list('play', 'pause', 'volumechange', 'loadedmetadata');

/** What of a stream is a call's, as the device knows it; and what the page makes, if it is to be heard at an output of the device's. */
function callTracks(element, stream) {
  const found = list();
  if (calls.state !== 'device' || !PC) return found;
  const elsewhere = sinkOf(element) && native.get(taken, element) !== 'sound';
  for (const track of toList(mdn.tracks(stream))) {
    const t = native.get(trackInfo, track);
    const e = t ? null : received(track);
    if (t) found.push({ target: t.id, transceiver: '' });
    else if (e && e.c.phase === 'device') found.push({ target: e.c.id, transceiver: nameOf(e), e });
    else if (elsewhere && mdn.kind(track) === 'audio' && mdn.state(track) === 'live') found.push({ target: broughtTrack(null, track), transceiver: '', made: track });
  }
  return found;
}

/** The page gives an element a stream, or takes it away. True if the setting was made here. */
function showStream(element, stream) {
  const before = native.get(given, element);
  if (before && before !== stream) {
    const elements = native.get(shownBy, before);
    if (elements) native.set(shownBy, before, elements.filter((other) => other !== element));
  }
  native.set(given, element, stream);
  if (stream) {
    const elements = native.get(shownBy, stream) || list();
    if (!elements.includes(element)) elements.push(element);
    native.set(shownBy, stream, elements);
  }
  return refreshScreen(element, stream, before !== stream);
}

/** `isCapture`: the stream is what the element plays itself, of which the device sounds. */
function refreshScreen(element, stream, fresh, isCapture) {
  const refs = stream ? callTracks(element, stream) : list();
  let s = native.get(screens, element);
  if (s && s.isCapture !== !!isCapture) { closeScreen(s); s = null; }
  if (refs.length === 0) {
    if (s) closeScreen(s);
    return false;
  }
  if (!s) {
    s = { __proto__: null, ms: ++lastPlayer, element, shadow: null, told: '', watched: false, size: null, reader: null, settled: list(), made: list(), isCapture: !!isCapture };
    native.set(screens, element, s);
    calls.screens.set(s.ms, s);
    s.hear = () => playScreen(s);
    for (const type of SCREEN_EVENTS) native.listen(element, type, s.hear, true);
  }
  s.stream = stream;
  const tracks = refs.map(({ target, transceiver }) => ({ target, transceiver }));
  const sink = sinkOf(element);
  s.made = refs.map(({ made }) => made).filter((made) => made);
  const told = stringify(list(tracks, sink));
  if (told !== s.told) {
    s.told = told;
    toWorker({ screen: { ms: s.ms, tracks, sink } });
  }
  playScreen(s);
  if (s.made.length) silence(element); else loud(element);
  if (isCapture) return true;
  // A picture that is received has a stand-in; everything else is in the stream itself.
  s.pictures = refs.filter(({ e }) => e && mdn.kind(e.track) === 'video').map(({ e }) => e);
  if (s.pictures.length === 0 && !s.reader) return false;
  const parts = toList(mdn.tracks(stream)).map((track) => {
    if (s.reader) return tapTrack(track, true);
    const e = received(track);
    return e && s.pictures.includes(e) ? standInOf(e).track : track;
  });
  const names = parts.map((track) => mdn.id(track)).join(' ');
  if (fresh || names !== s.names) {
    s.names = names;
    s.shadow = new mdn.Stream(parts);
    native.srcObject.set(element, s.shadow);
  }
  if (s.size) sizeScreen(s);
  return true;
}

function closeScreen(s) {
  for (const type of SCREEN_EVENTS) native.unlisten(s.element, type, s.hear, true);
  native.set(screens, s.element, undefined);
  calls.screens.delete(s.ms);
  unwatchElement(s.ms);
  toWorker({ closeScreen: { ms: s.ms } });
  loud(s.element);
  if (s.made.length) sweepBrought();
}

function loseScreens() {
  for (const s of calls.screens.values()) {
    for (const type of SCREEN_EVENTS) native.unlisten(s.element, type, s.hear, true);
    native.set(screens, s.element, undefined);
    unwatchElement(s.ms);
    loud(s.element);
  }
  calls.screens = table();
}

function playScreen(s) {
  const e = s.element;
  if (!s.watched) s.watched = watchElement(s.ms, e);
  toWorker({ playback: {
    ms: s.ms, paused: native.paused.get(e), rate: 1, volume: native.volume.get(e), muted: isMuted(e) || s.reader === 'sound', preservesPitch: true, seekId: 0, position: 0,
  } });
}

/** The device tells how large the picture is. */
function screenSize({ ms, width, height }) {
  const s = calls.screens.get(ms);
  if (!s) return;
  s.size = { width, height };
  sizeScreen(s);
}

function sizeScreen(s) {
  for (const e of s.pictures || list()) { e.size = s.size; if (e.standIn) e.standIn.size(s.size.width, s.size.height); }
}

/** Streams change after they have been given to elements, by the page or by a negotiation. */
function streamChanged(stream) {
  for (const element of native.get(shownBy, stream) || list()) {
    if (native.get(given, element) === stream && !refreshScreen(element, stream, false) && native.srcObject.get(element) !== stream) native.srcObject.set(element, stream);
  }
}

if (PC && mdn) {
  for (const name of ['addTrack', 'removeTrack']) {
    patchMethod(MediaStream.prototype, name, (target, self, args) => {
      const result = apply(target, self, args);
      streamChanged(self);
      return result;
    });
  }
}
