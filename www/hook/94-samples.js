// World: MAIN. Samples of calls. What the device has is brought to the page where the page reads it (WebAudio, MediaRecorder, canvas):
// into the tracks that stand in for it. What the page makes itself is brought to the device where it is sent. Encoded both ways.

const Processor = window.MediaStreamTrackProcessor;
const codecs = { __proto__: null };
for (const [kind, name] of [['audio', 'Audio'], ['video', 'Video']]) {
  const [Decoder, Encoder, Chunk, Samples] = list(window[`${name}Decoder`], window[`${name}Encoder`], window[`Encoded${name}Chunk`], kind === 'audio' ? window.AudioData : window.VideoFrame);
  if (!Decoder || !Encoder) continue;
  const of = (proto, names) => { const all = { __proto__: null }; for (const one of names) all[one] = bound(proto[one]); return all; };
  const read = (proto, names) => { const all = { __proto__: null }; for (const one of names) all[one] = accessor(proto, one).get; return all; };
  codecs[kind] = {
    __proto__: null, Decoder, Encoder, Chunk, decoder: { ...of(Decoder.prototype, ['configure', 'decode', 'close']), ...read(Decoder.prototype, ['state']) },
    encoder: { ...of(Encoder.prototype, ['configure', 'encode', 'close']), ...read(Encoder.prototype, ['state', 'encodeQueueSize']) },
    chunk: { ...of(Chunk.prototype, ['copyTo']), ...read(Chunk.prototype, ['byteLength', 'timestamp', 'type']) },
    size: read(Samples.prototype, kind === 'audio' ? ['sampleRate', 'numberOfChannels'] : ['displayWidth', 'displayHeight']), close: bound(Samples.prototype.close),
  };
}

// ---- from the device --------------------------------------------------------------------------------------------------

/** Clones of received tracks. */
const receivedClones = new WeakSet();
/** How long a picture is brought after it was read last, and when the device is told how much has come, in bytes. */
const LOOKED_MS = 5000;
/** How long a bitmap waits for a first picture, in ms. */
const PICTURE_MS = 2000;
const TELL_BYTES = 8000;

/** The transceiver of a track that the device receives. */
function received(track) {
  if (!PC) return null;
  const e = partOf(track);
  return e && (e.track === track || native.has(receivedClones, track)) ? e : null;
}

/** The track that has the samples of one that is received. */
function standInOf(e) {
  if (!e.standIn) {
    e.standIn = emptyTrack(mdn.kind(e.track));
    if (e.size) e.standIn.size(e.size.width, e.size.height);
  }
  return e.standIn;
}

/** Has a track's samples brought; gives the native track that has them. For a while only, if `stays` is false. */
function tapTrack(track, stays, screen) {
  const t = native.get(trackInfo, track);
  const e = t ? null : received(track);
  if (!t && !e) return track;
  const into = t || standInOf(e);
  const of = t || e;
  if (!of.tap && calls.state === 'device') {
    const tap = { __proto__: null, id: nextId(), kind: mdn.kind(track), into, decoder: null, got: 0, told: 0, stays: false, timer: 0, seen: list(), filled: false, of };
    of.tap = tap;
    calls.taps.set(tap.id, tap);
    apply(then, ask('tap', t ? t.id : e.c.id, list(tap.id), t ? '' : nameOf(e)), [() => {}, () => endTap(tap)]);
  }
  const { tap } = of;
  if (!tap) return into.track;
  if (screen && !tap.filled && !tap.seen.includes(screen)) tap.seen.push(screen);
  native.forget(tap.timer);
  tap.stays = tap.stays || stays;
  if (!tap.stays) tap.timer = native.later(() => { endTap(tap); if (calls.state === 'device') quiet(ask('untap', tap.id)); }, LOOKED_MS);
  return into.track;
}

/** Who waits for the first picture need not any more. */
function settleTap(tap) {
  for (const s of tap.seen) { for (const go of s.settled) go(); s.settled = list(); }
  tap.seen = list();
}

function endTap(tap) {
  settleTap(tap);
  if (tap.of.tap === tap) tap.of.tap = null;
  calls.taps.delete(tap.id);
  native.forget(tap.timer);
  if (tap.decoder && codecs[tap.kind].decoder.state(tap.decoder) !== 'closed') codecs[tap.kind].decoder.close(tap.decoder);
}

function tapped(tap, { key, timestamp, config }, data) {
  const { Decoder, Chunk, decoder } = codecs[tap.kind];
  let again = false;
  if (config) {
    if (tap.decoder && decoder.state(tap.decoder) !== 'closed') decoder.close(tap.decoder);
    tap.decoder = new Decoder({ output: (samples) => {
      quiet(tap.into.write(samples));
      tap.filled = true;
      settleTap(tap);
    }, error: () => {} });
    decoder.configure(tap.decoder, config);
  }
  if (!tap.decoder || decoder.state(tap.decoder) !== 'configured') again = true;
  else decoder.decode(tap.decoder, new Chunk({ type: key ? 'key' : 'delta', timestamp, data }));
  tap.got += data.length;
  if (again || tap.got - tap.told > TELL_BYTES || tap.kind === 'video') {
    tap.told = tap.got;
    quiet(ask('tapped', tap.id, list(tap.got, again)));
  }
}

/** Stream with tracks that have samples → the page's own that it stands for. */
const shadows = new WeakMap();
function readable(stream, kind) {
  if (calls.state !== 'device' || !succeeds(() => mdn.streamId(stream))) return stream;
  const all = toList(mdn.tracks(stream));
  const own = all.map((track) => (kind && mdn.kind(track) !== kind ? track : tapTrack(track, true)));
  if (own.every((track, i) => track === all[i])) return stream;
  const shadow = new mdn.Stream(own);
  native.set(shadows, shadow, stream);
  return shadow;
}
const shadowed = (proto, name) => patchAccessor(proto, name, (target, self) => { const own = apply(target, self, []); return native.get(shadows, own) || own; });
/** `{[name]: readable}` in place of a dictionary of the page's. No getter of the page's is called twice. */
const withReadable = (args, at, name, make) => {
  const given = args[at];
  if (given === null || typeof given !== 'object') return args;
  const value = given[name];
  args[at] = { __proto__: given, [name]: value && typeof value === 'object' ? make(value) : value };
  return args;
};

if (MST && Generator && Processor && codecs.audio && codecs.video) {
  patchMethod(AudioContext.prototype, 'createMediaStreamSource', (target, self, args) => apply(target, self, args.length ? list(readable(args[0], 'audio')) : args));
  patchConstructor('MediaStreamAudioSourceNode', (node) => node, (args) => withReadable(args, 1, 'mediaStream', (stream) => readable(stream, 'audio')));
  shadowed(MediaStreamAudioSourceNode.prototype, 'mediaStream');
  if (window.MediaRecorder) {
    patchConstructor('MediaRecorder', (recorder) => recorder, (args) => { if (args.length) args[0] = readable(args[0]); return args; });
    shadowed(MediaRecorder.prototype, 'stream');
  }
  const single = (track) => (native.get(trackInfo, track) || received(track) ? tapTrack(track, true) : track);
  patchConstructor('MediaStreamTrackProcessor', (processor) => processor, (args) => withReadable(args, 0, 'track', single));
  patchConstructor('ImageCapture', (capture) => capture, (args) => {
    if (!args.length) return args;
    const own = single(args[0]);
    if (own !== args[0]) native.set(shadows, own, args[0]);
    args[0] = own;
    return args;
  });
  if (window.ImageCapture) shadowed(ImageCapture.prototype, 'track');
}

/** The page reads an element that shows a call. Gives its screen while there is nothing to read but the stand-in. */
function readsScreen(s, reader) {
  if (reader === 'sound' || reader === 'stream') {
    s.reader = reader;
    refreshScreen(s.element, s.stream, true);
    return null;
  }
  let waits = false;
  for (const track of toList(native.pictures(s.stream))) {
    const of = native.get(trackInfo, track) || received(track);
    if (!of) continue;
    tapTrack(track, reader === 'window', s);
    const { tap } = of;
    if (!tap || tap.filled) continue;
    waits = true;
    native.later(() => settleTap(tap), PICTURE_MS);
  }
  return waits ? s : null;
}

// ---- to the device ----------------------------------------------------------------------------------------------------

/** Native track of the page's own making → {id, track, kind}, while the device has it. */
const brought = new WeakMap();
/** What may be on its way, in bytes, and wait for the encoder, before samples are left out. */
const [MOST_BYTES, MOST_WAITING] = list(128 * 1024, 8);

/** The name of a track for the device, from the moment that a connection sends it (`c`), or an output of the device's is to sound it. */
function broughtTrack(c, track) {
  const known = native.get(brought, track);
  if (known) return known.id;
  const b = { __proto__: null, id: nextId(), track, kind: mdn.kind(track), bytes: 0, again: true, encoder: null, size: '', over: false, reader: null };
  native.set(brought, track, b);
  calls.brought.set(b.id, b);
  const begin = () => {
    quiet(ask('bring', 0, list(b.id, b.kind, mdn.id(track))));
    if (native.trackState(track) === 'ended') return;
    b.reader = native.reader(readableOf(new Processor({ track })));
    quiet(safe(bring(b)));
  };
  if (c) inTurn(c, begin, () => endBrought(b)); else begin();
  return b.id;
}
const readableOf = Processor ? accessor(Processor.prototype, 'readable').get : null;

function endBrought(b) {
  if (b.over) return;
  b.over = true;
  native.set(brought, b.track, undefined);
  calls.brought.delete(b.id);
  if (b.reader) quiet(safe(native.cancel(b.reader)));
  if (b.encoder && codecs[b.kind].encoder.state(b.encoder) !== 'closed') codecs[b.kind].encoder.close(b.encoder);
  if (calls.state === 'device') quiet(ask('stopTrack', b.id));
}

/** Those that nobody sends or sounds any more need not be brought. */
function sweepBrought() {
  const sent = list();
  for (const { made } of [...calls.screens.values(), ...calls.outputs.values()]) for (const track of made) sent.push(track);
  for (const c of calls.connections.values()) if (DEVICE(c)) for (const one of toList([...pcn.transceivers(c.pc)])) sent.push(senderTrack(pcn.sender(one)));
  for (const b of calls.brought.values()) if (!sent.includes(b.track)) endBrought(b);
}

async function bring(b) {
  const { encoder, size, close } = codecs[b.kind];
  for (;;) {
    const { done, value: samples } = await safe(native.read(b.reader));
    if (done || b.over) { if (samples) close(samples); break; }
    if (b.bytes < MOST_BYTES && (!b.encoder || encoder.encodeQueueSize(b.encoder) < MOST_WAITING)) {
      const [first, second] = b.kind === 'audio' ? list(size.sampleRate(samples), size.numberOfChannels(samples)) : list(size.displayWidth(samples), size.displayHeight(samples));
      const found = `${first}x${second}`;
      if (b.again || found !== b.size || encoder.state(b.encoder) !== 'configured') {
        [b.again, b.size] = list(false, found);
        encodeAnew(b, first, second);
      }
      encoder.encode(b.encoder, samples);
    }
    close(samples);
  }
  endBrought(b);
}

function encodeAnew(b, first, second) {
  const { Encoder, encoder, chunk: of } = codecs[b.kind];
  if (b.encoder && encoder.state(b.encoder) !== 'closed') encoder.close(b.encoder);
  const [decoding, encoding] = b.kind === 'audio'
    ? list({ codec: 'opus', sampleRate: first, numberOfChannels: second }, { codec: 'opus', sampleRate: first, numberOfChannels: second, bitrate: 48000 })
    : list({ codec: 'vp8', codedWidth: first, codedHeight: second },
      { codec: 'vp8', width: first, height: second, latencyMode: 'realtime', bitrate: limitedBits(first * second * 2) });
  let config = decoding;
  b.encoder = new Encoder({ output: (chunk) => {
    const data = new native.Uint8Array(of.byteLength(chunk));
    of.copyTo(chunk, data);
    const about = { key: of.type(chunk) === 'key', timestamp: of.timestamp(chunk), config };
    config = undefined;
    b.bytes += data.length;
    apply(then, ask('media', b.id, list(about), '', data), [
      ({ value }) => { b.bytes -= data.length; if (value && value.refresh) b.again = true; },
      () => { b.bytes -= data.length; b.again = true; },
    ]);
  }, error: () => { b.again = true; } });
  encoder.configure(b.encoder, encoding);
}
const limitedBits = (bits) => (bits < 200000 ? 200000 : bits > 3000000 ? 3000000 : bits);

function loseSamples() {
  for (const tap of calls.taps.values()) endTap(tap);
  for (const b of calls.brought.values()) endBrought(b);
}

// ---- who heard last ---------------------------------------------------------------------------------------------------

/** How often the device is asked while the page asks, in ms. */
const SOURCES_MS = 200;
if (window.RTCRtpReceiver) {
  for (const name of ['getSynchronizationSources', 'getContributingSources']) {
    patchMethod(RTCRtpReceiver.prototype, name, (target, self, args) => {
      const own = apply(target, self, args);
      const e = partOf(self);
      if (!e || e.c.phase !== 'device') return own;
      const asked = e[name] || (e[name] = { __proto__: null, at: -SOURCES_MS, found: list() });
      const now = native.now(thisPerformance);
      if (now - asked.at >= SOURCES_MS) {
        asked.at = now;
        apply(then, ask('getSources', e.c.id, list(name), nameOf(e)), [({ value }) => { asked.found = value ? toList(value) : list(); }, () => {}]);
      }
      return [...asked.found.map((one) => ({ ...one }))];
    });
  }
}
