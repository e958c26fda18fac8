// World: a test's web page.
// Plays a live stream without an end, made of one clip again and again, or a file; or shows another page in a frame.

const query = new URLSearchParams(location.search);
/** Seconds kept ahead of the position and behind it; how fast it plays. */
const [AHEAD, BEHIND, RATE] = [['ahead', 6], ['behind', 10], ['rate', 1]].map(([name, usual]) => Number(query.get(name) ?? usual));
const CLIP = query.get('clip') ?? 'h264-aac.mp4';
const DURATION = 30;
const live = { appends: 0, removes: 0, end: 0, error: null };

const ended = (buffer, call) => new Promise((done, failed) => {
  [buffer.onupdateend, buffer.onerror] = [done, () => failed(new Error('refused'))];
  call();
});

async function playLive() {
  const index = (await (await fetch('/clips/index.json')).json())[CLIP];
  const bytes = new Uint8Array(await (await fetch(`/clips/${CLIP}`)).arrayBuffer());
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener('sourceopen', done, { once: true }));
  source.duration = Infinity;
  const buffer = source.addSourceBuffer(index.mime);
  const append = (part) => ended(buffer, () => buffer.appendBuffer(part));
  await append(bytes.subarray(index.init.start, index.init.end));
  video.playbackRate = RATE;
  video.play().catch(() => {});
  for (let next = 0; ; next++) {
    while (live.end > video.currentTime + AHEAD * RATE) await new Promise((done) => setTimeout(done, 20));
    const { start, end, time_us: time } = index.segments[next % index.segments.length];
    const round = Math.floor(next / index.segments.length) * DURATION;
    buffer.timestampOffset = round;
    // A stream comes in small parts.
    for (let at = start; at < end; at += 4096) await append(bytes.subarray(at, Math.min(at + 4096, end)));
    live.appends++;
    live.end = round + (index.segments[next % index.segments.length + 1]?.time_us ?? DURATION * 1e6) / 1e6;
    const old = Math.floor(video.currentTime - BEHIND);
    if (old > 0 && video.buffered.length && video.buffered.start(0) < old - 5 && time % 5e6 === 0) {
      await ended(buffer, () => buffer.remove(0, old));
      live.removes++;
    }
  }
}

if (query.has('frame')) {
  const frame = document.createElement('iframe');
  [frame.src, frame.width, frame.height, frame.allow] = [query.get('frame'), 700, 600, 'autoplay'];
  video.replaceWith(frame);
} else if (query.has('file')) {
  video.src = query.get('file');
  video.play().catch(() => {});
} else playLive().catch((error) => { live.error = String(error); });
