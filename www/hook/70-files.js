// World: MAIN. Files that an element plays by itself: `src`, `<source>`, native HLS. The element always begins natively. While
// it plays, the device gets ready; then a stand-in MediaSource takes the file's place in one reload that the page doesn't see,
// and another one brings the file back. Between the two, the page reads its own addresses.

/** Addresses of stand-ins → their players; how many of them are in an element. */
const hiddenUrls = table();
let masks = 0;
/** The element whose `src` the hook has just written: observers are not to hear of it. */
let written = null;
/** Elements whose `playing` is listened to although it may not reach the window. */
const noticed = new WeakSet();

/** How long a reload may take before playback goes back to the session, and before the page may see that it waits. */
const RELOAD_MS = 8000;
const pageOrigin = `${location.origin}/`;
const begins = (text, ...heads) => heads.some((head) => native.startsWith(text, head));
const isWeb = (url) => begins(url, 'http://', 'https://');

/** An element plays: the device may have it, if what it plays is a file. */
function onPlaying(event) {
  const element = native.target(event);
  if (!event.isTrusted || !link || !isMedia(element)) return;
  const current = native.currentSrc.get(element);
  if (byUrl.get(current) || hiddenUrls.get(current) || !(isWeb(current) || begins(current, 'blob:', 'data:'))) return;
  let m = native.get(elements, element);
  if (m && m.shadow) return;
  if (!m || !m.file || m.file.current !== current) {
    if (m && m.file) closeFile(m);
    m = makePlayer(null);
    m.presented = requestsOf(element).told || 0;
    m.file = { __proto__: null, current, attribute: null, src: '', url: '', turn: 0, blob: null, written: '', jobs: table(), lengths: table() };
    linkElement(m, element);
  }
  players.set(m.id, m);
  if (m.retry && deviceReady !== false) moveFile(m);
}
native.listen(window, 'playing', onPlaying, true);

/** The length of a file in which one can go anywhere. */
function seekableTo(e) {
  const [ranges, duration] = list(native.seekable.get(e), native.elementDuration.get(e));
  return native.rangesLength(ranges) === 1 && native.rangeStart(ranges, 0) === 0 && native.rangeEnd(ranges, 0) === duration ? finite(duration) : undefined;
}

/** What can be moved: a file that is known, not encrypted, and still the element's own. */
function movable(m) {
  const e = m.element;
  return native.currentSrc.get(e) === m.file.current && !native.error.get(e) && !native.keys(e) && native.mediaState.get(e) >= 1;
}

function moveFile(m) {
  if (m.mode !== 'session' || native.paused.get(m.element) || !movable(m)) return;
  const [e, { current }] = list(m.element, m.file);
  m.mode = 'moving';
  const web = isWeb(current);
  // Its address may be revoked any time.
  if (!web && !m.file.blob) m.file.blob = safe(native.fetch(current)).then((response) => safe(native.blob(response)));
  askFor(m, true);
  toWorker({ file: {
    ms: m.id, url: web ? native.split(current, '#')[0] : '', reads: !web || begins(current, pageOrigin) || native.crossOrigin.get(e) !== null,
    width: isVideo(e) ? native.videoWidth(e) : 0, height: isVideo(e) ? native.videoHeight(e) : 0,
    audio: native.audioBytes(e) > 0, duration: seekableTo(e), plain: native.crossOrigin.get(e) !== 'use-credentials',
  } });
}

// ---- the reloads that nobody sees ---------------------------------------------------------------------------------

const SHADOWED = list('currentTime', 'readyState', 'networkState', 'paused', 'ended', 'buffered', 'seekable', 'played', 'error');

/** From here on the page sees the element as it is now, and no event of it. */
function hide(m) {
  const e = m.element;
  heedRate(m);
  const shadow = {
    __proto__: null, after: list(), settled: null, loaded: false, seeking: native.seeking.get(e), duration: native.elementDuration.get(e),
  };
  for (const name of SHADOWED) shadow[name] = accessor(ME, name).get(e);
  shadow.videoWidth = isVideo(e) ? native.videoWidth(e) : 0;
  shadow.videoHeight = isVideo(e) ? native.videoHeight(e) : 0;
  m.shadow = shadow;
}

/** Nothing differs any more: what the page has asked for meanwhile is done now. */
function show(m) {
  const { after, readyState } = m.shadow;
  m.shadow = null;
  m.rateEvents = list();
  m.hideAfter = native.mediaState.get(m.element) < readyState ? list('canplay', 'canplaythrough') : list('canplaythrough');
  for (const call of after) call();
}

function hideReload(m, event, type) {
  const [e, { shadow, file }] = list(m.element, m);
  // Something has become of the file itself, or the page has written another address in a way that nobody sees.
  const lost = type === 'error' && m.mode === 'reverting';
  if (lost || (type === 'emptied' && shadow.settled && native.attribute(e, 'src') !== file.written)) { closeFile(m); return; }
  native.stop(event);
  if (type === 'loadstart') shadow.loaded = true;
  // Once the address has been taken, the attribute can go without a reload.
  if (type === 'loadstart' && file.attribute === null) writeSrc(e, null);
  if (!shadow.settled || !shadow.loaded) return;
  if (type === 'error') shadow.settled('failed');
  else if (!native.seeking.get(e) && native.mediaState.get(e) >= (shadow.paused ? 2 : 3) && native.paused.get(e) === shadow.paused) {
    // Events that are under way come before this; so may another reload, which this says nothing of.
    native.later(shadow.settled, 0, 'done');
  }
}

/** Writes the attribute in a turn of the hook's own, so that all that observers could be told of is the hook's. */
function writeSrc(element, value) {
  written = element;
  if (value === null) native.removeAttribute(element, 'src'); else native.setAttribute(element, 'src', value);
  new Promise((go) => go()).then(() => { written = null; });
}

/** Has the element load another address, unseen, and play on from where it is. `fill` gives it its media. */
async function reload(m, src, fill) {
  const [e, { shadow }] = list(m.element, m);
  const { currentTime, paused } = shadow;
  await new Promise((go) => { native.later(go, 0); });
  if (m.shadow !== shadow) return 'cancelled';
  shadow.loaded = false;
  let settle; // what ends this reload; another may have begun before it has failed
  const ended = new Promise((go) => { settle = shadow.settled = go; native.later(() => go('late'), RELOAD_MS); });
  m.file.written = src;
  writeSrc(e, src);
  if (paused) native.pause(e);
  else safe(native.play(e)).then(() => {}, (error) => { if (error.name === 'NotAllowedError') settle('failed'); });
  if (currentTime > 0) native.currentTime.set(e, currentTime);
  native.rate.set(e, m.base);
  m.factor = 1;
  if (fill) fill().then((filled) => { if (!filled) settle('failed'); });
  const how = await ended;
  if (shadow.settled === settle) shadow.settled = null;
  return m.shadow === shadow ? how : 'cancelled';
}

/** The device is ready: the stand-in takes the file's place. */
async function swapFile(m, { type, steps }) {
  const [e, { file }] = list(m.element, m);
  if (m.mode !== 'moving' || m.shadow || !movable(m)) { revert(m); return; }
  const turn = ++file.turn;
  m.ms = new native.MediaSource();
  file.url = native.createUrl(m.ms);
  file.attribute = native.attribute(e, 'src');
  file.src = native.src.get(e);
  const [opened, { duration }] = list(new Promise((go) => { native.listen(m.ms, 'sourceopen', go, true); }), native);
  hide(m);
  setGrey(m, true);
  const seconds = m.shadow.duration;
  hiddenUrls.set(file.url, m);
  masks++;
  const how = await reload(m, file.url, async () => {
    await opened;
    duration.set(m.ms, seconds);
    const b = makeBuffer(m, native.addBuffer(m.ms, type), 1, type);
    b.standIn = type;
    m.buffers = list(b);
    const done = await hidden(b, () => runSteps(b, steps, type));
    if (done) { m.ended = reachesEnd(m); endAgain(m); }
    return done;
  });
  if (turn !== file.turn) return;
  if (how !== 'done') { m.retry = false; revert(m); return; }
  m.mode = 'device';
  show(m);
  m.watched = watchElement(m.id, e);
  hold(m);
  toWorker({ swapped: { ms: m.id } });
  sendPlayback(m);
  watchFrames(m);
  toWorker({ native: { ms: m.id, sb: 1, ranges: rangesOf(m.buffers[0]) } });
}

/** Whether the stand-in reaches to the end, so that the source has ended. */
function reachesEnd(m) {
  const ranges = rangesOf(m.buffers[0]);
  return ranges.length > 0 && ranges[ranges.length - 1] >= native.round(native.duration.get(m.ms) * 1e6);
}

/** The file comes back, at the same position. */
async function revertFile(m) {
  const { file } = m;
  if (!m.leaving) endOnDevice(m);
  native.forget(m.slewTimer);
  for (const job of file.jobs.values()) native.abortFetch(job);
  if (m.mode === 'moving' && !m.shadow) { m.mode = 'session'; tryLater(m); return; }
  m.mode = 'reverting';
  const turn = ++file.turn;
  if (!m.shadow) hide(m);
  await reload(m, file.attribute === null ? file.current : file.attribute);
  if (turn !== file.turn) return;
  if (m.leaving) endOnDevice(m);
  forgetUrl(m);
  m.mode = 'session';
  played(m);
  show(m);
  if (!native.connected.get(m.element) && native.paused.get(m.element)) { closeFile(m); return; }
  if (deviceReady && m.retry) moveFile(m);
}

function forgetUrl({ file, buffers }) {
  if (!file.url) return;
  const { url } = file;
  file.url = '';
  native.revokeUrl(url);
  // Observers hear of the page's own writes later in this turn.
  native.later(() => { hiddenUrls.delete(url); masks--; }, 0);
  for (const b of buffers) b.log = list();
}

/** The element plays something else, or nothing any more. */
function closeFile(m) {
  m.file.turn++;
  m.shadow = null;
  m.hideAfter = null;
  forgetUrl(m);
  for (const job of m.file.jobs.values()) native.abortFetch(job);
  closePlayer(m);
  if (native.get(elements, m.element) === m) native.set(elements, m.element, null);
}

/** The page has the element load: whatever is under way here is over. */
function pageLoads(element) { const m = native.get(elements, element); if (m && m.file) closeFile(m); }

// ---- what the page reads ------------------------------------------------------------------------------------------

for (const name of list(...SHADOWED, 'videoWidth', 'videoHeight')) {
  patchAccessor(getOwnPropertyDescriptor(ME, name) ? ME : HTMLVideoElement.prototype, name, (target, self) => {
    const m = native.get(elements, self);
    const now = apply(target, self, []);
    const asItWas = m && (m.shadow || (m.room && name in m.room && m.room));
    return asItWas ? asItWas[name] : m && name === 'currentTime' ? shortOfEnd(m, now) : now;
  }, name === 'currentTime' && ((target, self, args) => {
    const m = native.get(elements, self);
    if (!m || !m.shadow || !isNumeric(args[0]) || !isFinite(+args[0])) return apply(target, self, args);
    const to = +args[0];
    m.shadow.currentTime = to;
    m.shadow.seeking = true;
    m.shadow.after.push(() => native.currentTime.set(self, to));
    return undefined;
  }));
}

/** A muted stand-in's clock is at the end some 200 ms ahead of `ended`; dash.js takes that for an end of which it is never told, and pauses. */
function shortOfEnd({ mode, element: e }, now) {
  const early = mode === 'device' && now >= native.elementDuration.get(e) && !native.paused.get(e) && !native.seeking.get(e);
  return early ? now - 1e-4 : now;
}

patchMethod(ME, 'play', (target, self, args) => {
  const m = native.get(elements, self);
  if (m && m.shadow) {
    m.shadow.paused = false;
    return new PagePromise((resolve, reject) => { m.shadow.after.push(() => safe(apply(target, self, args)).then(resolve, reject)); });
  }
  if (link && isMedia(self) && !native.has(noticed, self)) {
    native.add(noticed, self);
    native.listen(self, 'playing', (event) => { if (!native.get(elements, self)) onPlaying(event); }, true);
  }
  return apply(target, self, args);
});
patchMethod(ME, 'pause', (target, self, args) => {
  const m = native.get(elements, self);
  if (!m || !m.shadow) return apply(target, self, args);
  m.shadow.paused = true;
  m.shadow.after.push(() => apply(target, self, args));
  return undefined;
});
patchMethod(ME, 'load', (target, self, args) => {
  const m = native.get(elements, self);
  const src = m && m.file && m.file.url ? m.file.attribute : null;
  pageLoads(self);
  // Writing the attribute is what loads.
  if (src !== null) { writeSrc(self, src); return undefined; }
  return apply(target, self, args);
});
/** The page's own address in place of a stand-in's; its text may be anywhere in markup. */
function unmask(value) {
  if (typeof value !== 'string') return value;
  const m = hiddenUrls.get(value);
  if (m) return m.file.attribute;
  if (!native.contains(value, 'blob:')) return value;
  const replaced = (text, from, to) => native.join(native.split(text, from), to);
  for (const { file } of hiddenUrls.values()) {
    if (file.attribute !== null) value = replaced(value, file.url, replaced(replaced(file.attribute, '&', '&amp;'), '"', '&quot;'));
  }
  return value;
}
const masked = (target, self, args) => { const value = apply(target, self, args); return masks ? unmask(value) : value; };
for (const [proto, ...names] of list(
  [Element.prototype, 'getAttribute', 'getAttributeNS', 'getHTML'], [XMLSerializer.prototype, 'serializeToString'],
)) for (const name of names) patchMethod(proto, name, masked);
for (const [proto, ...names] of list(
  [Element.prototype, 'innerHTML', 'outerHTML'], [ShadowRoot.prototype, 'innerHTML'], [Attr.prototype, 'value'], [Node.prototype, 'nodeValue'],
  [MutationRecord.prototype, 'oldValue'],
)) for (const name of names) patchAccessor(proto, name, masked);
patchAccessor(ME, 'currentSrc', (target, self) => {
  const src = apply(target, self, []);
  const m = masks && hiddenUrls.get(src);
  return m ? m.file.current : src;
});
for (const [proto, name] of list([Node.prototype, 'cloneNode'], [Document.prototype, 'importNode'])) {
  patchMethod(proto, name, (target, self, args) => {
    const copy = apply(target, self, args);
    if (!masks) return copy;
    const fixed = (node) => {
      const m = isMedia(node) && hiddenUrls.get(native.attribute(node, 'src'));
      if (m) native.setAttribute(node, 'src', m.file.attribute);
    };
    fixed(copy);
    const inner = succeeds(() => native.within(copy, 'video,audio')) ? native.within(copy, 'video,audio') : null;
    for (let i = 0, n = inner ? native.nodesLength(inner) : 0; i < n; i++) fixed(native.node(inner, i));
    return copy;
  });
}

/** Records without the hook's own writes. */
function ownRecords(records) {
  const out = list();
  for (let i = 0; i < records.length; i++) {
    if (native.recordTarget(records[i]) !== written || native.recordName(records[i]) !== 'src') out.push(records[i]);
  }
  return setPrototypeOf(out, native.arrays);
}
patchMethod(MutationObserver.prototype, 'takeRecords', (target, self, args) => {
  const records = apply(target, self, args);
  return written ? ownRecords(records) : records;
});
patchConstructor('MutationObserver', (observer) => observer, (args) => {
  const call = args[0];
  if (typeof call !== 'function') return args;
  args[0] = function (records, observer) {
    const own = written ? ownRecords(records) : records;
    return own.length ? apply(call, this, [own, observer]) : undefined;
  };
  return args;
});

// ---- the file's bytes ---------------------------------------------------------------------------------------------

/** Longest answer that is read whole. */
const MOST_WHOLE = 4e6;

/** Fetches what the device wants, as the element does; the worker is told what has come of it. */
async function fetchFor(m, { request, url, start, end }) {
  const answer = { ms: m.id, request, status: 0, url: '', range: '', length: null, mime: '', data: nothing() };
  try {
    await (url ? fetchWeb(m, answer, url, start, end) : readBlob(m, answer, start, end));
  } catch { answer.status = 0; }
  m.file.jobs.delete(request);
  toWorker({ fetched: answer }, list(native.viewBuffer(answer.data)));
}

function unfetch(m, request) { const job = m.file && m.file.jobs.get(request); if (job) native.abortFetch(job); }

async function readBlob(m, answer, start, end) {
  const blob = await m.file.blob;
  const size = native.blobSize(blob);
  answer.data = new native.Uint8Array(await safe(native.blobBytes(native.slice(blob, start, end === null ? size : end))));
  answer.status = start < size ? 206 : 416;
  answer.range = `bytes ${start}-${start + answer.data.length - 1}/${size}`;
  answer.mime = native.blobType(blob);
}

async function fetchWeb(m, answer, url, start, end) {
  const [{ jobs, lengths }, job] = list(m.file, new native.AbortController());
  jobs.set(answer.request, job);
  // The browser's cache would let this wait for the element's own request.
  const options = {
    __proto__: null, mode: 'cors', cache: 'no-store', credentials: native.crossOrigin.get(m.element) === 'anonymous' ? 'same-origin' : 'include',
    signal: native.signal(job), headers: end === null ? { __proto__: null } : { __proto__: null, Range: `bytes=${start}-${end - 1}` },
  };
  const response = await safe(native.fetch(url, options));
  const header = (name, of = response) => native.header(native.headers(of), name) || '';
  answer.status = native.status(response);
  answer.url = native.answered(response);
  answer.mime = header('Content-Type');
  answer.range = header('Content-Range');
  if (answer.status === 206) {
    answer.data = new native.Uint8Array(await safe(native.bytes(response)));
    // Another origin shows scripts no Content-Range, but the length of the whole.
    if (!answer.range && !lengths.get(url)) {
      lengths.set(url, header('Content-Length', await safe(native.fetch(url, { ...options, method: 'HEAD', headers: { __proto__: null } }))));
    }
    if (!answer.range && lengths.get(url)) answer.range = `bytes ${start}-${start + answer.data.length - 1}/${lengths.get(url)}`;
  } else if (answer.status === 200) {
    // A server that knows no ranges.
    answer.data = await readPart(native.body(response), start, end === null ? MOST_WHOLE : end);
    const length = header('Content-Encoding') ? '' : header('Content-Length');
    if (length || end === null) answer.length = end === null ? answer.data.length : +length;
  }
}

/** The bytes from `from` to `to` of a stream, which is left at that. */
async function readPart(body, from, to) {
  const [reader, out] = list(native.reader(body), new native.Uint8Array(to - from));
  let at = 0;
  while (at < to) {
    const { done, value } = await safe(native.read(reader));
    if (done) break;
    const skip = from > at ? from - at : 0;
    if (skip < value.length) native.fill(out, native.part(value, skip, to - at), at + skip - from);
    at += value.length;
  }
  native.cancel(reader);
  return new native.Uint8Array(native.part(out, 0, at > from ? at - from : 0));
}
