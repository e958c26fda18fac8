// World: MAIN. The element that a player's MediaSource is attached to: which one it is, how the page wants it to play,
// and the hidden trimming of its clock to the device's.

const elements = new WeakMap();
/** Elements that have the hook's listeners; events that it has seen. */
const listened = new WeakSet();
const seen = new WeakSet();
const SEEN = list('play', 'pause', 'seeking', 'seeked', 'ratechange', 'volumechange', 'timeupdate', 'waiting', 'canplay', 'canplaythrough', 'playing',
  'loadeddata', 'durationchange', 'abort', 'emptied', 'loadstart', 'loadedmetadata', 'progress', 'suspend', 'stalled', 'resize', 'ended', 'error');

function onAnyElement(event) {
  const m = native.get(elements, native.target(event));
  if (!m || native.has(seen, event)) return;
  native.add(seen, event);
  onElementEvent(m, event);
}

// The window's capturing listeners of the document's beginning come first of all. An element outside of the document, or in
// a shadow tree, is listened to itself: capturing, so only capturing listeners that the page added there before come earlier.
function hear() {
  for (const type of SEEN) native.listen(window, type, onAnyElement, true);
  native.listen(window, 'loadstart', onLoadStart, true);
}
hear();
// document.open() takes all listeners away, not the window.
native.observe(new native.MutationObserver(hear), thisDocument, { __proto__: null, childList: true });

function onLoadStart(event) {
  const element = native.target(event);
  const m = isMedia(element) && byUrl.get(native.currentSrc.get(element));
  if (m) linkElement(m, element);
}

function linkElement(m, element) {
  // An element in another document plays in the session: this document's relay can't tell where it is.
  if (m.element === element || native.owner.get(element) !== thisDocument) return;
  const before = native.get(elements, element);
  if (before && before !== m) {
    // The element leaves its player at the page's rate.
    setFactor(before, 1);
    before.element = null;
  }
  m.element = element;
  native.set(elements, element, m);
  m.base = native.rate.get(element);
  m.factor = 1;
  m.rateEvents = before ? before.rateEvents : list();
  if (!native.has(listened, element)) {
    native.add(listened, element);
    for (const type of SEEN) native.listen(element, type, onAnyElement, true);
  }
  if (m.mode !== 'session' && readerOf(m)) reads(element, readerOf(m));
  if (m.mode === 'device') { m.watched = watchElement(m.id, element); sendPlayback(m); watchFrames(m); }
  if (m.due) move(m);
}

/** The element that plays `m`, looked for among those in the document when nothing else has told. */
function findElement(m) {
  if (m.element) return;
  const all = native.queryAll(thisDocument, 'video,audio');
  for (let i = 0, n = native.nodesLength(all); i < n; i++) {
    const element = native.node(all, i);
    if (byUrl.get(native.currentSrc.get(element)) === m) return linkElement(m, element);
  }
}

function onElementEvent(m, event) {
  if (!event.isTrusted) return;
  const type = native.type(event);
  if (m.shadow && type !== 'volumechange') { hideReload(m, event, type); return; }
  if (m.file && type === 'emptied') closeFile(m);
  if (m.mode === 'device' && !m.watched) m.watched = watchElement(m.id, m.element);
  if (type === 'ratechange') {
    heedRate(m);
    if (m.rateEvents.shift() === 'hidden') native.stop(event);
    return;
  }
  if (type === 'durationchange') {
    if (m.hideDuration > 0) { m.hideDuration--; native.stop(event); }
    return;
  }
  if (type === 'seeking' && !m.hideSeeking) m.hideSeek = false; // the page seeks itself
  if (type === 'seeked' && m.seekDone) m.seekDone();
  if (m.hideSeek ? !list('play', 'pause', 'volumechange', 'error', 'emptied', 'abort').includes(type) : type === 'seeking' && m.hideSeeking) {
    native.stop(event);
    if (type === 'seeking') m.hideSeeking = false;
    if (type === 'seeked') { m.hideSeek = false; m.hideAfter = m.starved ? null : list('canplay', 'canplaythrough', 'playing'); }
    return;
  }
  if (m.hideAfter) {
    // What a seek is followed by, once each, unless the page gave cause for it itself.
    if (type === 'seeking' || type === 'play' || type === 'pause' || type === 'waiting') m.hideAfter = null;
    else if (m.hideAfter.includes(type)) { m.hideAfter = m.hideAfter.filter((other) => other !== type); native.stop(event); return; }
  }
  if (m.mode !== 'device' && !(m.file && m.mode === 'moving')) return;
  if (type === 'seeking' || type === 'play') {
    if (type === 'seeking') m.seekId++;
    hold(m);
    sendPlayback(m);
  } else if (type === 'pause' || type === 'volumechange') sendPlayback(m);
  // Nobody may ever hear of an element again that has been taken out; of its end the page hears before.
  const atEnd = native.currentTime.get(m.element) >= native.elementDuration.get(m.element);
  if (m.file && type === (atEnd ? 'ended' : 'pause') && !native.connected.get(m.element)) {
    native.later(() => { if (native.paused.get(m.element)) revert(m); }, 0);
  }
}

/** Tells the worker how the page wants the element to play. */
function sendPlayback(m) {
  const e = m.element;
  if (!e) return;
  heedRate(m);
  soundAt(e);
  toWorker({ playback: {
    ms: m.id, paused: native.paused.get(e), rate: m.base, volume: native.volume.get(e), muted: native.muted.get(e),
    preservesPitch: native.pitch.get(e), seekId: m.seekId, position: native.currentTime.get(e),
  } });
}

// ---- the clock ----------------------------------------------------------------------------------------------------

/** Writes a rate the page must not hear of. */
function writeRate(m, rate) {
  if (native.rate.get(m.element) === rate) return;
  m.rateEvents.push('hidden');
  try { native.rate.set(m.element, rate); } catch { m.rateEvents.pop(); }
}

/** Heeds a rate that nobody has written here: load() puts it back, the browser's controls and other extensions set it. */
function heedRate(m) {
  const rate = native.rate.get(m.element);
  if (rate === limited(m.base * m.factor)) return;
  native.forget(m.slewTimer);
  // It is told later; news for the page only if it had asked for another one.
  m.rateEvents.push(rate === m.base ? 'hidden' : 'page');
  m.base = rate;
  m.factor = 1;
  if (m.mode === 'device') sendPlayback(m);
}

/** The element runs at the page's rate times `factor`. */
function setFactor(m, factor) {
  native.forget(m.slewTimer);
  if (!m.element) return;
  heedRate(m);
  m.factor = factor;
  writeRate(m, limited(m.base * factor));
}

/** What Chromium takes: 0, or 1/16 to 16, forward. */
const limited = (rate) => (rate < 0.0625 ? 0 : rate > 16 ? 16 : rate);

/** The stand-in waits for the device's first frame. */
function hold(m) { if (m.mode === 'device' && !native.paused.get(m.element)) setFactor(m, 0); }

/** Seconds before the end of what is buffered in which the stand-in is not held any more. */
const RUN_OUT = 0.5;

/** A device that has run out of data stands still; the stand-in goes on to its own end, so that the page gets its `waiting`. */
function runsOut(m) {
  if (native.readyState.get(m.ms) !== 'open' || native.seeking.get(m.element)) return false;
  const at = native.currentTime.get(m.element);
  const ranges = native.elementBuffered.get(m.element);
  for (let i = 0, n = native.rangesLength(ranges); i < n; i++) {
    if (native.rangeStart(ranges, i) <= at && at <= native.rangeEnd(ranges, i)) return native.rangeEnd(ranges, i) - at < RUN_OUT;
  }
  return false;
}

function slew(m, factor, forMs) {
  if ((m.mode !== 'device' && m.mode !== 'moving') || !m.element) return;
  setFactor(m, factor === 0 && runsOut(m) ? 1 : factor);
  if (forMs > 0) m.slewTimer = native.later(() => setFactor(m, 1), forMs);
}

/** Answers where the stand-in's clock is, compared with the device's as it was at `wallMs`; on its way elsewhere, it is not compared. */
function sync(m, { media, wallMs, rate, advancing, seekId }) {
  if (m.mode !== 'device' || !m.element || native.seeking.get(m.element)) return;
  const expected = media + (advancing ? (wall() - wallMs) / 1000 * rate : 0);
  const drift = native.currentTime.get(m.element) - expected;
  toWorker({ drift: { ms: m.id, driftUs: native.round(drift * 1e6), paused: native.paused.get(m.element), seekId } });
}

patchAccessor(ME, 'playbackRate', (target, self) => {
  const m = native.get(elements, self);
  if (!m || (m.mode !== 'device' && m.factor === 1 && !m.shadow)) return apply(target, self, []);
  if (!m.shadow) heedRate(m);
  return m.base;
}, (target, self, args) => {
  const m = native.get(elements, self);
  if (m && m.shadow && isNumeric(args[0]) && isFinite(+args[0])) { m.shadow.after.push(() => { self.playbackRate = +args[0]; }); return undefined; }
  if (!m || (m.mode !== 'device' && m.factor === 1)) return apply(target, self, args);
  heedRate(m);
  const wanted = +args[0];
  if (wanted === m.base) return undefined;
  const { factor } = m;
  if (native.rate.get(self) === wanted) writeRate(m, wanted === 1 ? 2 : 1);
  m.rateEvents.push('page');
  try {
    apply(target, self, args);
  } catch (error) {
    m.rateEvents.pop();
    writeRate(m, limited(m.base * factor));
    throw error;
  }
  m.base = native.rate.get(self);
  m.factor = 1;
  setFactor(m, factor === 0 && m.mode === 'device' ? 0 : 1);
  sendPlayback(m);
  return undefined;
});

patchAccessor(ME, 'seeking', (target, self) => {
  const m = native.get(elements, self);
  if (m && m.shadow) return m.shadow.seeking;
  return m && m.hideSeek ? false : apply(target, self, []);
});

// Before there are metadata, a duration that the page has not set itself is not known to it.
patchAccessor(ME, 'duration', (target, self) => {
  const m = native.get(elements, self);
  if (m && m.shadow) return m.shadow.duration;
  if (m && m.length !== null) return m.length;
  return m && m.given && native.mediaState.get(self) === 0 ? NaN : apply(target, self, []);
});

// ---- finding the element ------------------------------------------------------------------------------------------

patchAccessor(ME, 'src', (target, self) => {
  const src = apply(target, self, []);
  const m = masks && hiddenUrls.get(src);
  return m ? m.file.src : src;
}, (target, self, args) => {
  pageLoads(self);
  const m = byUrl.get(args[0]);
  if (m) linkElement(m, self);
  return apply(target, self, args);
});

patchAccessor(ME, 'srcObject', (target, self) => {
  const s = native.get(screens, self);
  const own = apply(target, self, []);
  return s && s.shadow === own ? s.stream : own;
}, (target, self, args) => {
  pageLoads(self);
  const m = isSource(args[0]) ? playerOf(args[0]) : null;
  if (m) linkElement(m, self);
  const isStream = args[0] && succeeds(() => native.pictures(args[0]));
  if (!isMedia(self) || !showStream(self, isStream ? args[0] : null)) apply(target, self, args);
  // What is taken and is neither a source nor a stream is the handle of a worker's source.
  if (!m && args[0] && !isStream) toWorker({ inWorker: {} });
  return undefined;
});
