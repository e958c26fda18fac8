// World: a test's web page.
// The cases: each player with each kind of media. `run(run)` sets the player up on run.video and does what a person would do.

const pieces = async (url, size = 150_000) => {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
};

const open = async (run, source = new MediaSource()) => {
  const opened = new Promise((done) => { source.addEventListener('sourceopen', done, { once: true }); });
  run.video.src = URL.createObjectURL(source);
  await opened;
  return source;
};

const append = (sb, data) => new Promise((done, failed) => {
  sb.addEventListener('updateend', done, { once: true });
  sb.addEventListener('error', () => failed(new Error('the SourceBuffer says error')), { once: true });
  sb.appendBuffer(data);
});

/** A page's own player: all of one file into one SourceBuffer. */
const mse = (file, type, options = {}) => ({
  ...options,
  async run(run) {
    run.steps.push({ name: 'type', answer: MediaSource.isTypeSupported(type), can: run.video.canPlayType(type) });
    const source = await open(run);
    let sb;
    try {
      sb = source.addSourceBuffer(type);
    } catch (error) {
      run.errors.push(`addSourceBuffer: ${error.name}`);
      return;
    }
    for (const piece of await pieces(`/media/${file}`)) await append(sb, piece);
    source.endOfStream();
    await watch(run);
    run.steps.push({ name: 'source', state: source.readyState, updating: sb.updating, duration: source.duration, seekable: sb.buffered.length });
  },
});

const hls = (url, config = {}, what = watch) => ({
  async run(run) {
    await load('/players/hls.js/dist/hls.min.js');
    const player = new Hls({ startLevel: 0, abrEwmaDefaultEstimate: 5e6, capLevelToPlayerSize: false, ...config });
    player.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) run.errors.push(`hls.js ${data.type} ${data.details}`); });
    player.loadSource(url);
    player.attachMedia(run.video);
    await what(run, { quality: url.includes('master') ? () => { player.nextLevel = player.levels.findIndex((l) => l.height !== run.video.videoHeight); } : null });
    player.destroy();
    run.step('destroyed');
  },
});

const dash = (url, settings = {}, what = watch) => ({
  async run(run) {
    await load('/players/dashjs/dist/modern/umd/dash.all.min.js');
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({ debug: { logLevel: 0 }, streaming: { utcSynchronization: { enabled: false }, abr: { autoSwitchBitrate: { video: false } }, buffer: { fastSwitchEnabled: true }, ...settings } });
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => run.errors.push(`dash.js ${error.code}`));
    player.initialize(run.video, url, false);
    const other = () => {
      const all = player.getRepresentationsByType('video');
      player.setRepresentationForTypeById('video', all.find((r) => r.height !== run.video.videoHeight).id, true);
    };
    await what(run, { quality: other });
    player.destroy();
    run.step('destroyed');
  },
});

const shaka = (url, config = {}, what = watch) => ({
  async run(run) {
    await load('/players/shaka-player/dist/shaka-player.compiled.js');
    const player = new window.shaka.Player();
    await player.attach(run.video);
    player.configure({ abr: { enabled: false }, ...config });
    player.addEventListener('error', ({ detail }) => run.errors.push(`shaka ${detail.code}`));
    await run.answer('load', player.load(url));
    const other = () => player.selectVariantTrack(player.getVariantTracks().find((t) => t.height !== run.video.videoHeight), true);
    await what(run, { quality: other });
    await player.destroy();
    run.step('destroyed');
  },
});

const videojs = (url, type, what = watch) => ({
  async run(run) {
    await load('/players/video.js/dist/video.min.js');
    const player = window.videojs(run.video, { controls: true, preload: 'auto', html5: { vhs: { overrideNative: true } } });
    player.on('error', () => run.errors.push(`video.js ${player.error()?.code}`));
    player.src({ src: url, type });
    await what(run);
    player.pause();
    run.step('done');
  },
});

const plyr = (attach) => ({
  async run(run) {
    await load('/players/plyr/dist/plyr.min.js');
    await attach(run);
    const player = new Plyr(run.video, { iconUrl: '/players/plyr/dist/plyr.svg', blankVideo: '', storage: { enabled: false } });
    await watch(run);
    run.steps.push({ name: 'plyr', playing: player.playing, ended: player.ended });
  },
});

const mpegts = (url, type, isLive = false) => ({
  async run(run) {
    await load('/players/mpegts.js/dist/mpegts.js');
    const player = window.mpegts.createPlayer({ type, url, isLive }, { enableWorker: false, lazyLoad: false });
    player.on(window.mpegts.Events.ERROR, (kind, detail) => run.errors.push(`mpegts.js ${kind} ${detail}`));
    player.attachMediaElement(run.video);
    player.load();
    await (isLive ? watchLive : watch)(run);
    player.destroy();
    run.step('destroyed');
  },
});

const file = (url, options = {}) => ({
  ...options,
  async run(run) {
    if (options.sources) {
      for (const [src, type] of options.sources) run.video.append(Object.assign(document.createElement('source'), { src, type }));
    } else {
      run.video.src = typeof url === 'function' ? await url() : url;
    }
    await (options.what ?? watch)(run);
  },
});

/** fMP4 as it would come from a camera: half a second each half second, played a second behind. */
const lowLatency = {
  async run(run) {
    const source = await open(run);
    const sb = source.addSourceBuffer('video/mp4; codecs="avc1.64001e, mp4a.40.2"');
    source.duration = Infinity;
    const bytes = new Uint8Array(await (await fetch('/media/h264-aac.mp4')).arrayBuffer());
    const view = new DataView(bytes.buffer);
    const parts = [];
    for (let at = 0, from = 0; at < bytes.length;) {
      const end = at + view.getUint32(at);
      const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      if (name === 'moov' || name === 'mdat') { parts.push(bytes.subarray(from, end)); from = end; }
      at = end;
    }
    for (const part of parts.splice(0, 3)) await append(sb, part);
    source.setLiveSeekableRange(0, 2);
    let live = true;
    const feed = (async () => {
      while (live && parts.length) {
        await append(sb, parts.shift());
        const end = sb.buffered.end(0);
        source.clearLiveSeekableRange();
        source.setLiveSeekableRange(Math.max(0, end - 4), end);
        await new Promise((go) => { setTimeout(go, 600); });
      }
    })();
    await watchLive(run, { stop: async () => { live = false; await feed; } });
    run.steps.push({ name: 'live', duration: `${run.video.duration}`, seekable: run.video.seekable.length });
  },
};

/** Gives a peer the segments that it asks for. */
function serveSegments(channel) {
  channel.onmessage = async ({ data }) => {
    const bytes = new Uint8Array(await (await fetch(`/media/hls-fmp4/${data}`)).arrayBuffer());
    for (let at = 0; at < bytes.length; at += 16_000) channel.send(bytes.slice(at, at + 16_000));
    channel.send('end');
  };
}

/** Appends a film of which a peer gives each segment. */
async function appendSegments(run, channel) {
  channel.binaryType = 'arraybuffer';
  const get = (name) => new Promise((done) => {
    const got = [];
    channel.onmessage = ({ data }) => { if (data === 'end') done(new Blob(got).arrayBuffer()); else got.push(data); };
    channel.send(name);
  });
  const source = await open(run);
  const sb = source.addSourceBuffer('video/mp4; codecs="avc1.64001e, mp4a.40.2"');
  const playlist = await (await fetch('/media/hls-fmp4/0.m3u8')).text();
  await append(sb, await get(playlist.match(/URI="([^"]*)"/)[1]));
  for (const name of playlist.split('\n').filter((line) => /^[^#]/.test(line))) await append(sb, await get(name));
  source.endOfStream();
}

/** The page's own data channels bring the segments: two peers, here in one page. */
const peerAssisted = {
  async run(run) {
    const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
    for (const [a, b] of [[near, far], [far, near]]) a.onicecandidate = ({ candidate }) => { b.addIceCandidate(candidate); };
    const channel = near.createDataChannel('segments');
    far.ondatachannel = ({ channel: theirs }) => serveSegments(theirs);
    await near.setLocalDescription();
    await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription();
    await near.setRemoteDescription(far.localDescription);
    await run.until('the channel', () => channel.readyState === 'open');
    await appendSegments(run, channel);
    await watch(run);
    run.steps.push({ name: 'channel', state: channel.readyState, connection: near.connectionState });
  },
};

/** Media in which a segment is damaged. */
const damaged = {
  async run(run) {
    const source = await open(run);
    const sb = source.addSourceBuffer('video/mp4; codecs="avc1.64001e, mp4a.40.2"');
    const all = await pieces('/media/h264-aac.mp4', 40_000);
    await append(sb, all[0]);
    await run.until('a picture', () => run.video.readyState >= 2);
    const bad = new Uint8Array(all[1]).fill(0x5a);
    sb.appendBuffer(bad);
    await fails(run);
    run.steps.push({ name: 'source', state: source.readyState });
  },
};

/** MediaSource in a worker. */
const inWorker = {
  async run(run) {
    const code = `
      const source = new MediaSource();
      postMessage({ handle: source.handle }, [source.handle]);
      source.onsourceopen = async () => {
        const sb = source.addSourceBuffer('video/mp4; codecs="avc1.64001e, mp4a.40.2"');
        const data = await (await fetch('${location.origin}/media/h264-aac.mp4')).arrayBuffer();
        sb.onupdateend = () => { if (source.readyState === 'open') source.endOfStream(); };
        sb.appendBuffer(data);
      };`;
    run.steps.push({ name: 'workers', can: MediaSource.canConstructInDedicatedWorker });
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    worker.onmessage = ({ data }) => { run.video.srcObject = data.handle; };
    await watch(run);
  },
};

const AVC = 'video/mp4; codecs="avc1.64001e, mp4a.40.2"';
const blob = async (url, type) => URL.createObjectURL(new Blob([await (await fetch(url)).arrayBuffer()], { type }));
const data = async (url, type) => {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  let text = '';
  for (let i = 0; i < bytes.length; i += 5000) text += String.fromCharCode(...bytes.subarray(i, i + 5000));
  return `data:${type};base64,${btoa(text)}`;
};

const cases = {
  'mse h264-aac mp4': mse('h264-aac.mp4', AVC),
  'mse h264-mp3 mp4': mse('h264-mp3.mp4', 'video/mp4; codecs="avc1.64001e, mp4a.6B"'),
  'mse h264-flac mp4': mse('h264-flac.mp4', 'video/mp4; codecs="avc1.64001e, flac"'),
  'mse h264-opus mp4': mse('h264-opus.mp4', 'video/mp4; codecs="avc1.64001e, opus"'),
  'mse hevc-aac mp4': mse('hevc-aac.mp4', 'video/mp4; codecs="hvc1.1.6.L90.B0, mp4a.40.2"'),
  'mse av1-opus mp4': mse('av1-opus.mp4', 'video/mp4; codecs="av01.0.01M.08, opus"'),
  'mse vp9-opus mp4': mse('vp9-opus.mp4', 'video/mp4; codecs="vp09.00.21.08, opus"'),
  'mse vp8-vorbis webm': mse('vp8-vorbis.webm', 'video/webm; codecs="vp8, vorbis"'),
  'mse vp9-opus webm': mse('vp9-opus.webm', 'video/webm; codecs="vp9, opus"'),
  'mse av1-opus webm': mse('av1-opus.webm', 'video/webm; codecs="av01.0.01M.08, opus"'),
  'mse h264-aac ts': mse('h264-aac.ts', 'video/mp2t; codecs="avc1.64001e, mp4a.40.2"'),
  'mse aac audio': mse('aac.mp4', 'audio/mp4; codecs="mp4a.40.2"', { audio: true }),
  'mse flac audio': mse('flac.mp4', 'audio/mp4; codecs="flac"', { audio: true }),
  'mse mp3 audio': mse('mp3.mp3', 'audio/mpeg', { audio: true }),
  'mse opus audio': mse('opus.webm', 'audio/webm; codecs="opus"', { audio: true }),
  'mse vorbis audio': mse('vorbis.webm', 'audio/webm; codecs="vorbis"', { audio: true }),
  'mse detached audio': mse('opus.webm', 'audio/webm; codecs="opus"', { audio: true, detached: true }),
  'mse damaged': damaged,
  'mse worker': inWorker,
  'mse low latency': lowLatency,
  'peer assisted': peerAssisted,
  'hls.js ts': hls('/media/hls-ts/master.m3u8'),
  'hls.js fmp4': hls('/media/hls-fmp4/master.m3u8'),
  'hls.js aes-128': hls('/media/hls-aes/0.m3u8'),
  'hls.js without worker': hls('/media/hls-ts/0.m3u8', { enableWorker: false }),
  'hls.js live': hls('/live/live.m3u8', {}, watchLive),
  'hls.js missing segment': hls('/missing/0.m3u8', { maxBufferLength: 2, maxMaxBufferLength: 2, fragLoadPolicy: { default: { maxTimeToFirstByteMs: 5000, maxLoadTimeMs: 5000, timeoutRetry: null, errorRetry: null } } },
    (run) => fails(run, () => run.errors.length > 0)),
  'dash.js h264': dash('/media/dash-h264/manifest.mpd'),
  'dash.js vp9': dash('/media/dash-vp9/manifest.mpd'),
  'dash.js live': dash('/dash-live/manifest.mpd', {}, watchLive),
  'dash.js low latency': { ...dash('/dash-low/manifest.mpd', { delay: { liveDelay: 2 } }, watchLive), catchesUp: true },
  'dash.js missing segment': dash('/dash-missing/manifest.mpd', { retryAttempts: { MediaSegment: 0 } }, (run) => fails(run, () => run.errors.length > 0)),
  'shaka dash h264': shaka('/media/dash-h264/manifest.mpd'),
  'shaka dash vp9': shaka('/media/dash-vp9/manifest.mpd'),
  'shaka hls': shaka('/media/hls-fmp4/master.m3u8'),
  'shaka live': shaka('/live/live.m3u8', {}, watchLive),
  'shaka dash live': shaka('/dash-live/manifest.mpd', {}, watchLive),
  'shaka low latency': { ...shaka('/dash-low/manifest.mpd', { streaming: { lowLatencyMode: true } }, watchLive), catchesUp: true },
  'shaka missing segment': shaka('/dash-missing/manifest.mpd', { streaming: { retryParameters: { maxAttempts: 1 }, failureCallback() {} } },
    (run) => fails(run, () => run.errors.length > 0)),
  'video.js hls': videojs('/media/hls-ts/master.m3u8', 'application/x-mpegURL'),
  'video.js dash': videojs('/media/dash-h264/manifest.mpd', 'application/dash+xml'),
  'video.js file': videojs('/media/file.mp4', 'video/mp4'),
  'video.js live': videojs('/live/live.m3u8', 'application/x-mpegURL', (run) => watchLive(run, { lazy: true })),
  'plyr file': plyr((run) => { run.video.src = '/media/file.mp4'; }),
  'plyr hls.js': plyr(async (run) => {
    await load('/players/hls.js/dist/hls.min.js');
    const player = new Hls({ startLevel: 0 });
    player.loadSource('/media/hls-ts/0.m3u8');
    player.attachMedia(run.video);
    await run.until('metadata', () => run.video.readyState > 0);
  }),
  'vidstack hls': {
    async run(run) {
      await load('/players/vidstack/prod/define/vidstack-player.js', 'module');
      await load('/players/hls.js/dist/hls.min.js');
      run.video.remove();
      const player = document.createElement('media-player');
      player.append(document.createElement('media-provider'));
      player.style.cssText = 'display: block; width: 480px; aspect-ratio: 16 / 9';
      player.setAttribute('load', 'eager');
      player.setAttribute('muted', '');
      document.body.append(player);
      player.addEventListener('provider-change', ({ detail: provider }) => { if (provider?.type === 'hls') provider.library = Hls; });
      player.src = { src: '/media/hls-ts/0.m3u8', type: 'application/x-mpegurl' };
      await run.until('its video', () => player.querySelector('video'));
      const theirs = new Run(player.querySelector('video'));
      await run.until('metadata', () => theirs.video.readyState > 0);
      theirs.events.length = 0;
      await watch(theirs);
      run.events.push(...theirs.events);
      run.steps.push(...theirs.steps);
      run.errors.push(...theirs.errors);
    },
  },
  'mpegts.js flv': mpegts('/media/h264-aac.flv', 'flv'),
  'mpegts.js flv live': mpegts('/flv-live/h264-aac.flv', 'flv', true),
  'mpegts.js ts': mpegts('/media/h264-aac.ts', 'mpegts'),
  'p2p-media-loader': {
    async run(run) {
      await load('/players/hls.js/dist/hls.min.js');
      const { HlsJsP2PEngine } = await import('p2p-media-loader-hlsjs');
      const WithPeers = HlsJsP2PEngine.injectMixin(Hls);
      const player = new WithPeers({ startLevel: 0, p2p: { core: { announceTrackers: [] } } });
      player.on(Hls.Events.ERROR, (_, told) => { if (told.fatal) run.errors.push(`hls.js ${told.type} ${told.details}`); });
      player.loadSource('/media/hls-ts/0.m3u8');
      player.attachMedia(run.video);
      await watch(run);
      player.destroy();
      run.step('destroyed');
    },
  },
  'file mp4': file('/media/file.mp4'),
  'file mp4 with the index at its end': file('/media/late-index.mp4'),
  'file webm': file('/media/file.webm'),
  'file source list': file('', { sources: [['/media/none.mp4', 'video/none'], ['/media/gone.mp4', 'video/mp4'], ['/media/file.webm', 'video/webm']] }),
  'file blob': file(() => blob('/media/file.mp4', 'video/mp4')),
  'file data': file(() => data('/media/mp3.mp3', 'audio/mpeg'), { audio: true }),
  'file mp3 audio': file('/media/mp3.mp3', { audio: true }),
  'file new Audio': file('/media/mp3.mp3', { audio: true, detached: true }),
  'file missing': file('/media/gone.mp4', { what: (run) => fails(run) }),
  'file no media': file('/players/plyr/dist/plyr.svg', { what: (run) => fails(run) }),
  'native hls': file('/media/hls-ts/0.m3u8'),
  'native hls live': file('/live/live.m3u8', { what: watchLive }),
};
