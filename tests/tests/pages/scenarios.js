// World: a test's web page.
// What players do with MSE, one scenario each. `run` answers what the page could see.

const scenarios = {
  /** The shortest that has something of everything. */
  async short(r) {
    await r.open();
    await r.fill(0, 3);
    await r.ready();
    await r.seek(1.5);
    await r.ready();
    const playing = once(r.video, 'playing');
    await r.play();
    await playing;
    const paused = once(r.video, 'pause');
    r.video.pause();
    await paused;
  },

  /** Start, seeks, rate, pause, the end. The page never sets a duration. */
  async playback(r) {
    await r.open();
    await r.fill(0, 3);
    await r.ready();
    await r.seek(1.5);
    await r.ready();
    const playing = once(r.video, 'playing');
    await r.play();
    await playing;
    await once(r.video, 'timeupdate', () => r.video.currentTime > 1.7);
    const changed = once(r.video, 'ratechange');
    r.video.playbackRate = 2;
    r.note('rate at once', r.video.playbackRate);
    await changed;
    const slow = once(r.video, 'ratechange');
    r.video.playbackRate = 1;
    await slow;
    const paused = once(r.video, 'pause');
    r.video.pause();
    await paused;
    await r.fill(3, 5, false);
    const end = once(r.source, 'sourceended');
    r.source.endOfStream();
    r.note('ended at once', r.sourceState());
    await end;
    await r.seek(4.5);
    await r.ready();
    const over = once(r.video, 'ended');
    r.play();
    await over;
  },

  /** What the element offers beside: its rates, loop, volume, preload, autoplay and a track of captions. */
  async element(r) {
    const { video } = r;
    video.defaultPlaybackRate = 1.25;
    video.preload = 'none';
    video.autoplay = true;
    video.loop = true;
    const track = video.addTextTrack('captions', 'a', 'en');
    track.mode = 'showing';
    track.addCue(new VTTCue(0.4, 0.8, 'one'));
    track.addCue(new VTTCue(0.9, 1.2, 'two'));
    const cues = [];
    track.addEventListener('cuechange', () => cues.push([...track.activeCues].map((cue) => cue.text).join()));
    r.moves = true;
    await r.open();
    await r.fill(0, 2);
    await moment(video, () => video.currentTime > 0.1);
    r.source.endOfStream();
    await moment(video, () => video.currentTime > 1.3);
    r.note('began by itself', [video.paused, video.playbackRate, video.defaultPlaybackRate, video.preload, cues.filter(Boolean)]);
    video.defaultPlaybackRate = 1;
    const done = once(video, 'seeked');
    video.currentTime = video.duration - 0.5;
    await done;
    const again = once(video, 'seeked');
    await again;
    r.note('looped', [video.ended, video.paused, video.currentTime < 1]);
    video.loop = false;
    video.volume = 0.5;
    video.volume = 0.5;
    video.muted = false;
    video.defaultMuted = true;
    video.preservesPitch = false;
    r.note('values', [video.volume, video.muted, video.defaultMuted, video.preservesPitch, attempt(() => { video.volume = 2; }),
      attempt(() => { video.playbackRate = 100; }), attempt(() => { video.currentTime = NaN; }), typeof video.fastSeek]);
    const paused = once(video, 'pause');
    video.pause();
    await paused;
    r.moves = false;
    await r.seek(0.5);
    await r.ready();
    r.note('seekable', [ranges(video.seekable), video.played.length > 0, track.activeCues.length]);
  },

  /** A seek to where nothing is buffered waits; data ends it. */
  async seekOutside(r) {
    await r.open();
    r.source.duration = 30;
    r.note('duration at once', [number(r.source.duration), number(r.video.duration)]);
    await r.fill(0, 2);
    await r.ready();
    const done = once(r.video, 'seeked');
    r.through = once(r.video, 'canplaythrough');
    r.video.currentTime = 10.2;
    r.note('outside', [r.video.seeking, number(r.video.currentTime)]);
    await once(r.video, 'seeking');
    await r.fill(9, 12, false);
    await done;
    await r.ready();
    await r.seek(0.5);
    await r.ready();
  },

  /** Playback runs into the end of what is buffered and goes on when there is more. */
  async underrun(r) {
    await r.open();
    r.source.duration = 30;
    await r.fill(0, 2);
    await r.ready();
    const waiting = once(r.video, 'waiting', () => r.video.currentTime > 1.5);
    await r.play();
    await waiting;
    const playing = once(r.video, 'playing');
    await r.fill(2, 6, false);
    await playing;
    const paused = once(r.video, 'pause');
    r.video.pause();
    await paused;
  },

  /** remove(), offsets, windows, modes, changeType. */
  async edit(r) {
    await r.open();
    await r.fill(0, 4);
    await r.ready();
    for (const i of r.buffers.keys()) await r.remove(i, 1.2, 2.1);
    for (const i of r.buffers.keys()) await r.remove(i, 3, Infinity);
    for (const i of r.buffers.keys()) {
      const sb = r.buffers[i];
      sb.timestampOffset = 10;
      await r.append(i, await r.segment(i, 1));
      sb.timestampOffset = 0;
      sb.appendWindowStart = 20.25;
      sb.appendWindowEnd = 20.75;
      await r.append(i, await r.segment(i, 20));
      sb.abort();
      r.note('aborted', r.bufferState(sb));
      sb.appendWindowStart = 0;
      sb.appendWindowEnd = Infinity;
      sb.changeType(r.files[i].mime);
      await r.append(i, await r.init(i));
      await r.append(i, await r.segment(i, 25));
      await r.remove(i, 0, Infinity);
      await r.append(i, await r.segment(i, 2));
    }
  },

  /** `sequence` mode, with and without an offset of the page's. */
  async sequence(r) {
    await r.open();
    for (const i of r.buffers.keys()) {
      const sb = r.buffers[i];
      await r.append(i, await r.init(i));
      sb.mode = 'sequence';
      await r.append(i, await r.segment(i, 5));
      await r.append(i, await r.segment(i, 9));
      sb.timestampOffset = 8;
      r.note('offset at once', sb.timestampOffset);
      await r.append(i, await r.segment(i, 3));
      sb.mode = 'segments';
      sb.timestampOffset = 0;
      await r.append(i, await r.segment(i, 12));
    }
    await r.ready();
  },

  /** abort() while an append is under way, and when none is. */
  async abort(r) {
    await r.open();
    await r.fill(0, 1);
    await r.ready();
    for (const i of r.buffers.keys()) {
      const sb = r.buffers[i];
      const data = await r.segment(i, 1);
      const end = once(sb, 'updateend');
      sb.appendBuffer(data);
      sb.abort();
      r.note('aborted', sb.updating);
      await end;
      sb.abort();
      await r.append(i, await r.init(i));
      await r.append(i, await r.segment(i, 2));
      sb.remove(0, 1);
      r.note('abort of a removal', attempt(() => sb.abort()));
      await once(sb, 'updateend');
      // Half a segment, the parser's reset, then a whole one.
      await r.append(i, (await r.segment(i, 4)).slice(0, 3000));
      sb.abort();
      await r.append(i, await r.segment(i, 5));
    }
  },

  /** Every error, by name and message. */
  async exceptions(r) {
    await r.open();
    const tried = (what, f) => r.note(what, attempt(() => { f(); return 'no exception'; }));
    const sb = r.buffers[0];
    const { source } = r;
    await r.append(0, await r.init(0));
    r.note('duration', number(source.duration));
    const data = await r.segment(0, 0);
    tried('append nothing', () => sb.appendBuffer());
    tried('append null', () => sb.appendBuffer(null));
    tried('append a string', () => sb.appendBuffer('x'));
    tried('append shared', () => sb.appendBuffer({ byteLength: 3 }));
    tried('append resizable', () => sb.appendBuffer(new ArrayBuffer(8, { maxByteLength: 16 })));
    tried('remove backwards', () => sb.remove(3, 2));
    tried('remove below zero', () => sb.remove(-1, 2));
    tried('remove without arguments', () => sb.remove());
    tried('remove with one', () => sb.remove(1));
    tried('remove NaN', () => sb.remove(NaN, 2));
    tried('remove till NaN', () => sb.remove(0, NaN));
    tried('remove Infinity', () => sb.remove(Infinity, Infinity));
    tried('remove a symbol', () => sb.remove(Symbol('x'), 2));
    tried('remove a big integer', () => sb.remove(1n, 2));
    tried('window', () => { sb.appendWindowStart = -1; });
    tried('window end', () => { sb.appendWindowEnd = 0; });
    tried('window NaN', () => { sb.appendWindowEnd = NaN; });
    tried('offset', () => { sb.timestampOffset = Infinity; });
    tried('mode', () => { sb.mode = 'other'; });
    r.note('mode', sb.mode);
    tried('changeType', () => sb.changeType('video/none'));
    tried('changeType to nothing', () => sb.changeType(''));
    tried('changeType without', () => sb.changeType());
    tried('duration', () => { source.duration = -1; });
    tried('duration NaN', () => { source.duration = NaN; });
    tried('end', () => source.endOfStream('other'));
    tried('add', () => source.addSourceBuffer('video/none'));
    tried('add nothing', () => source.addSourceBuffer(''));
    tried('add without', () => source.addSourceBuffer());
    tried('remove a stranger', () => source.removeSourceBuffer(new MediaSource()));
    tried('remove null', () => source.removeSourceBuffer(null));
    tried('rate', () => { r.video.playbackRate = 100; });
    tried('rate NaN', () => { r.video.playbackRate = NaN; });
    tried('rate below zero', () => { r.video.playbackRate = -1; });
    r.note('rate', r.video.playbackRate);
    const end = once(sb, 'updateend');
    sb.appendBuffer(data);
    tried('append while updating', () => sb.appendBuffer(data));
    tried('append nothing while updating', () => sb.appendBuffer());
    tried('remove while updating', () => sb.remove(0, 1));
    tried('remove badly while updating', () => sb.remove(-1, 1));
    tried('changeType while updating', () => sb.changeType(r.files[0].mime));
    tried('changeType badly while updating', () => sb.changeType('video/none'));
    tried('offset while updating', () => { sb.timestampOffset = 1; });
    tried('mode while updating', () => { sb.mode = 'sequence'; });
    tried('window while updating', () => { sb.appendWindowStart = 1; });
    tried('window end while updating', () => { sb.appendWindowEnd = 1; });
    tried('duration while updating', () => { source.duration = 5; });
    tried('bad duration while updating', () => { source.duration = -5; });
    tried('end while updating', () => source.endOfStream());
    tried('no mode while updating', () => { sb.mode = 'other'; });
    tried('NaN offset while updating', () => { sb.timestampOffset = NaN; });
    tried('NaN window while updating', () => { sb.appendWindowEnd = NaN; });
    await end;
    if (r.buffers.length === 1) await r.ready();
    tried('duration below what is buffered', () => { source.duration = 0.1; });
    const detached = await r.segment(0, 1);
    structuredClone(detached, { transfer: [detached] });
    const events = once(sb, 'updateend');
    const answer = attempt(() => { sb.appendBuffer(detached); return 'no exception'; });
    r.note('detached', answer);
    if (answer === 'no exception') await events;
    source.removeSourceBuffer(sb);
    tried('append after removal', () => sb.appendBuffer(data));
    tried('remove after removal', () => sb.remove(0, 1));
    tried('abort after removal', () => sb.abort());
    tried('changeType after removal', () => sb.changeType(r.files[0].mime));
    tried('buffered after removal', () => sb.buffered);
    tried('offset after removal', () => { sb.timestampOffset = 1; });
    tried('offset read after removal', () => r.note('offset', sb.timestampOffset));
    tried('mode after removal', () => { sb.mode = 'sequence'; });
    tried('window after removal', () => { sb.appendWindowStart = 1; });
    tried('remove it again', () => source.removeSourceBuffer(sb));
    r.note('updating', sb.updating);
  },

  /** A SourceBuffer is taken out while it appends; a second MediaSource takes the element over. */
  async second(r) {
    await r.open('first');
    await r.fill(0, 2);
    await r.ready();
    const [sb] = r.buffers;
    const data = await r.segment(0, 2);
    const gone = once(sb, 'updateend');
    sb.appendBuffer(data);
    r.source.removeSourceBuffer(sb);
    r.note('removed while it appends', sb.updating);
    await gone;
    const first = r.source;
    const closed = once(first, 'sourceclose');
    await r.open('second');
    await closed;
    r.note('first', [first.readyState, first.sourceBuffers.length, number(first.duration)]);
    r.source.duration = 12.5;
    await r.fill(0, 3);
    await r.ready();
    await r.seek(1.25);
  },

  /** A duration that the page sets, shortens and lets grow. */
  async duration(r) {
    await r.open();
    r.note('none', number(r.source.duration));
    r.source.duration = 20;
    await r.fill(0, 3);
    await r.ready();
    const shorter = once(r.video, 'durationchange');
    r.source.duration = 10;
    r.note('shorter', [number(r.source.duration), number(r.video.duration)]);
    await shorter;
    const grown = once(r.video, 'durationchange');
    await r.fill(10, 12, false);
    await grown;
    r.note('grown', [number(r.source.duration), number(r.video.duration)]);
    r.source.endOfStream();
    r.note('ended', [number(r.source.duration), number(r.video.duration), r.source.readyState]);
    const open = once(r.source, 'sourceopen');
    await r.fill(3, 4, false);
    await open;
    r.note('open again', [number(r.source.duration), r.source.readyState]);
    const endless = once(r.video, 'durationchange');
    r.source.duration = Infinity;
    await endless;
  },

  /** All that the page removes, it may cut off, wherever samples begin; in what it has left, it may not. */
  async cut(r) {
    await r.open();
    await r.fill(0, 3);
    await r.ready();
    for (let to = 2.4; to > 1.95; to -= 0.0173) {
      for (let i = 0; i < r.buffers.length; i++) await r.remove(i, to, Infinity);
      r.note(`cut at ${to.toFixed(4)}`, attempt(() => { r.source.duration = to; return number(r.source.duration); }));
    }
    r.note('too short', attempt(() => { r.source.duration = 1; }));
  },

  /** Half of a media segment: what can't be written then, and what ends it. */
  async parsing(r) {
    await r.open();
    await r.fill(0, 1);
    await r.ready();
    const sb = r.buffers[0];
    const bytes = await r.segment(0, 1);
    const half = bytes.byteLength >> 1;
    const tried = (what) => r.note(what, [attempt(() => { sb.mode = 'segments'; return sb.mode; }),
      attempt(() => { sb.timestampOffset = 0; return sb.timestampOffset; }), attempt(() => { sb.appendWindowEnd = 90; return sb.appendWindowEnd; })]);
    await r.append(0, bytes.slice(0, half));
    tried('in the middle');
    await r.append(0, bytes.slice(half));
    tried('after it');
    await r.append(0, bytes.slice(0, half));
    sb.abort();
    tried('after abort');
    await r.append(0, bytes.slice(0, half));
    tried('in the middle again');
    sb.changeType(r.files[0].mime);
    tried('after changeType');
  },

  /** What is no media ends playback with the browser's own error. */
  async garbage(r) {
    await r.open();
    const failed = once(r.video, 'error');
    const sb = r.buffers[0];
    const end = once(sb, 'updateend');
    const bytes = new Uint8Array(5000).fill(0x77);
    bytes.set([0, 0, 0, 32]);
    sb.appendBuffer(bytes);
    await Promise.all([failed, end]);
    r.note('after it', [r.source.readyState, r.video.error.code, attempt(() => { sb.appendBuffer(new Uint8Array(3)); return 'no exception'; })]);
  },
};

/** One scenario with one kind of media; the answer is everything that the page saw, object by object. */
async function run(name, kind) {
  const index = await (await fetch('/clips/index.json')).json();
  globalThis.recorder = new Recorder(kind, index);
  const stuck = new Promise((_, fail) => setTimeout(() => fail(new Error('the scenario hangs')), 25000));
  try {
    await Promise.race([scenarios[name](recorder), stuck]);
  } catch (error) {
    recorder.note('the scenario failed', `${error.name}: ${error.message}`);
  }
  return recorder.finish();
}
