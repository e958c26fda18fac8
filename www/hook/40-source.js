// World: MAIN. MediaSource and SourceBuffer as the page calls them.
//
// A player's mode: `session` (native bytes), `asking` (waits for the worker's word), `device` (stand-in in the
// session, bytes on the device), `moving` (session → device under way), `reverting` (device → session under way).

const players = table();
const sources = new WeakMap();
const byUrl = table();
let lastPlayer = 0;

/** How long a new player waits to hear whether a device is there before it plays in the session. */
const ASK_MS = 1500;
/** How long after a move that came to nothing the next one begins. */
const RETRY_MS = 1000;
/** How long the device may take for one operation before playback goes on in the session. */
const ANSWER_MS = 15000;
/** Most object URLs of MediaSources that are remembered. */
const MOST_URLS = 1000;

const makePlayer = (ms) => ({
  __proto__: null, id: ++lastPlayer, ms, element: null, mode: 'session', buffers: list(), lastBuffer: 0, hideSource: 0, hideDuration: 0, fixing: 0, watched: false, given: false, length: null,
  base: 1, factor: 1, rateEvents: list(), seekId: 0, hideSeek: false, hideSeeking: false, starved: false, hideAfter: null, slewTimer: 0, waiting: null, late: false, due: false, retry: true, leaving: false, ended: false, swap: null, swapGo: null, turn: 0, replayed: 0, seekDone: null, room: null,
  file: null, shadow: null, // of players of files: see 70-files.js
  grey: false,            // only the stand-in can be seen and heard in the element
  readAt: -1e9, black: null, settled: list(), // of 80-readers.js
  counted: list(0, 0, 0, 0), before: list(0, 0, 0, 0), presented: 0, skipped: null, frame: null, watching: false, idle: 0, // of 85-quality.js
});

function playerOf(ms) {
  let m = native.get(sources, ms);
  if (m) return m;
  m = makePlayer(ms);
  native.set(sources, ms, m);
  askForPort(); // it is there by the time that the source is open
  for (const type of list('sourceopen', 'sourceended')) {
    native.listen(ms, type, (event) => { if (m.hideSource > 0 && event.isTrusted) { m.hideSource--; native.stop(event); } }, true);
  }
  native.listen(ms, 'sourceclose', () => closePlayer(m), true);
  return m;
}

function closePlayer(m) {
  if (!players.delete(m.id)) return;
  if (m.mode !== 'session') endOnDevice(m); else unwatchElement(m.id);
  m.mode = 'session';
  m.room = null;
  setFactor(m, 1);
  played(m);
  m.before = list(0, 0, 0, 0);
  m.presented = 0;
  for (const b of m.buffers) b.log = list();
}

/** Bytes of a BufferSource, copied; null for anything else, which the native call then refuses. */
function copyOf(data) {
  try {
    const view = native.isView(data);
    const buffer = view ? native.viewBuffer(data) : data;
    native.bufferLength(buffer); // throws for what is shared, or no buffer
    if (native.resizable(buffer)) return null;
    if (native.detached(buffer)) return nothing();
    return new native.Uint8Array(view
      ? new native.Uint8Array(buffer, native.viewOffset(data), native.viewLength(data)) : new native.Uint8Array(buffer));
  } catch { return null; }
}

const busyError = (what) => new native.DOMException(
  `Failed to ${what} on 'SourceBuffer': This SourceBuffer is still processing an 'appendBuffer' or 'remove' operation.`,
  'InvalidStateError');

const FULL = "Failed to execute 'appendBuffer' on 'SourceBuffer': The SourceBuffer is full, and cannot free space to append additional buffers.";
const fullError = () => (native.QuotaExceededError ? new native.QuotaExceededError(FULL) : new native.DOMException(FULL, 'QuotaExceededError'));

function settingsOf(b) {
  const now = (key) => (b.shadow ? b.shadow[key] : native[key].get(b.sb));
  return { __proto__: null, offset: now('offset'), windowStart: now('windowStart'), windowEnd: now('windowEnd'), mode: now('mode') };
}

const isNumeric = (x) => typeof x !== 'symbol' && typeof x !== 'bigint';
const isFinite = (x) => x - x === 0;
const finite = (x) => (x < Infinity ? x : undefined);

function sendAppend(b, op, entry, replay) {
  const data = new native.Uint8Array(entry.bytes);
  // A replayed `sequence` append starts where it started the first time.
  const offset = replay && entry.mode === 'sequence' ? (entry.grew ? entry.grew[0] / 1e6 : undefined) : entry.offset;
  toWorker({ append: {
    ms: b.player.id, sb: b.id, op, replay, data,
    offset: replay || entry.written || entry.mode === 'segments' ? offset : undefined,
    windowStart: entry.windowStart, windowEnd: finite(entry.windowEnd), sequence: entry.mode === 'sequence',
  } }, list(native.viewBuffer(data)));
}

/** The page's operation begins: natively with `begin`, told to the worker when the browser would carry it out, that is a task
 * later: until then abort() takes it back. Its end waits for the answer. */
function pend(b, kind, begin, tell) {
  const p = { __proto__: null, op: ++b.op, kind, begun: false, sent: false, answer: null, begin: null, entry: null, range: null, timer: 0, settling: false, waits: false };
  b.pending = p;
  const started = () => {
    p.begun = true;
    if (b.pending !== p || b.player.mode === 'session' || b.player.mode === 'reverting') return;
    p.sent = true;
    p.timer = native.later(() => { if (b.pending === p && !p.answer) giveUp(b.player); }, ANSWER_MS);
    tell(p);
  };
  const go = () => {
    try {
      start(b, list('updatestart'), begin).then(started);
    } catch (error) { b.pending = null; throw error; }
  };
  if (b.busy || b.jobs.length || b.player.mode === 'reverting') p.begin = () => { try { go(); } catch { /* the buffer went away meanwhile */ } };
  else go();
  return p;
}

/** The device doesn't answer: not this player again. */
function giveUp(m) { m.retry = false; revert(m); }

/** Ends the page's operation once both the native start and the worker's answer are there. */
function settle(b) {
  const p = b.pending;
  if (!p || !p.begun || !p.answer || p.settling) return;
  p.settling = true;
  native.forget(p.timer);
  const { steps, type, offset, duration } = p.answer;
  let moved = false;
  const moveOffset = () => { moved = true; if (!b.offsetWritten && native.mode.get(b.sb) === 'sequence') native.offset.set(b.sb, offset); };
  hidden(b, async () => {
    await runSteps(b, steps, type, duration, { __proto__: null, wanted: () => b.pending === p, ended: () => { moveOffset(); ended(b, p); } });
    if (!moved) moveOffset();
    toWorker({ native: { ms: b.player.id, sb: b.id, ranges: rangesOf(b) } });
  }).then(() => endPending(b, p));
}

/** The page's operation has ended; its events are next. */
function ended(b, p) {
  if (b.pending !== p) return;
  b.pending = null;
  if (p.entry) kept(b, p.entry);
  prune(b);
}

/** Lets the page see the end of its operation, if it has not: the events of a native append of nothing. */
function endPending(b, p) {
  if (b.pending !== p) return;
  if (!succeeds(() => start(b, list('update', 'updateend'), () => native.append(b.sb, nothing()), () => ended(b, p)))) ended(b, p);
}

const inSession = (b) => b.player.mode === 'session' || (b.player.mode === 'moving' && !b.busy && !b.jobs.length);

patchMethod(SB, 'appendBuffer', (target, self, args) => {
  const b = native.get(buffers, self);
  const bytes = b && copyOf(args[0]);
  if (!bytes) return apply(target, self, args);
  if (b.pending) throw busyError("execute 'appendBuffer'");
  const settings = { ...settingsOf(b), written: b.offsetWritten };
  if (inSession(b)) {
    let entry = null;
    start(b, ALL, () => apply(target, self, args), () => { kept(b, entry); prune(b); });
    entry = keep(b, bytes, settings, true);
  } else {
    if (isFull(b, bytes.length)) {
      // The browser opens a source that has ended before it refuses.
      if (native.readyState.get(b.player.ms) === 'ended' && !b.busy) start(b, list(), () => native.append(b.sb, nothing()));
      throw fullError();
    }
    const entry = keep(b, bytes, settings, false);
    try {
      pend(b, 'append', () => native.append(b.sb, nothing()), ({ op }) => sendAppend(b, op, entry, false)).entry = entry;
    } catch (error) {
      b.log.splice(b.log.indexOf(entry), 1);
      throw error;
    }
  }
  b.offsetWritten = false;
  b.cut = Infinity;
  return undefined;
});

patchMethod(SB, 'remove', (target, self, args) => {
  const b = native.get(buffers, self);
  if (!b) return apply(target, self, args);
  if (b.pending) throw busyError("execute 'remove'");
  // What is no number, the native call refuses in its own words.
  if (inSession(b) || args.length < 2 || !isNumeric(args[0]) || !isNumeric(args[1])) {
    start(b, ALL, () => apply(target, self, args), () => prune(b));
  } else {
    const from = +args[0];
    const to = +args[1];
    if (to >= lastEnd(b)) b.cut = from;
    pend(b, 'remove', () => native.remove(b.sb, from, to), ({ op }) =>
      toWorker({ remove: { ms: b.player.id, sb: b.id, op, start: from, end: finite(to) } })).range = list(from, to);
  }
  return undefined;
});

patchMethod(SB, 'abort', (target, self, args) => {
  const b = native.get(buffers, self);
  if (!b) return apply(target, self, args);
  if (inSession(b) && !(b.pending && b.pending.waits)) { apply(target, self, args); keepAbort(b); return undefined; }
  const p = b.pending;
  if (!p) {
    if (!b.busy) apply(target, self, args);
  } else if (p.kind === 'remove') {
    throw new native.DOMException("Failed to execute 'abort' on 'SourceBuffer': Aborting asynchronous remove() operation is disallowed.", 'InvalidStateError');
  } else {
    // The events of an aborted append are the browser's own, from an append of nothing.
    b.pending = null;
    native.forget(p.timer);
    if (p.entry && (!p.sent || p.waits)) b.log.splice(b.log.indexOf(p.entry), 1);
    else if (p.entry) p.entry.ended = true;
    const [head, events] = list(b.expected[b.expected.length - 1], list('abort', 'updateend'));
    if (b.busy) {
      if (head) head.show = list(); // the stand-in's append that was to end the operation
      hidden(b, async () => {
        const ended = start(b, events, () => native.append(b.sb, nothing()));
        native.abort(b.sb);
        await ended;
      });
    } else {
      if (native.updating.get(b.sb) && head) head.show = ALL;
      else start(b, events, () => native.append(b.sb, nothing()));
      native.abort(b.sb);
    }
  }
  keepAbort(b);
  b.parsing = false;
  if (b.shadow) { b.shadow.windowStart = 0; b.shadow.windowEnd = Infinity; }
  toWorker({ abort: { ms: b.player.id, sb: b.id, op: ++b.op } });
  return undefined;
});

patchMethod(SB, 'changeType', (target, self, args) => {
  const b = native.get(buffers, self);
  if (!b) return apply(target, self, args);
  const [m, mime] = list(b.player, args.length ? `${args[0]}` : '');
  const supported = native.supported(mime);
  if (b.pending && mime) throw busyError("execute 'changeType'");
  // What the stand-in is made of doesn't change with the page's type.
  const asItIs = supported && b.standIn && native.readyState.get(m.ms) === 'open' && m.buffers.includes(b);
  if (b.busy && !supported && mime) {
    throw new native.DOMException(`Failed to execute 'changeType' on 'SourceBuffer': The type provided ('${mime}') is not supported.`, 'NotSupportedError');
  }
  if (!asItIs && !(b.busy && mime)) {
    apply(target, self, args.length ? list(mime) : args);
    if (b.standIn) { native.changeType(b.sb, b.standIn); b.wantsInit = true; }
  }
  b.mime = mime;
  b.parsing = false;
  if (!inSession(b)) toWorker({ changeType: { ms: m.id, sb: b.id, op: ++b.op, mime } });
  return undefined;
});

patchAccessor(SB, 'updating', (target, self) => {
  const b = native.get(buffers, self);
  if (!b) return apply(target, self, []);
  if (b.pending) return true;
  return b.busy ? false : apply(target, self, []);
});

patchAccessor(SB, 'buffered', (target, self) => {
  const b = native.get(buffers, self);
  const now = apply(target, self, []);
  return b && b.shadow ? b.shadow.buffered : now;
});

for (const [name, key] of [['timestampOffset', 'offset'], ['appendWindowStart', 'windowStart'], ['appendWindowEnd', 'windowEnd'], ['mode', 'mode']]) {
  patchAccessor(SB, name, (target, self) => {
    const b = native.get(buffers, self);
    return b && b.shadow ? b.shadow[key] : apply(target, self, []);
  }, (target, self, args) => {
    const b = native.get(buffers, self);
    if (!b || (key !== 'mode' && !isNumeric(args[0]))) return apply(target, self, args);
    const wanted = key === 'mode' ? `${args[0]}` : +args[0];
    if (key === 'mode' ? wanted !== 'segments' && wanted !== 'sequence' : key !== 'windowEnd' && !isFinite(wanted)) return apply(target, self, list(wanted));
    if (b.pending) throw busyError(`set the '${name}' property`);
    if (b.parsing && !inSession(b) && begins(key, 'offset', 'mode')) {
      throw new native.DOMException(`Failed to set the '${name}' property on 'SourceBuffer': The ${key === 'mode' ? key : 'timestamp offset'
      } may not be set while the SourceBuffer's append state is 'PARSING_MEDIA_SEGMENT'.`, 'InvalidStateError');
    }
    if (b.shadow) b.shadow[key] = wanted;
    else apply(target, self, list(wanted));
    if (key === 'offset') b.offsetWritten = true;
    return undefined;
  });
}

patchMethod(MS, 'addSourceBuffer', (target, self, args) => {
  const sb = apply(target, self, args);
  if (!link) return sb;
  const m = playerOf(self);
  const b = makeBuffer(m, sb, ++m.lastBuffer, `${args[0]}`);
  m.buffers.push(b);
  if (m.buffers.length === 1) openPlayer(m);
  if (m.mode !== 'session') toWorker({ addBuffer: { ms: m.id, sb: b.id, mime: b.mime } });
  return sb;
});

patchMethod(MS, 'removeSourceBuffer', (target, self, args) => {
  const b = args[0] && typeof args[0] === 'object' ? native.get(buffers, args[0]) : null;
  if (b && b.pending && b.player.buffers.includes(b) && b.player.mode !== 'session') {
    // The browser aborts what is under way, and what it tells of that is the page's to hear.
    const head = b.expected[b.expected.length - 1];
    if (native.updating.get(b.sb) && head) head.show = b.busy ? list('abort', 'updateend') : ALL;
    else try { start(b, list('abort', 'updateend'), () => native.append(b.sb, nothing())); } catch { /* already out */ }
    native.forget(b.pending.timer);
    b.pending = null;
  }
  const result = apply(target, self, args);
  if (b) {
    b.pending = null;
    b.log = list();
    const m = b.player;
    m.buffers = m.buffers.filter((other) => other !== b);
    if (m.mode !== 'session') toWorker({ removeBuffer: { ms: m.id, sb: b.id } });
  }
  return result;
});

const updatingError = (what) => new native.DOMException(
  `Failed to ${what} on 'MediaSource': The 'updating' attribute is true on one or more of this MediaSource's SourceBuffers.`, 'InvalidStateError');

patchMethod(MS, 'endOfStream', (target, self, args) => {
  const m = native.get(sources, self);
  if (m && m.buffers.some((b) => b.pending)) throw updatingError("execute 'endOfStream'");
  // Hidden appends have the source open for a moment; it is ended when they are done.
  const opened = m && isOpened(m);
  if (opened) m.ended = m.ended || 'now';
  const result = opened ? undefined : apply(target, self, args);
  if (m && !opened) m.given = false;
  if (m && m.mode !== 'session') toWorker({ end: { ms: m.id, ended: true } });
  return result;
});

patchAccessor(MS, 'duration', (target, self) => {
  const m = native.get(sources, self);
  const now = apply(target, self, []);
  return m && m.length !== null ? m.length : now;
}, (target, self, args) => {
  const m = native.get(sources, self);
  if (!m || !isNumeric(args[0])) return apply(target, self, args);
  const wanted = +args[0];
  if (wanted >= 0 && m.buffers.some((b) => b.pending)) throw updatingError("set the 'duration' property");
  try { apply(target, self, list(wanted)); } catch (error) {
    // The last sample of the stand-in may begin later than the real one, which the page has spared; and hidden work may be under way.
    if (m.mode !== 'device' || !m.buffers.every((b) => b.cut <= wanted || lastEnd(b) <= wanted)) throw error;
    shorten(m, wanted);
  }
  m.given = false;
  if (m.mode !== 'session') sendDuration(m);
  return undefined;
});

/** Sets the duration as soon as the stand-in lets it; until then the page reads it here. */
async function shorten(m, seconds) {
  m.length = seconds;
  await Promise.all(m.buffers.map((b) => hidden(b, async () => {
    if (lastEnd(b) > seconds) await start(b, list(), () => native.remove(b.sb, seconds, Infinity));
  })));
  for (let busy = m.buffers; busy.length; busy = m.buffers.filter((b) => b.expected.length)) for (const b of busy) await idle(b);
  if (m.length !== seconds) return;
  succeeds(() => native.duration.set(m.ms, seconds));
  m.length = null;
  if (m.mode !== 'device') return;
  sendDuration(m);
  for (const b of m.buffers) toWorker({ native: { ms: m.id, sb: b.id, ranges: rangesOf(b) } });
}

const isOpened = (m) => m.mode === 'reverting' || m.swap || m.fixing > 0;

patchAccessor(MS, 'readyState', (target, self) => {
  const m = native.get(sources, self);
  const state = apply(target, self, []);
  return m && isOpened(m) && m.ended && state === 'open' ? 'ended' : state;
});

function sendDuration(m) {
  const seconds = native.duration.get(m.ms);
  if (seconds === seconds) toWorker({ duration: { ms: m.id, seconds: finite(seconds) } });
}

// Every MediaSource is known from its beginning: its listeners are called in the order in which they were added.
patchConstructor('MediaSource', (ms) => { playerOf(ms); return ms; });
// A worker's source is out of reach: a player that asks makes it here.
patchAccessor(MediaSource, 'canConstructInDedicatedWorker', (target, self, args) => apply(target, self, args) && !(link && deviceReady !== false));

patchMethod(URL, 'createObjectURL', (target, self, args) => {
  const url = apply(target, self, args);
  if (isSource(args[0])) { byUrl.set(url, playerOf(args[0])); byUrl.limit(MOST_URLS); }
  return url;
});
