// World: a test's web page, at the top and in a frame.
// Plays a chart that stands still in #v, or has in #v a frame that does so; a case puts its styles and elements around it.

const query = new URLSearchParams(location.search);
const host = query.get('frame');
/** Natively on hosts that are not covered. */
const hostOf = (name) => `${location.protocol}//${name}:${location.port}`;

const v = document.createElement(host ? 'iframe' : 'video');
v.id = 'v';
c.append(v);
if (host) {
  v.allow = 'autoplay';
  v.src = `${hostOf(host)}/pages/geometry.html?inner&clip=${encodeURIComponent(query.get('clip') ?? '')}`;
} else {
  if (query.has('inner')) {
    document.getElementById('style').textContent = 'html, body { height: 100%; overflow: hidden } #a { inset: 0; width: 100%; height: 100% } #v { width: 100%; height: 100% } #mark { display: none }';
  }
  play(query.get('clip') || 'geometry/chart.mp4').catch((error) => { globalThis.failed = String(error); });
}

async function play(clip) {
  const bytes = await (await fetch(`/clips/${clip}`)).arrayBuffer();
  const source = new MediaSource();
  v.muted = true;
  v.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener('sourceopen', done, { once: true }));
  const buffer = source.addSourceBuffer('video/mp4; codecs="avc1.4d401e"');
  await new Promise((done, wrong) => {
    buffer.addEventListener('updateend', done, { once: true });
    buffer.addEventListener('error', wrong, { once: true });
    buffer.appendBuffer(bytes);
  });
  source.endOfStream();
  v.loop = true;
  await v.play();
}

/** What puts back what a case's script has done. */
let undo = [];
/** Puts a case's styles and elements on the page, without moving the video. */
async function show({ css, near, far, script }) {
  await Promise.all(undo.map((back) => back()));
  undo = [];
  for (const old of [...c.children]) if (old !== v) old.remove();
  document.getElementById('style').textContent = css;
  v.insertAdjacentHTML('afterend', near);
  o.innerHTML = far;
  for (const box of [document.scrollingElement, a, b, c]) box.scrollTo(0, 0);
  await new Function('undo', `return (async () => { ${script} })()`)(undo);
}

/** The boxes of the page's overlays, and of what the browser paints over the video, in physical pixels of the viewport. */
function overlays() {
  const found = [];
  (function look(root) {
    for (const element of root.querySelectorAll('*')) {
      if (element.matches('.over, .region, [over]')) found.push(element.getBoundingClientRect());
      if (element.shadowRoot) look(element.shadowRoot);
    }
  })(document);
  return found.filter(({ width, height }) => width && height)
    .map(({ left, top, right, bottom }) => [left, top, right, bottom].map((side) => side * devicePixelRatio));
}

/** For tests of input: what the page was told. */
const told = [];
if (query.has('input')) {
  for (const type of ['click', 'dblclick', 'auxclick', 'contextmenu', 'mousedown', 'mouseup', 'wheel', 'keydown', 'dragstart', 'focusin']) {
    addEventListener(type, (event) => {
      if (type === 'contextmenu') event.preventDefault();
      told.push({ type, on: event.target.id, x: event.clientX, y: event.clientY, button: event.button, key: event.key, down: event.deltaY });
    }, { capture: true });
  }
}
