// World: MAIN. Where a player plays: asking, accepted, refused, moving to the device, and back to the session.
// The worker decides; this file only carries out.

function openPlayer(m) {
  players.set(m.id, m);
  findElement(m);
  // A source that is open has an element: one that has not been found is in a shadow tree or another document.
  m.due = !m.element;
  if (m.due || deviceReady === false) return;
  m.mode = 'asking';
  // A word that comes later than that moves the player then.
  m.waiting = native.later(() => { if (m.mode === 'asking') { m.late = true; revert(m); } }, ASK_MS);
  askFor(m, false);
}

function askFor(m, replay) {
  m.sink = '';
  const reader = readerOf(m);
  if (reader) toWorker({ read: { ms: m.id, reader } });
  toWorker({ open: { ms: m.id, replay } });
}

/** The session plays: what waited for that goes on. */
function played(m) {
  setGrey(m, false);
  m.black = null;
  for (const go of m.settled.splice(0)) go();
  if (m.element) soundAt(m.element);
}

function accept(m) {
  native.forget(m.waiting);
  if (m.late) { m.late = false; moveLate(m); return; }
  if (m.mode === 'moving') { replay(m); return; }
  if (m.mode !== 'asking') return;
  m.mode = 'device';
  setGrey(m, true);
  findElement(m);
  sendDuration(m);
  if (m.element) { m.watched = watchElement(m.id, m.element); hold(m); sendPlayback(m); watchFrames(m); }
}

// ---- session → device ---------------------------------------------------------------------------------------------

/** The device was there all the time, only slow to say so. */
function moveLate(m) { m.due = m.mode !== 'moving'; move(m); }

/** Sends what is kept to the device while the session plays on, then waits for the worker's `swap`. */
function move(m) {
  if (m.file) { moveFile(m); return; }
  if (m.mode !== 'session' || !m.buffers.length || !m.buffers.every((b) => b.whole)) return;
  findElement(m);
  if (!m.element || native.readyState.get(m.ms) === 'closed' || native.error.get(m.element) || native.keys(m.element)) return;
  [m.due, m.mode, m.turn] = list(false, 'moving', m.turn + 1);
  for (const b of m.buffers) for (const entry of b.log) entry.sent = false;
  askFor(m, true);
  for (const b of m.buffers) toWorker({ addBuffer: { ms: m.id, sb: b.id, mime: b.log[0] ? b.log[0].mime : b.mime } });
}

/** Bytes of kept appends that may be on their way at once, as a line that is far away holds many; what each operation counts besides. */
const [KEPT_AHEAD, KEPT_COST] = list(2e6, 2e4);
/** One kept append after the other, in the end all of them done; the worker acknowledges each. */
async function sendKept(b, turn) {
  let mime = b.log[0] ? b.log[0].mime : b.mime;
  const next = () => b.log.find((e) => e.ended && !e.sent);
  for (;;) {
    await atMost(b, next() ? KEPT_AHEAD : 0);
    const entry = next();
    if (b.player.mode !== 'moving' || b.player.turn !== turn || (!entry && !b.onWay.length)) return;
    if (!entry) continue;
    entry.sent = true;
    if (entry.mime !== mime) { mime = entry.mime; toWorker({ changeType: { ms: b.player.id, sb: b.id, op: ++b.op, mime } }); }
    tellKept(b, entry.bytes.length, (op) => sendAppend(b, op, entry, true));
    if (entry.aborted) toWorker({ abort: { ms: b.player.id, sb: b.id, op: ++b.op } });
  }
}

const tellKept = (b, bytes, tell) => { b.onWay.push({ __proto__: null, op: ++b.op, bytes: bytes + KEPT_COST }); tell(b.op); };

/** Waits until no more bytes than that are on their way. */
async function atMost(b, most) {
  while (b.onWay.reduce((sum, { bytes }) => sum + bytes, 0) > most) await new Promise((go) => { b.onDone = go; });
}

/** What was sent and the page has removed, before or meanwhile, goes on the device as well. */
async function sendRemoved(b) {
  const [now, gone] = list(rangesOf(b), list());
  for (const { grew } of b.log) {
    const parts = subtract(grew || list(), now);
    for (let i = 0; i < parts.length; i += 2) {
      if (parts[i] === gone[gone.length - 1]) gone[gone.length - 1] = parts[i + 1];
      else gone.push(parts[i], parts[i + 1]);
    }
  }
  for (let i = 0; i < gone.length && b.player.mode === 'moving'; i += 2) {
    tellKept(b, 0, (op) => toWorker({ remove: { ms: b.player.id, sb: b.id, op, start: gone[i] / 1e6, end: gone[i + 1] / 1e6 } }));
    await atMost(b, i + 2 < gone.length ? KEPT_AHEAD : 0);
  }
}

async function replay(m) {
  if (m.file) { sendPlayback(m); return; }
  // A device that went and came back may have said it before as well.
  if (m.replayed === m.turn) return;
  const turn = m.replayed = m.turn;
  const over = () => m.mode !== 'moving' || m.turn !== turn;
  sendDuration(m);
  await Promise.all(m.buffers.map((b) => sendKept(b, turn)));
  if (over()) return;
  // From here the page's operations wait: nothing may come between the last bytes and the swap.
  let arrived = 0;
  const ranges = list();
  m.swapGo = new Promise((go) => { m.swap = go; });
  const all = m.buffers;
  const done = Promise.all(all.map((b) => hidden(b, async () => {
    await sendKept(b, turn);
    await sendRemoved(b);
    m.ended = native.readyState.get(m.ms) === 'ended';
    ranges.push({ sb: b.id, ranges: rangesOf(b) });
    if (++arrived === all.length) { sendPlayback(m); toWorker({ caught: { ms: m.id, buffers: ranges, ended: m.ended } }); }
    const orders = await m.swapGo;
    const mine = orders && orders.find((o) => o.sb === b.id);
    if (!mine) return !m.buffers.includes(b);
    if (!m.grey) setGrey(m, true);
    for (const entry of b.log) entry.native = false;
    await reopen(b);
    await runSteps(b, mine.steps, mine.type);
    toWorker({ native: { ms: m.id, sb: b.id, ranges: rangesOf(b) } });
    return true;
  })));
  const swapped = (await done).every(Boolean);
  if (over()) return;
  // What could not be exchanged plays in the session; with a buffer that came meanwhile it begins again.
  if (!swapped || !m.buffers.every((b) => all.includes(b))) { m.retry = swapped; revert(m); return; }
  m.swap = null;
  endAgain(m);
  m.mode = 'device';
  m.watched = watchElement(m.id, m.element);
  hold(m);
  toWorker({ swapped: { ms: m.id } });
  sendPlayback(m);
  watchFrames(m);
  for (const b of m.buffers) beginPending(b);
}

/** A source that has ended takes nothing but an append, which reopens it, here unseen. */
async function reopen(b) {
  const m = b.player;
  if (native.readyState.get(m.ms) !== 'ended') return;
  m.hideSource++;
  await start(b, list(), () => native.append(b.sb, nothing()));
}

/** The end of a source that had ended is said again, unseen. */
function endAgain(m) {
  if (!m.ended || native.readyState.get(m.ms) !== 'open') return;
  const hides = m.ended === 'now' ? 0 : 1; // unless the page has said it meanwhile
  m.hideSource += hides;
  try { native.end(m.ms); } catch { m.hideSource -= hides; }
}

// ---- device → session ---------------------------------------------------------------------------------------------

/** The real bytes replace the stand-in at the same position; nothing of it is seen by the page. A device that `stays` plays on until
 * the real picture is there. */
async function revert(m, stays) {
  if (m.mode === 'session' || m.mode === 'reverting') return;
  native.forget(m.waiting);
  m.leaving = stays && m.mode === 'device';
  if (m.file) { revertFile(m); return; }
  m.mode = m.mode === 'moving' && !m.swap ? 'session' : 'reverting';
  if (m.swap) { m.swap(null); m.swap = null; }
  for (const b of m.buffers) { b.onWay = list(); b.onDone(); }
  if (!m.leaving) endOnDevice(m);
  setFactor(m, 1);
  if (m.mode === 'session') { tryLater(m); return; }
  m.ended = native.readyState.get(m.ms) === 'ended';
  const standIns = m.buffers.some((b) => b.standIn);
  await Promise.all(m.buffers.map((b) => hidden(b, () => putBack(b))));
  m.room = null;
  endAgain(m);
  if (standIns && m.element && native.mediaState.get(m.element) && !native.error.get(m.element)) await flushPicture(m);
  if (m.leaving) endOnDevice(m);
  m.mode = 'session';
  played(m);
  m.buffers.forEach(resumeInSession);
  if (deviceReady && !m.late && (m.due || m.retry)) move(m);
}

/** The device has no part in a player any more. */
function endOnDevice(m) {
  m.leaving = false;
  unwatchElement(m.id);
  toWorker({ close: { ms: m.id } });
}

/** A device that has gone and come back before this was heard says nothing more of it. */
function tryLater(m) { native.later(() => { if (deviceReady && m.retry && players.get(m.id) === m) move(m); }, RETRY_MS); }

/** Appends to the native buffer what it doesn't have; ranges end up as they were. An append that the page waits for is left
 * to resumeInSession: its events are the page's. */
async function putBack(b) {
  const m = b.player;
  const [target, hadStandIn] = list(rangesOf(b), b.standIn !== null);
  let mime = b.standIn || b.mime;
  await reopen(b);
  if (hadStandIn) native.abort(b.sb);
  neutral(b);
  try {
    if (hadStandIn && b.whole) await makeRoom(b);
    const isPending = (entry) => b.pending && entry === b.pending.entry;
    for (let entry; (entry = b.log.find((e) => !e.native && !isPending(e)));) {
      if (entry.mime !== mime) { mime = entry.mime; native.changeType(b.sb, mime); }
      const offset = entry.mode === 'sequence' && entry.grew ? entry.grew[0] / 1e6 : entry.offset;
      applySettings(b, { ...entry, offset });
      entry.native = true;
      await start(b, list(), () => native.append(b.sb, entry.bytes));
      if (entry.aborted) native.abort(b.sb);
    }
    if (hadStandIn) await removeExcess(b, target);
    if (mime !== b.mime) native.changeType(b.sb, b.mime);
  } finally {
    b.standIn = null;
    restore(b);
  }
  return true;
}

/** Chromium takes half a second to put ten minutes of media over the stand-in's small samples, and none where nothing is: of more than two
 * minutes, what is 30 s and more from the position goes first. The page sees what was there. */
async function makeRoom(b) {
  const [m, e, all] = list(b.player, b.player.element, rangesOf(b));
  if (!e || !(native.duration.get(m.ms) > 0) || !(lastEnd(b) - all[0] / 1e6 >= 120)) return;
  const at = native.currentTime.get(e);
  m.room = m.room || { __proto__: null, buffered: native.elementBuffered.get(e), seekable: native.seekable.get(e) };
  if (at > 30) await start(b, list(), () => native.remove(b.sb, 0, at - 30));
  if (at + 30 < lastEnd(b)) await start(b, list(), () => native.remove(b.sb, at + 30, Infinity));
}

/** Lets the page's operation that waited go on in the session. */
function resumeInSession(b) {
  const p = b.pending;
  if (!p) return;
  native.forget(p.timer);
  if (p.begun && !p.entry) { endPending(b, p); return; }
  p.begin = null;
  const show = p.begun ? list('update', 'updateend', 'error', 'abort') : ALL;
  const bytes = p.entry && !p.entry.native ? p.entry.bytes : nothing();
  const before = () => { if (b.pending === p) b.pending = null; if (p.entry) kept(b, p.entry); prune(b); };
  if (p.entry) p.entry.native = true;
  try {
    start(b, show, () => (p.range ? native.remove(b.sb, p.range[0], p.range[1]) : native.append(b.sb, bytes)), before);
    p.waits = false;
  } catch {
    p.waits = players.get(b.player.id) && b.player.buffers.includes(b);
    if (p.entry) p.entry.native = false;
    // A buffer that is full here as well takes it when what is played has made room.
    if (p.waits) native.later(() => { if (b.pending === p && b.player.mode === 'session') resumeInSession(b); }, 250);
    else before();
  }
}

async function removeExcess(b, target) {
  const excess = subtract(rangesOf(b), target);
  for (let i = 0; i < excess.length; i += 2) { await start(b, list(), () => native.remove(b.sb, excess[i] / 1e6, excess[i + 1] / 1e6)); }
}

/** Makes the decoder start again at the position, so that the picture changes now and not at the next key frame. */
async function flushPicture(m) {
  const done = new Promise((seeked) => { m.seekDone = seeked; native.later(seeked, 2000); });
  // A seek of the page's that has not ended is made anew: its end is the page's, and so is the end of a wait for data.
  m.hideSeek = !native.seeking.get(m.element); m.hideSeeking = true;
  m.starved = native.mediaState.get(m.element) < 3;
  native.currentTime.set(m.element, native.currentTime.get(m.element));
  let shown;
  const frame = new Promise((go) => { shown = go; });
  if (isVideo(m.element)) native.onFrame(m.element, shown); else shown();
  await done;
  m.seekDone = null;
  // The seek ends before the picture can be read; in a hidden page no frame is told of.
  native.later(shown, 250);
  await frame;
  // A frame is told of a few frames before it is on the screen, where the device's is meanwhile.
  if (m.leaving) await new Promise((go) => { native.later(go, 80); });
}

function beginPending(b) {
  const { mode } = b.player;
  if (b.pending && b.pending.begin && !b.busy && !b.jobs.length && mode !== 'moving' && mode !== 'reverting') {
    const { begin } = b.pending;
    b.pending.begin = null;
    begin();
  }
}

// ---- the worker's words -------------------------------------------------------------------------------------------

function fromWorker(message) {
  const kind = ownKeys(message)[0];
  const body = message[kind];
  const ofCall = { __proto__: null, callOpened, called, callHappened, screenSize }[kind];
  if (ofCall) return void ofCall(body);
  const m = players.get(body.ms);
  if (!m) return;
  const b = body.sb === undefined ? null : m.buffers.find((other) => other.id === body.sb);
  switch (kind) {
    case 'accept': accept(m); break;
    case 'revert': m.late = false; m.retry = body.retry; revert(m, true); break;
    case 'done':
      if (!b) break;
      b.parsing = body.parsing;
      if (b.onWay.length && b.onWay[0].op === body.op) { b.onWay.shift(); b.onDone(); break; }
      if (b.pending && b.pending.op === body.op) { b.pending.answer = body; settle(b); } else fix(b, body);
      break;
    case 'fix': if (b) fix(b, body); break;
    case 'swap': if (m.file) swapFile(m, body.buffers[0]); else if (m.swap) m.swap(body.buffers); break;
    case 'return': m.retry = true; if (deviceReady) move(m); break;
    case 'fetch': fetchFor(m, body); break;
    case 'unfetch': unfetch(m, body.request); break;
    case 'sync': sync(m, body); break;
    case 'counted': if (m.grey) m.counted = body.counts; break;
    case 'frame': onDeviceFrame(m, body); break;
    case 'slew': slew(m, body.factor, body.forMs); break;
    default: break;
  }
}

/** Corrects the native ranges outside any operation of the page's. */
function fix(b, { steps, type, duration }) {
  const longer = b.player.file && typeof duration === 'number' && duration !== native.duration.get(b.player.ms);
  if (b.player.mode !== 'device' || (!steps.length && !type && !longer)) return;
  hidden(b, async () => {
    const m = b.player;
    if (m.mode !== 'device' || !m.buffers.includes(b)) return;
    if (m.fixing++ === 0) m.ended = native.readyState.get(m.ms) === 'ended';
    await reopen(b);
    if (longer) try { native.duration.set(m.ms, duration); } catch { /* what is there reaches beyond */ }
    await runSteps(b, steps, type);
    if (m.file) m.ended = reachesEnd(m);
    if (--m.fixing === 0) endAgain(m);
    toWorker({ native: { ms: b.player.id, sb: b.id, ranges: rangesOf(b) } });
  });
}

onReadyChange.push((ready) => {
  if (!ready) for (const m of players.values()) { m.retry = true; m.late = false; revert(m); }
  if (ready) for (const m of players.values()) if (m.retry) move(m);
});
