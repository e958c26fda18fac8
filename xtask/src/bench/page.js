// World: the benchmark's web page, no part of the extension.
// Plays a clip, or pours bytes into a source buffer as quickly as it takes them.

const video = document.querySelector('video');
const index = await (await fetch('/clips/index.json')).json();

async function open(file) {
  const bytes = new Uint8Array(await (await fetch(`/clips/${file}`)).arrayBuffer());
  const mediaSource = new MediaSource();
  const opened = new Promise((done) => mediaSource.addEventListener('sourceopen', done, { once: true }));
  video.src = URL.createObjectURL(mediaSource);
  await opened;
  const buffer = mediaSource.addSourceBuffer(index[file].mime);
  const append = ({ start, end }) => new Promise((done, failed) => {
    buffer.addEventListener('updateend', done, { once: true });
    buffer.addEventListener('error', () => failed(new Error('bytes were refused')), { once: true });
    buffer.appendBuffer(bytes.slice(start, end));
  });
  await append(index[file].init);
  return { append, segments: index[file].segments, mediaSource };
}

globalThis.bench = {
  /** Plays from the beginning; all of it is buffered at once. */
  async play(file) {
    const { append, segments, mediaSource } = await open(file);
    for (const segment of segments) await append(segment);
    mediaSource.endOfStream();
    await video.play();
  },
  /** Appends the clip's segments, `pieces` pieces in all, again and again over each other, until `total` bytes are in. */
  async pour(file, total, pieces) {
    const { append, segments } = await open(file);
    const step = Math.ceil(segments.length / pieces);
    const parts = [];
    for (let i = 0; i < segments.length; i += step) {
      parts.push({ start: segments[i].start, end: segments[Math.min(i + step, segments.length) - 1].end });
    }
    const begin = performance.now();
    let bytes = 0;
    for (let i = 0; bytes < total; i++) {
      const part = parts[i % parts.length];
      await append(part);
      bytes += part.end - part.start;
    }
    return { bytes, ms: performance.now() - begin };
  },
};
