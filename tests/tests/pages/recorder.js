// World: a test's web page.
// Writes down what a page can see of a video, its MediaSource and its SourceBuffers: every event, with the values at that moment.

const FILES = {
  'h264 demuxed': ['h264.mp4', 'aac.mp4'],
  'h264 muxed': ['h264-aac.mp4'],
  'vp9 demuxed': ['vp9.webm', 'opus.webm'],
  'vp9 muxed': ['vp9-opus.webm'],
};
const VIDEO_EVENTS = ['abort', 'canplay', 'canplaythrough', 'durationchange', 'emptied', 'ended', 'error', 'loadeddata', 'loadedmetadata', 'loadstart',
  'pause', 'play', 'playing', 'progress', 'ratechange', 'resize', 'seeked', 'seeking', 'stalled', 'suspend', 'timeupdate', 'volumechange', 'waiting'];
const SOURCE_EVENTS = ['sourceopen', 'sourceended', 'sourceclose'];
const BUFFER_EVENTS = ['updatestart', 'update', 'updateend', 'error', 'abort'];
const LIST_EVENTS = ['addsourcebuffer', 'removesourcebuffer'];

const number = (x) => (x === Infinity ? 'Infinity' : Number.isNaN(x) ? 'NaN' : Math.round(x * 1e6) / 1e6);
const ranges = (r) => Array.from({ length: r.length }, (_, i) => `${Math.round(r.start(i) * 1e6)}-${Math.round(r.end(i) * 1e6)}`).join(' ');
const attempt = (f) => { try { return f(); } catch (error) { return `${error.name}: ${error.message}`; } };

/** Resolves at the next event of that name, or at the first at which `when` holds. */
const once = (target, name, when = () => true) => new Promise((done) => {
  const look = (event) => { if (when()) { target.removeEventListener(name, look); done(event); } };
  target.addEventListener(name, look);
});
/** The first of several moments of an element at which `when` holds. */
const moment = (video, when) => (when() ? Promise.resolve() : Promise.race(VIDEO_EVENTS.map((name) => once(video, name, when))));

class Recorder {
  constructor(kind, index) {
    this.files = FILES[kind].map((name) => ({ name, ...index[name] }));
    /** Object's name → what it has told. */
    this.log = {};
    /** True from play() to the next seek: positions are not the same in two runs. */
    this.moves = false;
    // A page may make its element elsewhere.
    this.video = globalThis.makeElement?.() ?? document.body.appendChild(document.createElement('video'));
    this.video.style.width = '320px';
    this.video.muted = true;
    this.watch('video', this.video, VIDEO_EVENTS, () => this.videoState());
  }

  watch(label, target, names, state) {
    this.log[label] = [];
    for (const name of names) target.addEventListener(name, (event) => this.log[label].push({ event: event.type, ...state() }));
    for (const name of names) {
      if (!(`on${name}` in target)) continue;
      target[`on${name}`] = () => this.log[label].push({ event: `on${name}` });
    }
  }

  /** Writes a value of the page's own choice down. */
  note(what, value) {
    (this.log.page ??= []).push({ event: what, value });
  }

  videoState() {
    const v = this.video;
    return {
      readyState: v.readyState, duration: number(v.duration), width: v.videoWidth, height: v.videoHeight, paused: v.paused, rate: v.playbackRate,
      seeking: v.seeking, ended: v.ended, networkState: v.networkState,
      position: this.moves && !v.ended ? 'moves' : number(v.currentTime), error: v.error && `${v.error.code} ${v.error.message}`,
    };
  }

  bufferState(sb) {
    return {
      updating: sb.updating, buffered: attempt(() => ranges(sb.buffered)), ofVideo: ranges(this.video.buffered), offset: number(sb.timestampOffset), mode: sb.mode,
      window: `${number(sb.appendWindowStart)}-${number(sb.appendWindowEnd)}`,
    };
  }

  sourceState() {
    const m = this.source;
    return { readyState: m.readyState, duration: number(m.duration), buffers: m.sourceBuffers.length, active: m.activeSourceBuffers.length };
  }

  /** Attaches a new MediaSource; resolves when it is open. */
  async open(label = 'source') {
    this.source = new MediaSource();
    const { source } = this;
    this.watch(label, source, SOURCE_EVENTS, () => ({ readyState: source.readyState, duration: number(source.duration) }));
    this.watch(`${label}.list`, source.sourceBuffers, LIST_EVENTS, () => ({ length: source.sourceBuffers.length }));
    this.through = once(this.video, 'canplaythrough');
    this.video.src = URL.createObjectURL(source);
    await once(source, 'sourceopen');
    this.buffers = this.files.map((file, i) => this.add(`${label}.${i}`, file.mime));
  }

  add(label, mime) {
    const sb = this.source.addSourceBuffer(mime);
    this.watch(label, sb, BUFFER_EVENTS, () => this.bufferState(sb));
    return sb;
  }

  async bytes(i, { start, end }) {
    const response = await fetch(`/clips/${this.files[i].name}`, { headers: { Range: `bytes=${start}-${end - 1}` } });
    return response.arrayBuffer();
  }

  init(i) { return this.bytes(i, this.files[i].init); }
  segment(i, n) { return this.bytes(i, this.files[i].segments[n]); }

  async append(i, data) {
    const sb = this.buffers[i];
    const end = once(sb, 'updateend');
    sb.appendBuffer(data);
    await end;
  }

  /** Initialization segments and segments [from, to) into all buffers. */
  async fill(from, to, withInit = true) {
    for (let i = 0; i < this.buffers.length; i++) if (withInit) await this.append(i, await this.init(i));
    for (let n = from; n < to; n++) for (let i = 0; i < this.buffers.length; i++) await this.append(i, await this.segment(i, n));
  }

  async remove(i, from, to) {
    const end = once(this.buffers[i], 'updateend');
    this.buffers[i].remove(from, to);
    await end;
  }

  async seek(to) {
    const done = once(this.video, 'seeked');
    this.moves = false;
    this.through = once(this.video, 'canplaythrough');
    this.video.currentTime = to;
    this.note('seeking at once', [this.video.seeking, number(this.video.currentTime)]);
    await done;
  }

  play() {
    this.moves = true;
    return this.video.play();
  }

  /** Resolves when what follows opening or a seek has been told to its last event. */
  ready() { return this.through; }

  /** The end of a scenario: everything that is still to be told has been. */
  async finish() {
    this.note('at the end', [this.videoState(), this.sourceState(), this.buffers.map((sb) => this.bufferState(sb))]);
    return this.log;
  }
}
