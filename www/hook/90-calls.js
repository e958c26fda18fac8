// World: MAIN. Calls: what the page does with RTCPeerConnection is done on the device, too. The page keeps its own native
// connection, which goes through every negotiation and never gathers or connects; the one on the wire is the device's. What of it a
// page can read is kept here as the device tells it.

const PC = window.RTCPeerConnection && RTCPeerConnection.prototype;
const { parse, stringify } = JSON;

/** The document's call. `state`: unknown (nothing was used yet), asking, device, session. */
const calls = {
  __proto__: null, state: 'unknown', refused: false, forgone: false, versions: null, announce: () => {}, last: 0, decided: null, decide: null, capabilities: null,
  waiting: table(), connections: table(), channels: table(), captured: table(), screens: table(), outputs: table(), taps: table(), brought: table(),
};
/** How long a page's call waits for a word of the worker. */
const CALL_MS = 5000;
const nextId = () => ++calls.last;

/** Asks for the device at the first use of anything. */
function callBegins() {
  if (calls.state !== 'unknown') return;
  calls.state = 'asking';
  calls.decided = Promise((resolve) => { calls.decide = resolve; });
  if (!link || deviceReady === false) return void callDecided('session');
  native.later(() => { if (calls.state === 'asking') callDecided('session'); }, CALL_MS);
  if (deviceReady) toWorker({ openCall: {} }); else askForPort();
}

function callDecided(state) {
  calls.state = state;
  if (state === 'device') learnCapabilities();
  calls.announce();
  calls.decide();
  for (const c of calls.connections.values()) if (c.phase === 'asking') settleConnection(c);
}

onReadyChange.push((ready) => {
  if (ready && calls.state === 'asking') toWorker({ openCall: {} });
  else if (calls.state === 'asking') callDecided('session');
  else if (ready && calls.state === 'session' && !calls.refused) calls.state = 'unknown';
  else if (!ready && calls.state === 'device') callLost();
});

/** `NOT_COVERED`: nothing changes that before the page is loaded again. */
const NOT_COVERED = 1501;

function callOpened({ code, versions }) {
  if (versions) calls.versions = versions;
  if (code === NOT_COVERED) calls.refused = true;
  if (calls.state === 'asking') callDecided(code === 0 ? 'device' : 'session');
  else if (calls.state === 'device' && code !== 0) callLost();
}

/** The device is gone: for the page that is a network that is gone. */
function callLost() {
  calls.state = deviceReady ? 'unknown' : 'session';
  calls.announce();
  const [waiting, connections] = list(calls.waiting.values(), calls.connections.values());
  [calls.waiting, calls.connections] = list(table(), table());
  for (const { reject } of waiting) reject(LOST);
  for (const c of connections) loseConnection(c);
  loseSamples();
  loseTracks();
  loseScreens();
  loseOutputs();
  loseCertificates();
}

const LOST = { __proto__: null };

/** Has the device do something; gives {value, state}. */
function ask(verb, target, args, transceiver, data) {
  const id = nextId();
  return Promise((resolve, reject) => {
    calls.waiting.set(id, { __proto__: null, resolve, reject });
    toWorker({ request: {
      id, verb, target, transceiver: transceiver || '', arguments: stringify(args || list()), data: data || new native.Uint8Array(0),
    } });
  });
}

function called({ id, exception, detail, result }) {
  const waiting = calls.waiting.get(id);
  if (!waiting) return;
  calls.waiting.delete(id);
  if (exception) waiting.reject(thrownBy(exception, detail));
  else waiting.resolve(result ? parse(result) : {});
}

function thrownBy(name, text) {
  if (name === 'TypeError') return new native.TypeError(text);
  if (name === 'RangeError') return new RangeError(text);
  // The constraint comes behind a slash.
  if (native.startsWith(name, 'OverconstrainedError')) return new OverconstrainedError(toList(native.split(name, '/'))[1] || '', text);
  return new native.DOMException(text, name);
}

/** A promise for the page of what an async function gives. */
const promised = (run) => new PagePromise((resolve, reject) => { apply(then, run(), [resolve, reject]); });
const quiet = (promise) => { apply(then, promise, [undefined, () => {}]); };

// ---- connections ---------------------------------------------------------------------------------------------------

/** Native connection → what is known of it. `phase`: asking, device, session, lost. */
const connections = new WeakMap();
/** Transceivers, senders, receivers, received tracks, DTLS and ICE transports, tone senders → {c, name, transceiver, told}. */
const parts = new WeakMap();

const pcn = PC && {
  __proto__: null, Connection: window.RTCPeerConnection, config: bound(PC.getConfiguration), configure: bound(PC.setConfiguration),
  setLocal: bound(PC.setLocalDescription), setRemote: bound(PC.setRemoteDescription), offer: bound(PC.createOffer), answer: bound(PC.createAnswer),
  transceivers: bound(PC.getTransceivers), stats: bound(PC.getStats), channel: bound(PC.createDataChannel),
  mid: accessor(RTCRtpTransceiver.prototype, 'mid').get, sender: accessor(RTCRtpTransceiver.prototype, 'sender').get,
  receiver: accessor(RTCRtpTransceiver.prototype, 'receiver').get, received: accessor(RTCRtpReceiver.prototype, 'track').get,
  dtmf: accessor(RTCRtpSender.prototype, 'dtmf').get, sctp: accessor(PC, 'sctp').get, signaling: accessor(PC, 'signalingState').get,
  Description: window.RTCSessionDescription, Candidate: window.RTCIceCandidate, IceEvent: window.RTCPeerConnectionIceEvent,
  IceError: window.RTCPeerConnectionIceErrorEvent, ChannelEvent: window.RTCDataChannelEvent, ToneEvent: window.RTCDTMFToneChangeEvent,
  replace: bound(String.prototype.replace),
};

/** So that it never gathers: relays only, and none are known. */
const OFF_WIRE = { iceServers: [], iceTransportPolicy: 'relay', iceCandidatePoolSize: 0 };
const HUSHED = list('icecandidate', 'icecandidateerror', 'icegatheringstatechange', 'iceconnectionstatechange', 'connectionstatechange');

/** The certificates of the connection that is being made. */
let madeWith = list();

function connectionMade(pc) {
  // What it does not tell of itself.
  const certificates = madeWith;
  madeWith = list();
  const config = pcn.config(pc);
  if (!link || !Generator || calls.forgone || !deviceHas(certificates) || config.encodedInsertableStreams) return pc;
  callBegins();
  if (calls.state === 'session') return pc;
  const c = {
    __proto__: null, pc, id: nextId(), config, certificates, phase: 'asking', journal: list(), tail: null, state: {}, slots: {}, last: {}, sctp: null,
    negotiated: false, negotiating: 0, held: list(), unbegun: list(), running: 0, met: list(), count: 0, described: 0, needed: false,
  };
  native.set(connections, pc, c);
  calls.connections.set(c.id, c);
  pcn.configure(pc, { ...config, ...OFF_WIRE });
  for (const type of HUSHED) native.listen(pc, type, (event) => { if (event.isTrusted && c.phase !== 'session') native.stop(event); });
  // The page's own connection is at rest while an operation is under way on the device; for the page it is not.
  native.listen(pc, 'negotiationneeded', (event) => { if (event.isTrusted && c.running > 0 && c.phase !== 'session') { native.stop(event); c.needed = true; } });
  if (calls.state === 'device') settleConnection(c);
  return pc;
}

/** The word has come: the device has a twin of it from now on, or the session has it alone. */
function settleConnection(c) {
  if (calls.state !== 'device') return leaveDevice(c);
  c.phase = 'device';
  const { journal } = c;
  c.journal = list();
  quiet(ask('connect', c.id, list({ ...c.config, certificates: namesOf(c.certificates) })));
  for (const { run } of journal) run();
  return undefined;
}

/** The connection is the session's alone, as long as nothing was negotiated. */
function leaveDevice(c) {
  if (c.phase === 'device') quiet(ask('close', c.id));
  c.phase = 'session';
  forgetCertificates(c.certificates);
  // What the page waits for besides has been done natively.
  for (const { drop } of c.journal) drop();
  c.journal = list();
  calls.connections.delete(c.id);
  if (pcn.signaling(c.pc) === 'closed') return;
  pcn.configure(c.pc, c.config);
  for (const one of toList([...pcn.transceivers(c.pc)])) { const track = senderTrack(pcn.sender(one)); if (track) tapTrack(track, true); }
}

/** The page puts something of its own between codec and wire (encryption from end to end), which the device does not have: nothing may be
 * sent without it. This document's calls are the session's from now on; one that is under way is lost. */
function forgo(c) {
  if (!calls.forgone) toWorker({ callStays: {} });
  calls.forgone = true;
  if (!c.negotiated) return leaveDevice(c);
  quiet(ask('close', c.id));
  calls.connections.delete(c.id);
  return loseConnection(c);
}

const DEVICE = (c) => c && (c.phase === 'asking' || c.phase === 'device');
const connectionOf = (pc) => { const c = native.get(connections, pc); return DEVICE(c) ? c : null; };
/** A `track` event comes before the negotiation is over, and its transceiver has to be known by then. */
const noteAll = () => { for (const c of calls.connections.values()) if (DEVICE(c)) noteParts(c); };
const partOf = (object) => {
  if (!native.get(parts, object)) noteAll();
  const e = native.get(parts, object);
  return e && DEVICE(e.c) ? e : null;
};

/** Runs something when the device has the connection, in the order of the page's calls; or `drop`, if it never has. */
function inTurn(c, run, drop) {
  if (c.phase === 'device') run(); else if (c.phase === 'asking') c.journal.push({ __proto__: null, run, drop }); else drop();
}

/** Sends a request about a connection. */
function send(c, verb, args, transceiver) {
  return Promise((resolve, reject) => {
    inTurn(c, () => { apply(then, ask(verb, c.id, args, transceiver), [resolve, reject]); }, () => resolve({}));
  });
}
/** The same where the page waits for nothing. */
const tell = (c, verb, args, transceiver) => { quiet(send(c, verb, args, transceiver)); };

/** Operations that the page's own connection has not begun yet: what the page does at once (a track more) comes after them there, as it does on the device. */
function beginAll(c) {
  const { unbegun } = c;
  c.unbegun = list();
  for (const begin of unbegun) begin();
}

const NEVER = Promise(() => {});

/** An operation of the connection's chain: on the device first, then here: `local` begins it, `finish` gives the page's value of both ends' results. */
function operate(c, verb, args, otherwise, local, finish) {
  const sent = send(c, verb, args);
  const before = c.tail;
  let own = null;
  const begin = () => { if (!own) { own = safe(local()); quiet(own); } };
  c.unbegun.push(begin);
  c.running++;
  // What the device tells meanwhile comes after what the page's own connection tells.
  const negotiates = verb === 'setLocalDescription' || verb === 'setRemoteDescription';
  if (negotiates) c.negotiating++;
  const run = async () => {
    if (before) await before;
    if (c.phase === 'asking') await calls.decided;
    if (c.phase === 'session') return own || otherwise();
    let answer;
    try {
      answer = await sent;
    } catch (error) {
      c.unbegun = c.unbegun.filter((other) => other !== begin);
      if (c.phase === 'closed') return NEVER;
      if (error === LOST || c.phase === 'session') return own || otherwise();
      throw error;
    }
    if (c.phase === 'closed') return NEVER;
    if (c.phase === 'session') return own || otherwise();
    // An event that waits for this may have brought what the answer need not repeat.
    for (const [, detail] of c.held) describe(c, detail.state);
    adopt(c, answer.state);
    begin();
    c.unbegun = c.unbegun.filter((other) => other !== begin);
    const value = finish(answer.value, await own);
    noteParts(c);
    return value;
  };
  const result = safe(run());
  const done = () => {
    if (!negotiates || --c.negotiating > 0) return;
    const { held } = c;
    c.held = list();
    for (const [type, detail] of held) connectionEvent(c, type, detail);
  };
  const rest = () => {
    if (!c.needed || c.running > 0) return;
    c.needed = false;
    // Otherwise it is looked at again when the negotiation ends.
    if (pcn.signaling(c.pc) === 'stable') native.dispatch(c.pc, new native.Event('negotiationneeded'));
  };
  c.tail = Promise((resolve) => { apply(then, result, [resolve, resolve]); });
  return new PagePromise((resolve, reject) => {
    const settled = (settle) => (value) => { c.running--; settle(value); native.later(() => { done(); rest(); }, 0); };
    apply(then, result, [settled(resolve), settled(reject)]);
  });
}

const described = ({ type, sdp }) => new pcn.Description({ type, sdp });
/** What the native connection is told: everything but where the other end is. */
const unaddressed = (sdp) => pcn.replace(sdp, /^a=(candidate:|end-of-candidates).*\r?\n/gm, '');

if (PC) {
  patchConstructor('RTCPeerConnection', connectionMade, (args) => {
    const [config] = args;
    madeWith = list();
    if (config === null || typeof config !== 'object') return args;
    // No getter of the page's is called twice, nor an iterator.
    const { certificates } = config;
    if (certificates !== null && typeof certificates === 'object') madeWith = toList([...certificates]);
    args[0] = { __proto__: config, certificates: madeWith.length ? [...madeWith] : certificates };
    return args;
  });
  if (window.webkitRTCPeerConnection) {
    defineProperty(window, 'webkitRTCPeerConnection', { ...getOwnPropertyDescriptor(window, 'webkitRTCPeerConnection'), value: window.RTCPeerConnection });
  }
  const patch = (name, act) => patchMethod(PC, name, (target, self, args) => {
    const c = connectionOf(self);
    if (c) return act(c, args, () => apply(target, self, args));
    // A connection of the session's sends what the device captures.
    if (native.get(trackInfo, args[0])) tapTrack(args[0], true);
    if (name === 'addStream' && mdn) succeeds(() => { for (const track of mdn.tracks(args[0])) tapTrack(track, true); });
    return apply(target, self, args);
  });

  patch('getConfiguration', (c, _, call) => {
    const { iceServers, iceTransportPolicy, iceCandidatePoolSize } = parse(stringify(c.config));
    return { ...call(), iceServers, iceTransportPolicy, iceCandidatePoolSize };
  });
  patch('setConfiguration', (c, _, call) => {
    call();
    c.config = pcn.config(c.pc);
    pcn.configure(c.pc, { ...c.config, ...OFF_WIRE });
    tell(c, 'setConfiguration', list(c.config));
  });
  patch('createOffer', (c, args, call) => {
    if (typeof args[0] === 'function') return legacy(c.pc, 'createOffer', args[0], args[1], args[2]);
    // What is wrong now is told at once.
    if (!c.running && !list('stable', 'have-local-offer').includes(pcn.signaling(c.pc))) return call();
    return operate(c, 'createOffer', list(args[0] || {}), call, () => pcn.offer(c.pc, args[0]), (made, own) => {
      c.last.offer = own;
      return { sdp: made.sdp, type: made.type };
    });
  });
  patch('createAnswer', (c, args, call) => {
    if (typeof args[0] === 'function') return legacy(c.pc, 'createAnswer', args[0], args[1], args[2]);
    if (!c.running && !list('have-remote-offer', 'have-local-pranswer').includes(pcn.signaling(c.pc))) return call();
    return operate(c, 'createAnswer', list(), call, () => pcn.answer(c.pc), (made, own) => {
      c.last.answer = own;
      return { sdp: made.sdp, type: made.type };
    });
  });
  patch('setLocalDescription', (c, args, call) => {
    if (typeof args[1] === 'function') return legacy(c.pc, 'setLocalDescription', args[1], args[2], args[0]);
    const given = args[0] && args[0].type ? { type: `${args[0].type}`, sdp: `${args[0].sdp || ''}` } : null;
    c.negotiated = true;
    return operate(c, 'setLocalDescription', list(given), call, () => {
      if (!given) return pcn.setLocal(c.pc);
      const own = given.type === 'offer' ? c.last.offer : c.last.answer;
      if (given.type === 'rollback' || !own) return pcn.setLocal(c.pc, given.type === 'rollback' ? given : undefined);
      return pcn.setLocal(c.pc, { type: given.type, sdp: own.sdp });
    }, () => undefined);
  });
  patch('setRemoteDescription', (c, args, call) => {
    if (typeof args[1] === 'function') return legacy(c.pc, 'setRemoteDescription', args[1], args[2], args[0]);
    if (!args[0] || !args[0].type) return call();
    const given = { type: `${args[0].type}`, sdp: `${args[0].sdp || ''}` };
    c.negotiated = true;
    return operate(c, 'setRemoteDescription', list(given), call,
      () => pcn.setRemote(c.pc, { type: given.type, sdp: unaddressed(given.sdp) }), () => undefined);
  });
  patch('addIceCandidate', (c, args, call) => {
    if (typeof args[1] === 'function') return legacy(c.pc, 'addIceCandidate', args[1], args[2], args[0]);
    const from = args[0];
    if (args.length === 0 || (typeof from !== 'object' && from !== undefined)) return call();
    const given = from ? {
      candidate: from.candidate, sdpMid: from.sdpMid, sdpMLineIndex: from.sdpMLineIndex, usernameFragment: from.usernameFragment,
    } : null;
    return operate(c, 'addIceCandidate', list(given), call, () => Promise((done) => { done(); }), () => undefined);
  });
  patch('restartIce', (c, _, call) => { beginAll(c); call(); tell(c, 'restartIce'); });
  patch('close', (c, _, call) => {
    call();
    tell(c, 'close');
    calls.connections.delete(c.id);
    for (const d of calls.channels.values()) if (d.c === c) { [d.over, d.state] = list(true, 'closed'); calls.channels.delete(d.id); }
    c.phase = 'closed';
    sweepBrought();
  });
  patch('createDataChannel', (c, _, call) => {
    beginAll(c);
    const channel = call();
    channelMade(c, channel);
    return channel;
  });
  patch('addTrack', (c, args, call) => {
    beginAll(c);
    const sender = call();
    const e = noteParts(c, sender);
    tell(c, 'addTrack', list(sendable(c, args[0]), streamNames(args.slice(1))), nameOf(e));
    return sender;
  });
  // The forms with streams, as pages used them before there were senders.
  const sent = (c) => toList([...pcn.transceivers(c.pc)]).map((one) => { const sender = pcn.sender(one); return list(sender, senderTrack(sender)); });
  patch('addStream', (c, args, call) => {
    beginAll(c);
    const before = sent(c).map(([, track]) => track);
    call();
    for (const [sender, track] of sent(c)) {
      if (!track || before.includes(track)) continue;
      const e = noteParts(c, sender);
      if (!e.name && !pcn.mid(e.transceiver)) e.name = `${nextId()}`;
      tell(c, 'addTrack', list(sendable(c, track), streamNames(list(args[0]))), nameOf(e));
    }
  });
  patch('removeStream', (c, _, call) => {
    beginAll(c);
    const before = sent(c);
    call();
    for (const [sender, track] of before) {
      const e = partOf(sender);
      if (e && track && !senderTrack(sender)) tell(c, 'removeTrack', list(), nameOf(e));
    }
    sweepBrought();
  });
  patch('removeTrack', (c, args, call) => {
    const e = partOf(args[0]);
    beginAll(c);
    call();
    if (e) tell(c, 'removeTrack', list(), nameOf(e));
    sweepBrought();
  });
  patch('addTransceiver', (c, args, call) => {
    beginAll(c);
    const transceiver = call();
    const e = noteParts(c, pcn.sender(transceiver));
    const first = typeof args[0] === 'object' ? sendable(c, args[0]) : `${args[0]}`;
    const { streams, ...init } = args[1] || {};
    tell(c, 'addTransceiver', list(first, init, streamNames(toList([...(streams || [])]))), nameOf(e));
    return transceiver;
  });
  patch('getStats', (c, args, call) => {
    if (typeof args[0] === 'function') return call();
    const e = args[0] ? partOfTrack(c, args[0]) : null;
    if (args[0] && !e) return call();
    return promised(() => statsOf(c, call, e && e[1], e && e[0]));
  });

  for (const name of ['iceGatheringState', 'iceConnectionState', 'connectionState']) {
    patchAccessor(PC, name, (target, self) => {
      const c = native.get(connections, self);
      const own = apply(target, self, []);
      return c && c.phase !== 'session' && own !== 'closed' && c.state[name] ? c.state[name] : c && c.phase !== 'session' && name === 'iceGatheringState' ? 'new' : own;
    });
  }
  patchAccessor(PC, 'canTrickleIceCandidates', (target, self) => {
    const c = connectionOf(self);
    return c && c.state.canTrickleIceCandidates !== undefined ? c.state.canTrickleIceCandidates : apply(target, self, []);
  });
  for (const side of ['Local', 'Remote']) {
    const [current, pending] = list(`current${side}Description`, `pending${side}Description`);
    for (const name of [current, pending, `${side === 'Local' ? 'local' : 'remote'}Description`]) {
      patchAccessor(PC, name, (target, self) => {
        const c = native.get(connections, self);
        if (!c || c.phase === 'session') return apply(target, self, []);
        return (name === current ? c.slots[current] : name === pending ? c.slots[pending] : c.slots[pending] || c.slots[current]) || null;
      });
    }
  }
}

/** The forms with two callbacks. */
function legacy(pc, name, resolve, reject, given) {
  const done = pc[name](given);
  return new PagePromise((settle) => {
    apply(then, done, [(value) => { settle(); resolve(value); }, (error) => { settle(); if (reject) reject(error); }]);
  });
}

/** The name of a transceiver for the device: the page's number, or the other end's mid. */
const nameOf = (e) => e.name || `mid:${pcn.mid(e.transceiver)}`;

/** Looks for transceivers that are new; the one of `sender` was made by the page. Gives that one. */
function noteParts(c, sender) {
  let found = null;
  const all = pcn.transceivers(c.pc);
  for (let i = 0; i < all.length; i++) {
    const transceiver = all[i];
    const own = pcn.sender(transceiver);
    let e = native.get(parts, transceiver);
    if (!e) {
      const receiver = pcn.receiver(transceiver);
      e = { __proto__: null, c, transceiver, name: own === sender ? `${nextId()}` : '', told: {}, track: pcn.received(receiver), sender: own, standIn: null };
      for (const part of [transceiver, own, receiver, e.track, pcn.dtmf(own)]) if (part) native.set(parts, part, e);
    }
    if (own === sender) found = e;
  }
  return found;
}

/** Which transceiver sends or receives a track, and which of the two. */
function partOfTrack(c, track) {
  const e = native.get(parts, track);
  if (e && e.c === c) return list(e, 'receiver');
  const all = pcn.transceivers(c.pc);
  for (let i = 0; i < all.length; i++) {
    if (senderTrack(pcn.sender(all[i])) === track) return list(native.get(parts, all[i]), 'sender');
  }
  return null;
}

/** Takes over the device's descriptions, if these are others and newer ones. */
function describe(c, { count, descriptions }) {
  if (!descriptions || c.described > count) return;
  c.described = count;
  for (const slot of toList(ownKeys(descriptions))) {
    const [now, was] = list(descriptions[slot], c.slots[slot]);
    if (!now) c.slots[slot] = null;
    else if (!was || was.sdp !== now.sdp || was.type !== now.type) c.slots[slot] = described(now);
  }
}

/** Takes over what the device's connection is like. */
function adopt(c, state) {
  if (!state) return;
  const { count, descriptions, transceivers, sctp, ...rest } = state;
  c.state = { __proto__: null, ...rest };
  const isOld = count < c.count;
  if (!isOld) c.count = count;
  describe(c, state);
  if (isOld) return; // an event that had to wait for an operation's answer
  c.sctp = sctp || null;
  c.told = toList(transceivers || []);
  for (const m of c.met) tellTransport(m);
}

/** The page holds a transport: it hears when that changes. `read` gives what the device has told of it. */
function meetTransport(c, object, types, read) {
  if (c.met.some((one) => one.object === object)) return;
  const about = read() || {};
  c.met.push({ __proto__: null, object, read, types, last: types.map(([name]) => about[name]) });
}

function tellTransport(m) {
  const about = m.read() || {};
  for (let i = 0; i < m.types.length; i++) {
    const [name, type] = list(...m.types[i]);
    if (about[name] === undefined || about[name] === m.last[i]) continue;
    m.last[i] = about[name];
    native.later(() => native.dispatch(m.object, new native.Event(type)), 0);
  }
}
const DTLS_TELLS = list(['state', 'statechange']);
const ICE_TELLS = list(['state', 'statechange'], ['gatheringState', 'gatheringstatechange']);

/** What the device has told of a transceiver last. */
function toldOf(e) {
  if (!e.c.told) return {};
  const name = nameOf(e);
  return e.c.told.find((one) => (one.name !== undefined ? one.name === name : `mid:${one.mid}` === name)) || {};
}

/** Something has happened to the device's connection. */
function connectionEvent(c, type, detail) {
  if (c.negotiating > 0) return void c.held.push(list(type, detail));
  const before = c.state;
  adopt(c, detail.state);
  noteParts(c);
  const fire = (object, event) => { if (object) native.dispatch(object, event); };
  if (type === 'icecandidate') {
    const candidate = detail.candidate ? new pcn.Candidate(detail.candidate) : null;
    fire(c.pc, new pcn.IceEvent(type, { candidate }));
  } else if (type === 'icecandidateerror') {
    fire(c.pc, new pcn.IceError(type, detail));
  } else if (type === 'datachannel') {
    channelCame(c, detail);
  } else if (type === 'mute' || type === 'unmute' || type === 'ended' || type === 'tonechange') {
    const all = toList([...pcn.transceivers(c.pc)]);
    const transceiver = all.find((one) => pcn.mid(one) === detail.mid);
    const e = transceiver && native.get(parts, transceiver);
    if (!e) return;
    if (type === 'tonechange') e.tones = null;
    if (type === 'tonechange') fire(pcn.dtmf(e.sender), new pcn.ToneEvent(type, { tone: detail.tone }));
    else if (type !== 'ended') fire(e.track, new native.Event(type));
  } else if (type !== 'transport' && (type !== 'connectionstatechange' || before.connectionState !== c.state.connectionState)) {
    fire(c.pc, new native.Event(type));
  }
}

function loseConnection(c) {
  c.phase = 'lost';
  const steps = list(['iceConnectionState', 'disconnected'], ['connectionState', 'disconnected'], ['iceConnectionState', 'failed'], ['connectionState', 'failed']);
  for (const d of calls.channels.values()) if (d.c === c) channelClosed(d);
  if (pcn.signaling(c.pc) === 'closed') return;
  for (const [name, value] of steps) {
    c.state = { __proto__: null, ...c.state, [name]: value };
    native.dispatch(c.pc, new native.Event(list(...name).join('').toLowerCase() + 'change'));
  }
}

// ---- senders, receivers, transceivers ---------------------------------------------------------------------------------

const [upper, test] = list(bound(String.prototype.toUpperCase), bound(RegExp.prototype.exec));
const matchesAll = (pattern, text) => test(pattern, text) !== null;
const senderTrack = PC ? accessor(RTCRtpSender.prototype, 'track').get : null;

/** The name of a track on the device: captured there, received there, or brought there from now on. */
function sendable(c, track) {
  const t = native.get(trackInfo, track);
  if (t) return t.id;
  const e = received(track);
  return e ? { target: e.c.id, transceiver: nameOf(e) } : broughtTrack(c, track);
}

function streamNames(streams) { return streams.map((stream) => streamId(stream)); }

if (PC) {
  const Sender = RTCRtpSender.prototype;
  const Receiver = RTCRtpReceiver.prototype;
  const Transceiver = RTCRtpTransceiver.prototype;
  const patch = (proto, name, act) => patchMethod(proto, name, (target, self, args) => {
    const e = partOf(self);
    if (e) return act(e, args, () => apply(target, self, args));
    if (native.get(trackInfo, args[0])) tapTrack(args[0], true);
    return apply(target, self, args);
  });
  for (const proto of [Sender, Receiver]) {
    patchAccessor(proto, 'transform', null, (target, self, args) => {
      const e = partOf(self);
      if (e && args[0]) forgo(e.c);
      return apply(target, self, args);
    });
  }
  patch(Sender, 'replaceTrack', (e, args, call) => {
    return promised(async () => {
      await safe(call());
      await send(e.c, 'replaceTrack', list(args[0] ? sendable(e.c, args[0]) : null), nameOf(e));
      sweepBrought();
    });
  });
  patchMethod(Sender, 'setParameters', (target, self, args) => {
    const e = partOf(self);
    if (!e) return apply(target, self, args);
    return promised(async () => {
      const { encodings, degradationPreference } = args[0] || {};
      // A key frame of the page's own connection would never come.
      await safe(apply(target, self, args.slice(0, 1)));
      await send(e.c, 'setParameters', list({ encodings, degradationPreference }, args[1] || {}), nameOf(e));
    });
  });
  patch(Sender, 'setStreams', (e, args, call) => { beginAll(e.c); call(); tell(e.c, 'setStreams', list(streamNames(args)), nameOf(e)); });
  patch(Sender, 'getStats', (e, _, call) => promised(() => statsOf(e.c, call, 'sender', e)));
  patch(Receiver, 'getStats', (e, _, call) => promised(() => statsOf(e.c, call, 'receiver', e)));
  patch(Transceiver, 'stop', (e, _, call) => { beginAll(e.c); call(); tell(e.c, 'stop', list(), nameOf(e)); sweepBrought(); });
  patchMethod(Transceiver, 'setCodecPreferences', (target, self, args) => {
    const e = partOf(self);
    if (!e) return apply(target, self, args);
    beginAll(e.c);
    apply(target, self, list(codecsHere(mdn.kind(e.track), args[0])));
    tell(e.c, 'setCodecPreferences', list(args[0]), nameOf(e));
    return undefined;
  });
  patchAccessor(Transceiver, 'direction', null, (target, self, args) => {
    const e = partOf(self);
    if (e) beginAll(e.c);
    apply(target, self, args);
    if (e) tell(e.c, 'setDirection', list(`${args[0]}`), nameOf(e));
  });

  const Tones = window.RTCDTMFSender && RTCDTMFSender.prototype;
  if (Tones) {
    for (const name of ['canInsertDTMF', 'toneBuffer']) {
      patchAccessor(Tones, name, (target, self) => {
        const e = partOf(self);
        const told = e ? (name === 'toneBuffer' && typeof e.tones === 'string' ? e.tones : toldOf(e)[name]) : undefined;
        return told === undefined ? apply(target, self, []) : told;
      });
    }
    patch(Tones, 'insertDTMF', (e, args, call) => {
      if (!toldOf(e).canInsertDTMF || args.length === 0) return call();
      const tones = upper(`${args[0]}`);
      if (!matchesAll(/^[0-9A-D#*,]*$/, tones)) throw new native.DOMException('Failed to execute \'insertDTMF\' on \'RTCDTMFSender\': Illegal characters in InsertDTMF tone argument', 'InvalidCharacterError');
      e.tones = tones;
      tell(e.c, 'insertDTMF', args, nameOf(e));
      return undefined;
    });
  }

  // Transports are met at their senders and receivers.
  const meet = (proto) => patchAccessor(proto, 'transport', (target, self) => {
    const [dtls, e] = list(apply(target, self, []), native.get(parts, self));
    if (dtls && e) {
      native.set(parts, dtls, e);
      meetTransport(e.c, dtls, DTLS_TELLS, () => toldOf(e).transport);
    }
    return dtls;
  });
  meet(Sender);
  meet(Receiver);
  const read = (Interface, name, from) => Interface && patchAccessor(Interface.prototype, name, (target, self) => {
    const e = partOf(self);
    const c = e ? null : connectionOf(self);
    const told = e ? from(toldOf(e).transport || {}) : c && c.sctp ? from(c.sctp.transport || {}) : undefined;
    return told === undefined || told === null ? apply(target, self, []) : told;
  });
  read(window.RTCDtlsTransport, 'state', (told) => told.state);
  patchAccessor(RTCDtlsTransport.prototype, 'iceTransport', (target, self) => {
    const [ice, e, c] = list(apply(target, self, []), native.get(parts, self), native.get(connections, self));
    if (e) {
      native.set(parts, ice, e);
      meetTransport(e.c, ice, ICE_TELLS, () => (toldOf(e).transport || {}).ice);
    } else if (c) {
      native.set(connections, ice, c);
      meetTransport(c, ice, ICE_TELLS, () => c.sctp && c.sctp.transport && c.sctp.transport.ice);
    }
    return ice;
  });
  if (window.RTCIceTransport) {
    patchMethod(RTCIceTransport.prototype, 'getSelectedCandidatePair', (target, self, args) => {
      const [e, c] = list(partOf(self), connectionOf(self));
      const of = e ? toldOf(e).transport : c && c.sctp && c.sctp.transport;
      const own = apply(target, self, args);
      if (!of || !of.ice || !of.ice.pair) return own;
      return { local: new pcn.Candidate(of.ice.pair.local), remote: new pcn.Candidate(of.ice.pair.remote) };
    });
  }
  for (const name of ['state', 'gatheringState', 'role']) read(window.RTCIceTransport, name, (told) => told.ice && told.ice[name]);
  patchAccessor(PC, 'sctp', (target, self) => {
    const [sctp, c] = list(apply(target, self, []), connectionOf(self));
    if (sctp && c) {
      native.set(connections, sctp, c);
      meetTransport(c, sctp, DTLS_TELLS, () => c.sctp);
    }
    return sctp;
  });
  patchAccessor(RTCSctpTransport.prototype, 'transport', (target, self) => {
    const [dtls, c] = list(apply(target, self, []), connectionOf(self));
    // A bundled one is a sender's as well.
    if (dtls && c && !native.get(parts, dtls)) {
      native.set(connections, dtls, c);
      meetTransport(c, dtls, DTLS_TELLS, () => c.sctp && c.sctp.transport);
    }
    return dtls;
  });
  for (const name of ['state', 'maxMessageSize', 'maxChannels']) {
    patchAccessor(RTCSctpTransport.prototype, name, (target, self) => {
      const c = connectionOf(self);
      const told = c && c.sctp ? c.sctp[name] : undefined;
      return told === undefined || told === null ? apply(target, self, []) : told;
    });
  }
}

// ---- statistics ---------------------------------------------------------------------------------------------------------

/** Native reports → the device's. */
const reports = new WeakMap();

async function statsOf(c, call, which, e) {
  const own = await safe(call());
  if (c.phase === 'asking') await calls.decided;
  if (c.phase !== 'device') return own;
  try {
    const { value } = await send(c, 'getStats', list(which), e ? nameOf(e) : '');
    if (!value) return own;
    const map = new Map();
    for (const one of toList(value)) apply(setIn, map, [one.id, one]);
    native.set(reports, own, map);
  } catch (error) { if (error !== LOST) throw error; }
  return own;
}

if (window.RTCStatsReport) {
  const Report = RTCStatsReport.prototype;
  for (const name of ['get', 'has', 'keys', 'values', 'entries']) {
    const own = Map.prototype[name];
    patchMethod(Report, name, (target, self, args) => {
      const map = native.get(reports, self);
      return map ? apply(own, map, args) : apply(target, self, args);
    });
  }
  defineProperty(Report, Symbol.iterator, { ...getOwnPropertyDescriptor(Report, Symbol.iterator), value: Report.entries });
  patchMethod(Report, 'forEach', (target, self, args) => {
    const map = native.get(reports, self);
    if (!map || typeof args[0] !== 'function') return apply(target, self, args);
    return apply(each, map, [(value, key) => { apply(args[0], args[1], [value, key, self]); }]);
  });
  const { get: size } = getOwnPropertyDescriptor(Map.prototype, 'size');
  patchAccessor(Report, 'size', (target, self) => {
    const map = native.get(reports, self);
    return map ? apply(size, map, []) : apply(target, self, []);
  });
}
