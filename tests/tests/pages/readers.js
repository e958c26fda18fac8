// World: a test's web page.
// Plays a clip and reads its pixels and its sound in every way that a page can.

let recorder, video;

async function begin(kind) {
  const { readFrameNumber } = await import('/clips/frame_number.js');
  Object.assign(globalThis, { readFrameNumber });
  recorder = new Recorder(kind, await (await fetch('/clips/index.json')).json());
  video = recorder.video;
  video.muted = false;
  await recorder.open();
  await recorder.fill(0, recorder.files[0].segments.length);
  if (recorder.source.readyState === 'open') recorder.source.endOfStream();
  await recorder.play();
}

const WIDTH = 640;
const HEIGHT = 360;
/** The number stands in the uppermost pixels. */
const STRIP = 48;
const canvas2d = new OffscreenCanvas(WIDTH, STRIP).getContext('2d', { willReadFrequently: true });

/** What a picture shows: a frame's number, `nothing` if it is transparent or black, else `wrong`. */
function shown(draw) {
  canvas2d.clearRect(0, 0, WIDTH, STRIP);
  draw(canvas2d);
  const { data } = canvas2d.getImageData(0, 0, WIDTH, STRIP);
  const number = readFrameNumber(data, WIDTH, STRIP);
  if (number !== null) return number;
  return data.every((value, i) => i % 4 === 3 || value < 8) ? 'nothing' : 'wrong';
}

/** A texture as the GPU has it. */
function texture(type, upload) {
  const gl = (texture[type] ??= new OffscreenCanvas(16, 16).getContext(type));
  const [made, frame] = [gl.createTexture(), gl.createFramebuffer()];
  const [target, attach] = upload(gl, made);
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
  attach();
  const pixels = new Uint8ClampedArray(WIDTH * STRIP * 4);
  gl.readPixels(0, 0, WIDTH, STRIP, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  gl.deleteFramebuffer(frame);
  gl.deleteTexture(made);
  const error = gl.getError();
  if (error) throw new Error(`${target}: GL error ${error}`);
  return shown((context) => context.putImageData(new ImageData(pixels, WIDTH, STRIP), 0, 0));
}

const flat = (type) => () => texture(type, (gl, made) => {
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
  return ['2d', () => gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, made, 0)];
});

/** Reader's name → what it gives: a frame's number, `nothing` or `wrong`. */
const readers = {
  drawImage: () => shown((context) => context.drawImage(video, 0, 0, WIDTH, HEIGHT)),
  onscreen() {
    const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
    canvas.getContext('2d').drawImage(video, 0, 0, video.videoWidth, video.videoHeight, 0, 0, WIDTH, HEIGHT);
    return shown((context) => context.drawImage(canvas, 0, 0));
  },
  createPattern() {
    return shown((context) => {
      const pattern = context.createPattern(video, 'no-repeat');
      if (!pattern) return;
      pattern.setTransform(new DOMMatrix().scale(WIDTH / video.videoWidth, HEIGHT / video.videoHeight));
      context.fillStyle = pattern;
      context.fillRect(0, 0, WIDTH, HEIGHT);
    });
  },
  webgl: flat('webgl'),
  webgl2: flat('webgl2'),
  webgl2Sub: () => texture('webgl2', (gl, made) => {
    gl.bindTexture(gl.TEXTURE_2D, made);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, video.videoWidth, video.videoHeight);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, video);
    return ['sub', () => gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, made, 0)];
  }),
  webgl2Layer: () => texture('webgl2', (gl, made) => {
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, made);
    gl.texImage3D(gl.TEXTURE_2D_ARRAY, 0, gl.RGBA8, video.videoWidth, video.videoHeight, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, video);
    return ['layer', () => gl.framebufferTextureLayer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, made, 0, 0)];
  }),
  async createImageBitmap() {
    const bitmap = await createImageBitmap(video, { resizeWidth: WIDTH, resizeHeight: HEIGHT });
    return shown((context) => context.drawImage(bitmap, 0, 0));
  },
  VideoFrame() {
    let frame;
    try {
      frame = new VideoFrame(video);
    } catch (error) {
      if (error instanceof DOMException && error.name === 'InvalidStateError') return 'nothing';
      throw error;
    }
    const number = shown((context) => context.drawImage(frame, 0, 0, WIDTH, HEIGHT));
    frame.close();
    return number;
  },
};

/** Reads up to 30 times a second until stopped, and writes each answer down with the position. */
function readOn(name) {
  const answers = [];
  let going = true;
  const look = async () => {
    if (!going) return;
    const before = video.currentTime;
    const answer = await readers[name]();
    answers.push([before, answer, video.currentTime]);
    setTimeout(look, 33);
  };
  look();
  return { answers, stop: () => { going = false; } };
}

/** Names of what the element has told since `listen`, without what comes by the clock. */
let heard = null;
function listen() {
  const first = heard === null;
  heard = [];
  if (!first) return;
  for (const name of VIDEO_EVENTS) {
    if (!['timeupdate', 'progress', 'suspend', 'stalled'].includes(name)) video.addEventListener(name, () => heard.push(name));
  }
}

/** How long a graph stays silent from now on, in milliseconds. */
function silence(node, context) {
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  node.connect(analyser);
  const from = performance.now();
  const samples = new Float32Array(analyser.fftSize);
  return new Promise((done) => {
    const look = () => {
      analyser.getFloatTimeDomainData(samples);
      if (samples.some((sample) => Math.abs(sample) > 0.001)) done(performance.now() - from); else setTimeout(look, 5);
    };
    look();
  });
}
