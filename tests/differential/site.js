// World: a test's web page.
// A page under a site's own name: plays the case that its address names, or has the frame that it names, and says in `told` how far that is.
// It comes between page.js and cases.js: its cases are the same, but they play on until somebody has seen enough.

const told = { position: 0, error: '' };
const asked = new URLSearchParams(location.search);

async function playOn(run, { lazy = false } = {}) {
  if (!lazy) await run.until('a picture or a sound', () => run.video.readyState >= 2);
  run.video.muted = true;
  run.video.loop = true;
  await run.answer('play', run.video.play());
  await new Promise(() => {});
}
function watch(run, player) { return playOn(run, player); }
function watchLive(run, player) { return playOn(run, player); }

/** A connection to another page of this origin; `offers`: from this side. */
function connect(offers) {
  const connection = new RTCPeerConnection();
  const wire = new BroadcastChannel('peers');
  const say = (description) => wire.postMessage({ description: description.toJSON() });
  connection.onicecandidate = ({ candidate }) => { if (candidate) wire.postMessage({ candidate: candidate.toJSON() }); };
  wire.onmessage = async ({ data }) => {
    if (data.candidate) return void connection.addIceCandidate(data.candidate);
    await connection.setRemoteDescription(data.description);
    if (offers) return;
    await connection.setLocalDescription();
    say(connection.localDescription);
  };
  if (offers) connection.onnegotiationneeded = async () => { await connection.setLocalDescription(); say(connection.localDescription); };
  return connection;
}

const ofSites = {
  /** As sites have them: from a server of another name, of which the page's scripts may read nothing. */
  'file of another host': { async run(run) { run.video.src = 'https://media.example.net/media/file.mp4'; await watch(run); } },
  /** A viewer of a live event who has the segments. */
  'peer far': { async run() { connect(false).ondatachannel = ({ channel }) => serveSegments(channel); } },
  /** A viewer who gets them from the other one's page. */
  'peer near': {
    async run(run) {
      const channel = connect(true).createDataChannel('segments');
      await run.until('the channel', () => channel.readyState === 'open');
      await appendSegments(run, channel);
      await watch(run);
    },
  },
  /** A call, here with itself: what comes back is played. */
  call: {
    audio: true,
    async run(run) {
      const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
      for (const [a, b] of [[near, far], [far, near]]) a.onicecandidate = ({ candidate }) => { b.addIceCandidate(candidate); };
      far.ontrack = ({ streams }) => { [run.video.srcObject] = streams; };
      const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
      for (const track of microphone.getTracks()) near.addTrack(track, microphone);
      await near.setLocalDescription();
      await far.setRemoteDescription(near.localDescription);
      await far.setLocalDescription();
      await near.setRemoteDescription(far.localDescription);
      await watch(run);
    },
  },
};

addEventListener('message', ({ data }) => Object.assign(told, data));
addEventListener('DOMContentLoaded', () => {
  if (asked.has('frame')) {
    const frame = Object.assign(document.createElement('iframe'), { src: asked.get('frame'), allow: 'autoplay', width: 640, height: 400 });
    document.body.append(frame);
  }
  if (!asked.get('case')) return;
  Object.assign(cases, ofSites);
  perform(asked.get('case'));
  setInterval(() => {
    const { running: { video, errors }, outcome } = globalThis;
    Object.assign(told, { position: video.currentTime, error: outcome ? outcome.errors.join('; ') || 'the run is over' : errors.join('; ') });
    if (parent !== self) parent.postMessage(told, '*');
  }, 50);
});
