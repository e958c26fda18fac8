// World: a test's web page.
// Writes down what an element tells of the frames that it presents.

const frames = [];

/** Asks for each frame, for ever. */
function watchFrames() {
  const look = (now, frame) => {
    frames.push({ ...frame, now, position: video.currentTime, keys: Object.keys(frame).join() });
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

const counts = () => {
  const quality = video.getVideoPlaybackQuality();
  return {
    total: quality.totalVideoFrames, dropped: quality.droppedVideoFrames, corrupted: quality.corruptedVideoFrames,
    decoded: video.webkitDecodedFrameCount, droppedToo: video.webkitDroppedFrameCount, picture: video.webkitVideoDecodedByteCount,
    sound: video.webkitAudioDecodedByteCount,
  };
};

/** Watches that no count ever gets smaller. */
let shrunk = null;
function watchCounts() {
  let before = counts();
  setInterval(() => {
    const now = counts();
    for (const name of Object.keys(now)) if (now[name] < before[name]) shrunk ??= [name, before, now];
    before = now;
  }, 20);
}

/** The frame that a seek leads to. */
const frameAt = (position) => new Promise((done) => {
  video.requestVideoFrameCallback((now, frame) => done(frame.mediaTime));
  video.currentTime = position;
});

/** Plays sound alone, in an element that is not in the document. */
async function beginSound() {
  const { 'aac.mp4': file } = await (await fetch('/clips/index.json')).json();
  video = new Audio();
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await once(source, 'sourceopen');
  const buffer = source.addSourceBuffer(file.mime);
  const end = once(buffer, 'updateend');
  buffer.appendBuffer(await (await fetch('/clips/aac.mp4')).arrayBuffer());
  await end;
  await video.play();
}
