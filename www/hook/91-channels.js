// World: MAIN. Data channels: native objects whose state, sending and messages are those of the device's channels.

const DC = window.RTCDataChannel && RTCDataChannel.prototype;
const channels = new WeakMap();
const dcn = DC && {
  __proto__: null, binary: accessor(DC, 'binaryType').get, id: accessor(DC, 'id').get, state: accessor(DC, 'readyState').get,
  label: accessor(DC, 'label').get, close: bound(DC.close), encode: TextEncoder.prototype.encode.bind(new TextEncoder()), threshold: accessor(DC, 'bufferedAmountLowThreshold').get,
};

/** The page has made one. */
function channelMade(c, dc) {
  const d = openChannel(c, dc, nextId());
  const init = {};
  for (const name of ['ordered', 'maxPacketLifeTime', 'maxRetransmits', 'protocol', 'negotiated']) if (dc[name] !== null) init[name] = dc[name];
  if (init.negotiated) init.id = dcn.id(dc);
  tell(c, 'createDataChannel', list(d.id, dcn.label(dc), init));
}

/** What the native one, which never opens, would tell. */
const OWN_EVENTS = list('open', 'closing', 'close', 'error');

function openChannel(c, dc, id) {
  const d = { __proto__: null, c, dc, id, state: 'connecting', waiting: 0, low: false, buffered: 0, number: null, tail: null, came: false, over: false };
  native.set(channels, dc, d);
  for (const type of OWN_EVENTS) native.listen(dc, type, (event) => { if (event.isTrusted && c.phase !== 'session') native.stop(event); });
  calls.channels.set(id, d);
  return d;
}

/** The largest number of a channel (Chromium, sctp_utils). */
const MOST_NUMBER = 1023;
/** The other end has made one: a native object that stands for it, on the same connection, which already has channels. */
function channelCame(c, { channel, label, readyState, id, ...rest }) {
  const init = { negotiated: true, id: id === null || id === undefined ? 65534 : id, protocol: rest.protocol || '', ordered: rest.ordered !== false };
  for (const name of ['maxPacketLifeTime', 'maxRetransmits']) if (typeof rest[name] === 'number') init[name] = rest[name];
  // Ours may have the number of one that has closed.
  let dc = null;
  for (let other = MOST_NUMBER; !dc && other > MOST_NUMBER - 100; other--) {
    try { dc = pcn.channel(c.pc, label, init); } catch { init.id = other; }
  }
  if (!dc) return;
  const d = openChannel(c, dc, channel);
  [d.came, d.state, d.number] = list(true, readyState, id);
  native.dispatch(c.pc, new pcn.ChannelEvent('datachannel', { channel: dc }));
}

function channelClosed(d) {
  if (d.over) return;
  [d.over, d.state] = list(true, 'closed');
  calls.channels.delete(d.id);
  if (d.came) dcn.close(d.dc);
  native.dispatch(d.dc, new native.Event('close'));
}

const isLow = (d) => d.waiting + d.buffered <= dcn.threshold(d.dc);

/** Something has happened to the device's channel. */
function channelEvent(d, type, detail, data) {
  if (typeof detail.id === 'number') d.number = detail.id;
  if (typeof detail.bufferedAmount === 'number') d.buffered = detail.bufferedAmount;
  if (type === 'close') return channelClosed(d);
  if (d.over) return undefined;
  const closes = d.state === 'closing';
  if (closes && type === 'open') return undefined;
  if (typeof detail.readyState === 'string' && (!closes || detail.readyState !== 'open')) d.state = detail.readyState;
  // For the page there is more, which the device does not have yet.
  if (type === 'bufferedamountlow' && !isLow(d)) { d.low = true; return undefined; }
  let event = null;
  if (type === 'message') {
    const { buffer } = native.slice8(data, 0);
    const body = !detail.bytes ? `${detail.text}` : dcn.binary(d.dc) === 'blob' ? new Blob([buffer]) : buffer;
    event = new native.MessageEvent(type, { data: body });
  } else if (type === 'error') {
    const error = new RTCError({ errorDetail: detail.errorDetail || 'data-channel-failure' }, `${detail.message || ''}`);
    event = new RTCErrorEvent(type, { error });
  } else event = new native.Event(type);
  native.dispatch(d.dc, event);
  return undefined;
}

if (DC) {
  native.slice8 = bound(getPrototypeOf(Uint8Array.prototype).slice);
  const channelOf = (dc) => { const d = native.get(channels, dc); return d && d.c.phase !== 'session' ? d : null; };
  const read = (name, value) => patchAccessor(DC, name, (target, self) => {
    const d = channelOf(self);
    const own = d ? value(d) : undefined;
    return own === undefined ? apply(target, self, []) : own;
  });
  read('readyState', (d) => d.state);
  read('bufferedAmount', (d) => d.waiting + d.buffered);
  read('id', (d) => (d.number === null ? undefined : d.number));
  read('negotiated', (d) => (d.came ? false : undefined));
  patchAccessor(DC, 'bufferedAmountLowThreshold', null, (target, self, args) => {
    apply(target, self, args);
    const d = channelOf(self);
    if (d) d.c.phase === 'device' && quiet(ask('setThreshold', d.id, list(dcn.threshold(self))));
  });

  /** Sends what has been copied, after what was sent before. The worker takes no flood: so many in a time and so many bytes that are not yet
   * answered; the rest waits here. */
  const [SENDS, SENDS_MS, SENDS_BYTES] = list(200, 200, 4 << 20);
  /** What a channel takes in all (Chromium, DataChannelInterface::MaxSendQueueSize). */
  const MOST_BUFFERED = 16 << 20;
  let outgoing = list();
  let [first, sent, under, resting] = list(0, 0, 0, false);
  const sendNow = (d, size, text, bytes) => { outgoing.push(list(d, size, text, bytes)); if (!resting) sendMore(); };
  const sendMore = () => {
    for (; first < outgoing.length && sent < SENDS && under < SENDS_BYTES; sent++) {
      const [d, size, text, bytes] = outgoing[first];
      outgoing[first++] = null;
      if (size < 0) {
        if (d.c.phase === 'device') quiet(ask('closeChannel', d.id));
        continue;
      }
      under += size;
      const answered = (value) => {
        under -= size;
        d.waiting -= size;
        if (typeof value === 'number') d.buffered = value;
        if (d.low && isLow(d)) { d.low = false; native.dispatch(d.dc, new native.Event('bufferedamountlow')); }
        if (!resting) sendMore();
      };
      apply(then, ask('send', d.id, text === null ? list() : list(text), '', bytes), [({ value }) => answered(value), () => answered()]);
    }
    if (first === outgoing.length) [outgoing, first] = list(list(), 0);
    resting = sent > 0;
    if (resting) native.later(() => { sent = 0; resting = false; sendMore(); }, SENDS_MS);
  };
  const fits = (d, size) => {
    if (d.waiting + d.buffered + size <= MOST_BUFFERED) { d.waiting += size; return; }
    throw new native.DOMException('Failed to execute \'send\' on \'RTCDataChannel\': RTCDataChannel send queue is full', 'OperationError');
  };
  patchMethod(DC, 'send', (target, self, args) => {
    const d = channelOf(self);
    // The native one is never open: it throws what a channel throws that isn't.
    if (!d || d.state !== 'open' || args.length === 0) return apply(target, self, args);
    const [what] = args;
    if (what instanceof Blob) {
      const size = native.blobSize(what);
      fits(d, size);
      const before = d.tail;
      const run = async () => {
        if (before) await before;
        sendNow(d, size, null, new native.Uint8Array(await safe(native.blobBytes(what))));
      };
      d.tail = safe(run());
      return undefined;
    }
    const bytes = native.isView(what) ? native.slice8(new native.Uint8Array(native.viewBuffer(what), native.viewOffset(what), native.viewLength(what)), 0)
      : succeeds(() => native.bufferLength(what)) ? native.slice8(new native.Uint8Array(what), 0) : null;
    const text = bytes ? null : `${what}`;
    const size = bytes ? bytes.length : dcn.encode(text).length;
    fits(d, size);
    const go = () => sendNow(d, size, text, bytes || undefined);
    if (!d.tail) go();
    else d.tail = Promise((resolve) => { apply(then, d.tail, [() => { go(); resolve(); }, resolve]); });
    return undefined;
  });
  patchMethod(DC, 'close', (target, self, args) => {
    const d = channelOf(self);
    if (!d) return apply(target, self, args);
    if (d.state === 'closed' || d.state === 'closing') return undefined;
    d.state = 'closing';
    // After what has been sent.
    const go = () => sendNow(d, -1);
    if (!d.tail) go();
    else apply(then, d.tail, [go, go]);
    return undefined;
  });
}
