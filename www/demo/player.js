// World: the demo's web page, no part of the extension.
// Plays a test clip by Media Source Extensions, segment by segment, and writes down what its element tells.

const query = new URLSearchParams(location.search);
const files = {
  'h264 demuxed': ['h264.mp4', 'aac.mp4'], 'h264 muxed': ['h264-aac.mp4'],
  'vp9 demuxed': ['vp9.webm', 'opus.webm'], 'vp9 muxed': ['vp9-opus.webm'],
}[`${query.get('clip') ?? 'h264'} ${query.get('tracks') ?? 'demuxed'}`] ?? ['h264.mp4', 'aac.mp4'];
const folder = new URL('clips/', location.href);
/** Seconds that are kept buffered ahead of the position. */
const AHEAD = Number(query.get('ahead') ?? 12);
const DURATION = 30;

const video = document.getElementById('video');
/** What measurements and tests read: names of the element's events with times, and when the first frame was there. */
const demo = { events: [], firstFrame: null, started: null, error: null };
globalThis.demo = demo;

for (const name of ['loadstart', 'durationchange', 'loadedmetadata', 'loadeddata', 'canplay', 'canplaythrough', 'play', 'playing',
  'pause', 'waiting', 'seeking', 'seeked', 'ratechange', 'resize', 'ended', 'error', 'emptied', 'stalled', 'volumechange']) {
  video.addEventListener(name, () => demo.events.push({ name, at: performance.now(), position: video.currentTime }));
}

const fetchBytes = async (file, { start, end }) => {
  const response = await fetch(new URL(file, folder), { headers: { Range: `bytes=${start}-${end - 1}` } });
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  return response.arrayBuffer();
};

const append = (buffer, bytes) => new Promise((done, failed) => {
  buffer.addEventListener('updateend', done, { once: true });
  buffer.addEventListener('error', () => failed(new Error('a segment was refused')), { once: true });
  buffer.appendBuffer(bytes);
});

const isBuffered = (buffer, time) => {
  for (let i = 0; i < buffer.buffered.length; i++) {
    if (buffer.buffered.start(i) <= time && time < buffer.buffered.end(i) - 0.05) return true;
  }
  return false;
};

/** Resolves when there may be something to do: playback has moved on, or the person has. */
const moved = () => new Promise((done) => {
  const once = new AbortController();
  for (const name of ['timeupdate', 'seeking', 'play']) {
    video.addEventListener(name, () => { once.abort(); done(); }, { signal: once.signal });
  }
});

/** Keeps one track's buffer filled around the position, for ever. */
async function feed(mediaSource, buffer, file, { init, segments }, whenComplete) {
  await append(buffer, await fetchBytes(file, init));
  const appended = new Set();
  for (;;) {
    const position = video.currentTime;
    const next = segments.findIndex((segment, i) => {
      const segmentEnd = (segments[i + 1]?.time_us ?? DURATION * 1e6) / 1e6;
      return segmentEnd > position && segment.time_us / 1e6 < position + AHEAD && !appended.has(i);
    });
    if (next < 0) {
      if (appended.size === segments.length) whenComplete();
      await moved();
      continue;
    }
    appended.add(next);
    await append(buffer, await fetchBytes(file, segments[next]));
    if (mediaSource.readyState === 'open' && next === segments.length - 1 && isBuffered(buffer, DURATION - 1)) whenComplete();
  }
}

async function start() {
  const index = await (await fetch(new URL('index.json', folder))).json();
  const mediaSource = new MediaSource();
  demo.started = performance.now();
  video.requestVideoFrameCallback((now) => { demo.firstFrame = now - demo.started; });
  video.src = URL.createObjectURL(mediaSource);
  await new Promise((done) => mediaSource.addEventListener('sourceopen', done, { once: true }));
  mediaSource.duration = DURATION;
  const buffers = files.map((file) => mediaSource.addSourceBuffer(index[file].mime));
  const complete = new Set();
  const finish = (file) => {
    complete.add(file);
    if (complete.size === files.length && mediaSource.readyState === 'open' && !buffers.some((buffer) => buffer.updating)) {
      mediaSource.endOfStream();
    }
  };
  const feeds = files.map((file, i) => feed(mediaSource, buffers[i], file, index[file], () => finish(file)));
  if (query.get('autoplay') !== '0') video.play().catch(() => {});
  await Promise.race(feeds);
}

const state = document.getElementById('state');
const show = () => {
  const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
  const doing = video.error ? `Error: ${video.error.message}` : video.ended ? 'Ended' : video.paused ? 'Paused' : 'Playing';
  state.textContent = `${doing} at ${video.currentTime.toFixed(2)} s of ${DURATION} s, ${video.videoWidth} × ${video.videoHeight}, ` +
    `${totalVideoFrames} frames, ${droppedVideoFrames} dropped. ${files.join(' + ')}`;
};
setInterval(show, 250);

start().catch((error) => {
  demo.error = String(error);
  state.textContent = `The clip could not be played: ${error.message}`;
});
