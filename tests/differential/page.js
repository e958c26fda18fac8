// World: a test's web page.
// Writes down everything that a page can observe of a video while a player plays it: events, values at each step, errors, answers of promises.

const EVENTS = ['abort', 'canplay', 'canplaythrough', 'durationchange', 'emptied', 'encrypted', 'ended', 'error', 'loadeddata', 'loadedmetadata', 'loadstart',
  'pause', 'play', 'playing', 'progress', 'ratechange', 'resize', 'seeked', 'seeking', 'stalled', 'suspend', 'timeupdate', 'volumechange', 'waiting'];

/** JSON knows neither Infinity nor NaN. */
const number = (x) => (typeof x !== 'number' || Number.isFinite(x) ? x : `${x}`);

/** A browser that is busy still gets there; what does not come in this time never comes. */
const PATIENCE = 25000;

class Run {
  /** `catchesUp`: the player sets the rate by how far it is behind at which moment, so only that each `ratechange` has its change is written down. */
  constructor(element, { catchesUp = false } = {}) {
    this.video = element;
    this.events = [];
    this.steps = [];
    this.errors = [];
    let rate = element.playbackRate;
    for (const type of EVENTS) {
      element.addEventListener(type, () => {
        const changed = type === 'ratechange' && element.playbackRate !== rate;
        if (type === 'ratechange') rate = element.playbackRate;
        if (!catchesUp || !changed) this.events.push(type);
      });
    }
    addEventListener('error', ({ message }) => this.errors.push(`uncaught ${message}`));
    addEventListener('securitypolicyviolation', ({ blockedURI }) => this.errors.push(`blocked ${blockedURI}`));
    addEventListener('unhandledrejection', ({ reason }) => this.errors.push(`unhandled ${reason?.name}: ${reason?.message}`));
  }

  /** The values of this moment. `moves`: the position depends on when exactly this is. */
  step(name, { moves = false, ...more } = {}) {
    const v = this.video;
    const { buffered, seekable } = v;
    const at = v.currentTime;
    let ahead = 0;
    for (let i = 0; i < buffered.length; i++) if (buffered.start(i) <= at && at <= buffered.end(i)) ahead = buffered.end(i) - at;
    this.steps.push({
      name, paused: v.paused, ended: v.ended, seeking: v.seeking, rate: v.playbackRate, muted: v.muted, volume: v.volume, loop: v.loop,
      error: v.error && `${v.error.code} ${v.error.message}`, width: v.videoWidth ?? 0, height: v.videoHeight ?? 0, duration: number(v.duration),
      position: moves ? 'moves' : at, ready: v.readyState >= 2, plays: ahead > 0.1 || v.ended, seekable: seekable.length ? number(seekable.end(seekable.length - 1)) : -1,
      src: (v.currentSrc || '').replace(/^blob:.*/, 'blob:').replace(/^https?:\/\/[^/]*/, ''), network: v.networkState === 3 ? 'no source' : 'source', ...more,
    });
  }

  /** Resolves at the first moment at which `when` holds; what never comes is an error of the run. */
  async until(what, when) {
    const end = performance.now() + PATIENCE;
    while (!when()) {
      if (performance.now() > end) throw new Error(`waited for ${what}`);
      await new Promise((go) => { setTimeout(go, 15); });
    }
  }

  /** Resolves when `type` has been told; call it before what causes the event. */
  next(type) {
    const before = this.events.filter((e) => e === type).length;
    return this.until(type, () => this.events.filter((e) => e === type).length > before);
  }

  async answer(what, promise) {
    try {
      const value = await promise;
      this.steps.push({ name: what, answer: value === undefined ? 'undefined' : typeof value });
    } catch (error) {
      this.steps.push({ name: what, answer: `${error.name}: ${error.message}` });
    }
  }

  async seek(to) {
    const seeked = this.next('seeked');
    this.video.currentTime = to;
    // What is buffered there is the network's doing.
    this.step(`seeking to ${to.toFixed(2)}`, { plays: 'later', ready: 'later' });
    await seeked;
  }

  passes(position) {
    return this.until(`position ${position}`, () => this.video.currentTime >= position || this.video.ended);
  }

  result() {
    return { events: this.events, steps: this.steps, errors: this.errors };
  }
}

/** What a person does with a film: `player.quality(n)`, if there is one, switches to another rendition. */
async function watch(run, player = {}) {
  const { video } = run;
  await run.until('a picture or a sound', () => video.readyState >= 2);
  video.muted = true;
  await run.answer('play', video.play());
  await run.passes(1);
  run.step('plays', { moves: true });
  await run.seek(6.5);
  await run.passes(7.2);
  video.playbackRate = 2;
  await run.passes(8.5);
  video.playbackRate = 1;
  await run.seek(2.25);
  await run.passes(2.8);
  let pause = run.next('pause');
  video.pause();
  await pause;
  await run.seek(4.125);
  run.step('paused', { buffered: video.buffered.length > 0 });
  if (player.quality) {
    const height = video.videoHeight;
    player.quality();
    await run.answer('play on', video.play());
    // Another rendition comes with the next segments; a seek beyond what is buffered makes sure of it.
    await run.seek(12.5);
    await run.until('another size', () => video.videoHeight !== height && video.videoHeight > 0);
    run.step('another rendition', { moves: true });
  } else {
    await run.answer('play on', video.play());
  }
  video.volume = 0.5;
  await run.next('volumechange');
  const { duration } = video;
  await run.seek(duration - 1.3);
  await run.until('the end', () => video.ended);
  run.step('at the end', { moves: false, frames: shows(video) });
}

/** Whether so many pictures have been seen that it is no standing one. */
const shows = (video) => video.getVideoPlaybackQuality?.().totalVideoFrames > 30;

/** The live edge: plays on for a while, falls behind, comes back. */
async function watchLive(run, player = {}) {
  const { video } = run;
  // Some players load nothing before they play; of the others, what they tell of loading is over then.
  if (!player.lazy) await run.until('a picture or a sound', () => video.readyState >= 2);
  video.muted = true;
  await run.answer('play', video.play());
  await run.until('playing', () => video.currentTime > 0 && !video.paused && video.readyState >= 3);
  // How far it reaches, and at what rate a player catches up, is a matter of the moment.
  const moment = () => ({ moves: true, seekable: video.seekable.length > 0, rate: 'moves' });
  const from = video.currentTime;
  await run.passes(from + 3);
  const pause = run.next('pause');
  video.pause();
  await pause;
  run.step('paused live', moment());
  await run.answer('play on', video.play());
  await run.passes(from + 5);
  await player.stop?.();
  run.step('stopped', { ...moment(), frames: shows(video) });
}

/** A player that fails: what it says, and the element's own error. */
async function fails(run, told) {
  run.video.muted = true;
  run.video.play().catch((error) => run.errors.push(`play: ${error.name}`));
  await run.until('the failure', told ?? (() => run.video.error !== null));
  run.step('failed');
}

const load = (url, type) => new Promise((done, failed) => {
  const script = document.createElement('script');
  script.src = url;
  if (type) script.type = type;
  script.onload = done;
  script.onerror = () => failed(new Error(`${url} does not load`));
  document.head.append(script);
});

/** Runs a case; the answer is what the page observed. Also kept in `outcome`, for who only looks now and then. */
async function perform(name) {
  const made = cases[name];
  const element = document.createElement(made.audio ? 'audio' : 'video');
  element.style.width = '480px';
  const run = globalThis.running = new Run(element, made);
  if (!made.detached) document.body.append(element);
  try {
    await made.run(run);
  } catch (error) {
    run.errors.push(`the run: ${error.name}: ${error.message}`);
    run.step('when it failed', { moves: true });
  }
  globalThis.outcome = run.result();
}
