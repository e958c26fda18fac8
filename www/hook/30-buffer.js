// World: MAIN. One state object a SourceBuffer: native operations in order, hidden or shown; the page's pending
// operation; and the bytes that are kept so that playback can always come back.

const buffers = new WeakMap();
const ALL = list('updatestart', 'update', 'updateend', 'error', 'abort');

function makeBuffer(player, sb, id, mime) {
  const b = {
    __proto__: null, id, player, sb, mime,
    standIn: null, init: null, wantsInit: false, // the stand-in's type while one is in; its initialization segment; changeType has made the buffer wait for it
    op: 0, pending: null, // counts what the worker was told; the page's operation that has not ended: {op, kind, …}
    jobs: list(), busy: false, // hidden work that waits its turn; one job runs
    expected: list(), drained: list(), // native operations whose events are still to come; called when there are none left
    shadow: null, // attributes as the page sees them while hidden work changes them
    offsetWritten: false, // the page wrote timestampOffset since the last append
    parsing: false, // the device's buffer is in the middle of a media segment
    cut: Infinity, // seconds: the page has removed all from there on, and appended nothing since
    log: list(), kept: 0, whole: true, // what was appended (see keep()), its bytes; false once some had to go that are still buffered
    onWay: list(), onDone() {}, // kept operations that the device has yet to do: {op, bytes}; called when one is done
  };
  native.set(buffers, sb, b);
  for (const type of ALL) native.listen(sb, type, (event) => onBufferEvent(b, event), true);
  return b;
}

/** Events of native operations come in the order in which the operations began; each knows what the page may see. */
function onBufferEvent(b, event) {
  const head = b.expected[0];
  if (!head || !event.isTrusted) return;
  const type = native.type(event);
  if (!native.includes(head.show, type)) native.stop(event);
  if (type === 'error') head.failed = true;
  if ((type === 'update' || type === 'error') && head.before) head.before();
  if (type === 'updateend') {
    b.expected.shift();
    if (head.before) head.before();
    if (head.resolve) head.resolve(!head.failed);
    if (!b.expected.length) for (const go of b.drained.splice(0)) go();
  }
}

/** Starts a native operation; throws what the native call throws. `show` lists the events that reach the page;
 * `before` runs once, ahead of the page's listeners, when the operation has ended. Resolves after `updateend`. */
function start(b, show, call, before) {
  const entry = { __proto__: null, show, failed: false, resolve: null, before: null };
  if (before) entry.before = () => { entry.before = null; before(); };
  b.expected.push(entry);
  try {
    call();
  } catch (error) { b.expected.splice(b.expected.indexOf(entry), 1); throw error; }
  return new Promise((resolve) => { entry.resolve = resolve; });
}

const nothing = () => new native.Uint8Array(0);
const rangesOf = (b) => { try { return microseconds(native.buffered.get(b.sb)); } catch { return list(); } };

/** Where what is buffered ends, in seconds. */
const lastEnd = (b) => { const all = rangesOf(b); return all.length ? all[all.length - 1] / 1e6 : 0; };

/** Runs hidden work on a buffer, one job at a time; the page sees the attributes as they were. */
function hidden(b, job) {
  return new Promise((resolve) => {
    b.jobs.push(async () => { try { resolve(await job()); } catch { resolve(false); } });
    if (!b.busy) runJobs(b);
  });
}

/** Resolves when no native operation is under way. */
async function idle(b) { while (b.expected.length) await new Promise((go) => { b.drained.push(go); }); }

async function runJobs(b) {
  b.busy = true;
  while (b.jobs.length) {
    // A native operation that the page sees may still be under way.
    await idle(b);
    await b.jobs.shift()();
  }
  b.busy = false;
  beginPending(b);
}

/** Takes the page's settings out of the way of stand-in bytes; `restore` puts them back. `anew`: a media segment that has only begun,
 * in which they can't be written, is forgotten. */
function neutral(b, anew) {
  b.shadow = { __proto__: null, ...settingsOf(b), buffered: native.buffered.get(b.sb) };
  if (anew) succeeds(() => native.abort(b.sb));
  applySettings(b, { offset: 0, windowStart: 0, windowEnd: Infinity, mode: 'segments' });
}

function restore(b) {
  const wanted = b.shadow;
  b.shadow = null;
  if (wanted) applySettings(b, wanted);
}

function applySettings(b, s) {
  try {
    if (native.mode.get(b.sb) !== s.mode) native.mode.set(b.sb, s.mode);
    if (native.offset.get(b.sb) !== s.offset) native.offset.set(b.sb, s.offset);
    if (s.windowStart >= native.windowEnd.get(b.sb)) native.windowEnd.set(b.sb, Infinity);
    if (native.windowStart.get(b.sb) !== s.windowStart) native.windowStart.set(b.sb, s.windowStart);
    if (native.windowEnd.get(b.sb) !== s.windowEnd) native.windowEnd.set(b.sb, s.windowEnd);
  } catch { /* the buffer has been taken out of its MediaSource */ }
}

/** The stand-in's initialization segment says no duration, so the MediaSource is told what the real one said. The page
 * would see a `durationchange` before there is any media; it sees the one that comes with the metadata. */
async function giveDuration(m, seconds) {
  for (const other of m.buffers) await idle(other);
  if (native.readyState.get(m.ms) !== 'open' || !isNaN(native.duration.get(m.ms))) return;
  if (m.element) m.hideDuration++;
  m.given = true;
  try { native.duration.set(m.ms, seconds); } catch { m.hideDuration = 0; }
}

/** Carries out the worker's steps on the native buffer, unseen. `last`, if given, makes the end of the page's operation of the
 * last step's: {wanted(), ended()}; so what the element tells of new media comes after it, as it does natively. */
async function runSteps(b, steps, type, duration, last) {
  if (typeof duration === 'number') await giveDuration(b.player, duration);
  const anew = type && b.standIn !== type;
  neutral(b, anew);
  try {
    if (anew) { native.changeType(b.sb, type); b.standIn = type; }
    for (let i = 0; i < steps.length; i++) {
      const { remove } = steps[i];
      let { append } = steps[i];
      if (append) {
        if (startsInit(append)) {
          b.init = append;
          // In one append with the media, as pages do it: an element that has metadata already would be ready too soon.
          if (i + 1 < steps.length && steps[i + 1].append) append = joined(append, steps[++i].append);
        }
        else if (b.wantsInit) await start(b, list(), () => native.append(b.sb, b.init));
        b.wantsInit = false;
        const ends = last && i === steps.length - 1 && last.wanted();
        await start(b, ends ? list('update', 'updateend') : list(), () => native.append(b.sb, append),
          ends ? () => { restore(b); last.ended(); } : undefined);
      }
      else if (remove[1] > remove[0]) await start(b, list(), () => native.remove(b.sb, remove[0], remove[1]));
    }
    return true;
  } finally {
    restore(b);
  }
}

function joined(a, b) {
  const out = new native.Uint8Array(a.length + b.length);
  native.fill(out, a, 0);
  native.fill(out, b, a.length);
  return out;
}

// ---- what is kept -------------------------------------------------------------------------------------------------

/** Most bytes kept for one buffer; Chromium's own quotas, and what it counts for a second's frames beside their bytes (0051). */
const MOST_KEPT = 200e6;
const [VIDEO_QUOTA, AUDIO_QUOTA, FRAMES_COST] = list(150 * 2 ** 20, 12 * 2 ** 20, 5500);

/** Whether Chromium would refuse `more` bytes: to make room it takes what lies before the position, then what lies after the
 * newest append. The device's buffer does the same when the bytes are there. */
function isFull(b, more) {
  const e = b.player.element;
  if (e && native.error.get(e)) return false;
  const at = e ? native.currentTime.get(e) * 1e6 : 0;
  let [held, newest, now] = list(0, 0, rangesOf(b));
  for (let i = b.log.length - 1; i >= 0; i--) {
    const { grew, bytes } = b.log[i];
    if (!grew) continue;
    newest = newest || grew[grew.length - 1];
    if (grew[grew.length - 1] <= at || grew[0] >= newest || !intersects(grew, now)) continue;
    held += bytes.length;
    for (let j = 0; j < grew.length; j += 2) held += (grew[j + 1] - grew[j]) / 1e6 * FRAMES_COST;
  }
  return held > 0 && held + more > (begins(b.mime, 'audio/') ? AUDIO_QUOTA : VIDEO_QUOTA);
}

const startsInit = (bytes) => bytes.length >= 8 && (
  (bytes[0] === 0x1a && bytes[1] === 0x45 && bytes[2] === 0xdf && bytes[3] === 0xa3) ||
  (bytes[5] === 0x74 && bytes[6] === 0x79 && bytes[7] === 0x70 && bytes[4] === 0x66) ||
  (bytes[4] === 0x6d && bytes[5] === 0x6f && bytes[6] === 0x6f && bytes[7] === 0x76));

/** Writes an append down: its bytes and the settings it was made with. `native` says that the session has it. */
function keep(b, bytes, settings, native) {
  const entry = { __proto__: null, bytes, ...settings, mime: b.mime, init: startsInit(bytes), before: rangesOf(b), grew: null, ended: false, open: false, aborted: false, sent: false, native };
  b.log.push(entry);
  b.kept += bytes.length;
  while (b.kept > MOST_KEPT && b.log.length > 1) {
    const victim = b.log.findIndex((e) => !e.init);
    if (victim < 0 || victim === b.log.length - 1) break;
    b.kept -= b.log[victim].bytes.length;
    b.log.splice(victim, 1);
    b.whole = false;
  }
  return entry;
}

/** Whether an append has left its buffer in the middle of a media segment, which natively only a write that changes nothing tells. */
function leavesOpen(b, entry) {
  if (!entry.native) return b.parsing;
  return native.mode.get(b.sb) === 'segments' && native.readyState.get(b.player.ms) === 'open' && !succeeds(() => native.mode.set(b.sb, 'segments'));
}

/** Called when an append has ended: notes what it added. */
function kept(b, entry) {
  const grew = subtract(rangesOf(b), entry.before || list());
  [entry.grew, entry.ended, entry.before] = list(grew.length ? grew : null, true, null);
  entry.open = leavesOpen(b, entry);
}

/** The page's abort() makes the parser forget the segment that it is in: playing back what is kept does it again. */
function keepAbort(b) {
  const last = b.log[b.log.length - 1];
  if (!last) return;
  last.aborted = true;
  if (b.player.mode === 'moving' && last.sent) toWorker({ abort: { ms: b.player.id, sb: b.id, op: ++b.op } });
}

/** Drops entries whose ranges are no longer buffered. An append that added nothing belongs to the next one that did, and one that
 * ended in the middle of a media segment to the next one; an initialization segment stays while something after it stays.
 * What is being sent to the device stays until it is there. */
function prune(b) {
  if (b.player.mode === 'moving') return;
  const now = rangesOf(b);
  const stays = list();
  let group = list();
  for (const entry of b.log) {
    group.push(entry);
    const grown = group.filter((e) => e.grew);
    if (!grown.length || (entry.open && !entry.aborted)) continue;
    if (grown.some((e) => intersects(e.grew, now))) stays.push(...group);
    else stays.push(...group.filter((e) => e.init));
    group = list();
  }
  stays.push(...group);
  const out = stays.filter((e, i) => !e.init || intersects(e.grew || list(), now) || !stays[i + 1] || !stays[i + 1].init);
  b.log = out;
  b.kept = out.reduce((sum, e) => sum + e.bytes.length, 0);
}

/** a − b for flat range lists. */
function subtract(a, b) {
  const out = list();
  for (let i = 0; i < a.length; i += 2) {
    let from = a[i];
    for (let j = 0; j < b.length && from < a[i + 1]; j += 2) {
      if (b[j + 1] <= from || b[j] >= a[i + 1]) continue;
      if (b[j] > from) out.push(from, b[j]);
      from = b[j + 1];
    }
    if (from < a[i + 1]) out.push(from, a[i + 1]);
  }
  return out;
}

function intersects(a, b) {
  const left = subtract(a, b);
  return left.length !== a.length || left.some((at, i) => at !== a[i]);
}
