// World: MAIN. Outputs of the device that the page has chosen by their names: the session knows none of them. A call's tracks and what
// plays on the device sound there as they are; what sounds in the session (a ringtone, WebAudio) is brought to the device.

/** Element → the output that the page has chosen for it. */
let sinks = new WeakMap();
const sinkOf = (element) => native.get(sinks, element) || '';
/** Elements that say when they have something to sound. */
const sounding = new WeakSet();
/** Element that is silent here because the device sounds it → whether the page has it muted. */
const silenced = new WeakMap();
const isMuted = (element) => { const muted = native.get(silenced, element); return muted === undefined ? native.muted.get(element) : muted; };
const captureSound = ME.captureStream && bound(native.get(originals, ME.captureStream) || ME.captureStream);

/** Has the device: the page's name of an output → whether there is one. */
async function isOutput(sink) {
  const { value } = await ask('enumerate', 0);
  return toList(value).some(({ kind, deviceId }) => kind === 'audiooutput' && deviceId === sink);
}

/** Has an element sound where the page wants it to. */
function soundAt(element) {
  const [sink, m, stream, s] = list(sinkOf(element), native.get(elements, element), native.get(given, element), native.get(screens, element));
  if (m && m.mode === 'device') {
    if (s && s.isCapture) closeScreen(s);
    if (m.sink !== sink && calls.state === 'device') toWorker({ screen: { ms: m.id, tracks: list(), sink } });
    m.sink = sink;
  } else if (stream) {
    if (!refreshScreen(element, stream, false) && native.srcObject.get(element) !== stream) native.srcObject.set(element, stream);
  } else if (s || sink) bringSound(element, s);
}

/** What an element plays in the session is brought to the device. What may not be read stays where it is. */
function bringSound(element, s) {
  let stream = s && s.stream;
  const isLive = (track) => mdn.kind(track) === 'audio' && mdn.state(track) === 'live';
  if (sinkOf(element) && !(stream && toList(mdn.tracks(stream)).some(isLive))) {
    if (!succeeds(() => { stream = captureSound(element); })) return;
    for (const track of toList(mdn.tracks(stream))) if (mdn.kind(track) === 'video') mdn.stop(track);
  }
  refreshScreen(element, stream, false, true);
}

function silence(element) {
  if (native.get(silenced, element) !== undefined) return;
  native.set(silenced, element, native.muted.get(element));
  mute(element, true);
}

function loud(element) {
  const muted = native.get(silenced, element);
  if (muted === undefined) return;
  native.set(silenced, element, undefined);
  mute(element, muted);
}

function mute(element, muted) {
  if (native.muted.get(element) === muted) return;
  hushes.push(element);
  native.muted.set(element, muted);
}

/** Elements whose next `volumechange` is not of the page's making. */
const hushes = list();

if (ME.setSinkId && mdn && Generator && Processor) {
  const hush = (event) => {
    const at = event.isTrusted ? hushes.indexOf(native.target(event)) : -1;
    if (at < 0) return;
    hushes.splice(at, 1);
    native.stop(event);
  };
  patchMethod(ME, 'setSinkId', (target, self, args) => {
    if (calls.state !== 'device' || !isMedia(self) || args.length === 0) return apply(target, self, args);
    return promised(async () => {
      const sink = `${args[0]}`;
      if (sink !== '' && !await isOutput(sink)) throw new native.DOMException('Requested device not found', 'NotFoundError');
      native.set(sinks, self, sink);
      if (!native.has(sounding, self)) {
        native.add(sounding, self);
        native.listen(self, 'volumechange', hush, true);
        for (const type of ['loadedmetadata', 'playing', 'emptied']) native.listen(self, type, () => soundAt(self), true);
      }
      soundAt(self);
    });
  });
  patchAccessor(ME, 'sinkId', (target, self) => sinkOf(self) || apply(target, self, []));
  patchAccessor(ME, 'muted', (target, self) => {
    const muted = native.get(silenced, self);
    return muted === undefined ? apply(target, self, []) : muted;
  }, (target, self, args) => {
    const muted = native.get(silenced, self);
    if (muted === undefined) return apply(target, self, args);
    if (muted !== !!args[0]) {
      native.set(silenced, self, !muted);
      native.later(() => native.dispatch(self, new native.Event('volumechange')), 0);
    }
    return undefined;
  });
}

// ---- WebAudio -----------------------------------------------------------------------------------------------------------

const AC = window.AudioContext && AudioContext.prototype;
/** Context of the page's → {context, sink, heard, tap, ms, made}. `heard`: [weak reference to a node, its output] that goes to the destination. */
const contexts = new WeakMap();
let unroute = null;

if (AC && AC.setSinkId && mdn && Generator && Processor) {
  const { WeakRef } = window;
  const acn = {
    __proto__: null, connect: bound(AudioNode.prototype.connect), disconnect: bound(AudioNode.prototype.disconnect), of: accessor(AudioNode.prototype, 'context').get,
    isEnd: accessor(AudioDestinationNode.prototype, 'maxChannelCount').get, isLive: accessor(AC, 'baseLatency').get, setSink: bound(AC.setSinkId),
    state: accessor(BaseAudioContext.prototype, 'state').get, tap: bound(AC.createMediaStreamDestination),
    stream: accessor(MediaStreamAudioDestinationNode.prototype, 'stream').get, node: bound(WeakRef.prototype.deref),
  };
  /** The context that a node is the end of, if it is one that sounds. */
  const contextAt = (node) => {
    if (!succeeds(() => acn.isEnd(node))) return null;
    const context = acn.of(node);
    return succeeds(() => acn.isLive(context)) ? context : null;
  };
  const outputOf = (context) => {
    const known = native.get(contexts, context);
    if (known) return known;
    const o = { __proto__: null, context, sink: '', heard: list(), most: 16, tap: null, ms: 0, made: list() };
    native.set(contexts, context, o);
    return o;
  };
  const NONE = { type: 'none' };

  patchMethod(AudioNode.prototype, 'connect', (target, self, args) => {
    const result = apply(target, self, args);
    const context = contextAt(args[0]);
    if (context) {
      const [o, output] = list(outputOf(context), typeof args[1] === 'number' ? args[1] : 0);
      o.heard.push(list(new WeakRef(self), output));
      // Nodes that are gone need no place.
      if (o.heard.length > o.most) {
        o.heard = o.heard.filter(([node]) => acn.node(node));
        o.most = o.heard.length * 2 + 16;
      }
      if (o.tap) acn.connect(self, o.tap, output);
    }
    return result;
  });
  patchMethod(AudioNode.prototype, 'disconnect', (target, self, args) => {
    const result = apply(target, self, args);
    const at = typeof args[0] === 'object' ? contextAt(args[0]) : null;
    const o = native.get(contexts, at || acn.of(self));
    if (!o || (typeof args[0] === 'object' && !at)) return result;
    const [which, all] = list(args[at ? 1 : 0], args.length === (at ? 1 : 0));
    o.heard = o.heard.filter(([node, output]) => acn.node(node) !== self || (!all && output !== which));
    if (at && o.tap) succeeds(() => { if (all) acn.disconnect(self, o.tap); else acn.disconnect(self, o.tap, which); });
    return result;
  });

  /** Brings what a context sounds to an output of the device's. */
  const route = (o, sink) => {
    if (!o.tap) {
      o.tap = acn.tap(o.context);
      o.made = toList(mdn.tracks(acn.stream(o.tap)));
      for (const [ref, output] of o.heard) { const node = acn.node(ref); if (node) acn.connect(node, o.tap, output); }
    }
    if (!o.ms) o.ms = ++lastPlayer;
    o.sink = sink;
    calls.outputs.set(o.ms, o);
    toWorker({ screen: { ms: o.ms, tracks: list({ target: broughtTrack(null, o.made[0]), transceiver: '' }), sink } });
    toWorker({ playback: { ms: o.ms, paused: false, rate: 1, volume: 1, muted: false, preservesPitch: true, seekId: 0, position: 0 } });
  };
  const release = (o) => {
    if (!o.sink) return;
    calls.outputs.delete(o.ms);
    toWorker({ closeScreen: { ms: o.ms } });
    for (const [ref] of o.heard) { const node = acn.node(ref); if (node) succeeds(() => acn.disconnect(node, o.tap)); }
    [o.sink, o.tap, o.ms, o.made] = list('', null, 0, list());
    sweepBrought();
  };
  const isName = (sink) => sink !== '' && (typeof sink === 'string' || (typeof sink !== 'object' && sink !== undefined));
  const sinkContext = async (context, sink) => {
    const o = outputOf(context);
    if (!await isOutput(sink)) throw new native.DOMException('Failed to execute \'setSinkId\' on \'AudioContext\': AudioContext.setSinkId(): failed: the device ' + sink + ' is not found.', 'NotFoundError');
    if (o.sink === sink || calls.state !== 'device') return;
    const before = o.sink;
    route(o, sink);
    // The first change tells of itself.
    if (before) native.dispatch(context, new native.Event('sinkchange'));
    else await safe(acn.setSink(context, NONE));
  };
  patchMethod(AC, 'setSinkId', (target, self, args) => {
    if (calls.state !== 'device' || args.length === 0 || !succeeds(() => acn.isLive(self)) || acn.state(self) === 'closed') return apply(target, self, args);
    if (isName(args[0])) return promised(() => sinkContext(self, `${args[0]}`));
    const o = native.get(contexts, self);
    if (o) release(o);
    return apply(target, self, args);
  });
  patchAccessor(AC, 'sinkId', (target, self) => { const o = native.get(contexts, self); return (o && o.sink) || apply(target, self, []); });
  patchMethod(AC, 'close', (target, self, args) => { const o = native.get(contexts, self); if (o) release(o); return apply(target, self, args); });
  let wanted = '';
  patchConstructor('AudioContext', (context) => {
    const sink = wanted;
    wanted = '';
    if (sink) quiet(safe((async () => { try { await sinkContext(context, sink); } catch { native.dispatch(context, new native.Event('error')); } })()));
    return context;
  }, (args) => {
    const [options] = args;
    if (calls.state !== 'device' || options === null || typeof options !== 'object') return args;
    // No getter of the page's is called twice.
    const { sinkId } = options;
    if (isName(sinkId)) wanted = `${sinkId}`;
    args[0] = { __proto__: options, sinkId: wanted ? '' : sinkId };
    return args;
  });
  unroute = (o) => { [o.sink, o.ms] = list('', 0); quiet(safe(acn.setSink(o.context, ''))); };
}

/** The device is gone: everything sounds in the session. */
function loseOutputs() {
  sinks = new WeakMap();
  const outputs = calls.outputs.values();
  calls.outputs = table();
  for (const o of outputs) unroute(o);
}
