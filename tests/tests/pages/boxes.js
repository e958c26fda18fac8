// World: a test's web page, at the top and in each frame.
// Plays, or has a frame in which something plays. Each document tells the one above where the video is in it, by its own
// arithmetic; the page at the top has it as `video` and `clip()`.

const query = new URLSearchParams(location.search);
/** The frames that are still below, outermost first: their hosts. */
const [host, ...below] = (query.get('hosts') ?? '').split(' ').filter(Boolean);
document.documentElement.style.background = 'white';
document.body.style.cssText = 'margin: 0; height: 3000px';
let inner = null;
let known = null;

if (host) {
  inner = document.createElement('iframe');
  inner.src = `${location.protocol}//${host}:${location.port}/pages/boxes.html?hosts=${below.join('+')}`;
  inner.style.cssText = `position: absolute; left: ${30 + 20 * below.length}px; top: 40px; width: ${520 + 120 * below.length}px;
    height: ${380 + 100 * below.length}px; border: 5px solid gray; padding: 3px`;
  document.body.append(inner);
} else {
  globalThis.makeElement = () => {
    const element = document.createElement('video');
    element.style.cssText = 'position: absolute; left: 25px; top: 35px; height: 240px';
    element.loop = true;
    return document.body.appendChild(element);
  };
  (async () => {
    globalThis.recorder = new Recorder('h264 muxed', await (await fetch('/clips/index.json')).json());
    recorder.video.style.width = '426px';
    await recorder.open();
    await recorder.fill(0, 20);
    await recorder.play();
  })();
}

const cut = (a, b) => ({ left: Math.max(a.left, b.left), top: Math.max(a.top, b.top), right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom) });
const viewport = () => ({ left: 0, top: 0, right: visualViewport.width, bottom: visualViewport.height });

function here() {
  if (!inner) {
    const { left, top, right, bottom } = recorder.video.getBoundingClientRect();
    return { box: { left, top, right, bottom }, clip: viewport(), playing: recorder.video.readyState >= 3 };
  }
  if (!known) return null;
  const outer = inner.getBoundingClientRect();
  const scale = outer.width / inner.offsetWidth;
  const style = getComputedStyle(inner);
  const [x, y] = [outer.left + scale * (inner.clientLeft + parseFloat(style.paddingLeft)), outer.top + scale * (inner.clientTop + parseFloat(style.paddingTop))];
  const move = (b) => ({ left: x + b.left * scale, top: y + b.top * scale, right: x + b.right * scale, bottom: y + b.bottom * scale });
  return { box: move(known.box), clip: cut(move(known.clip), viewport()), playing: known.playing };
}

addEventListener('message', ({ data }) => {
  if (data.box) known = data;
  // An order for the document so many levels below.
  else if (data.levels > 0) inner.contentWindow.postMessage({ ...data, levels: data.levels - 1 }, '*');
  else if (data.script) (0, eval)(data.script);
});
(function tell() {
  const at = globalThis.recorder || inner ? here() : null;
  if (at && parent !== window) parent.postMessage(at, '*');
  requestAnimationFrame(tell);
})();

globalThis.video = { getBoundingClientRect: () => here().box };
globalThis.clip = () => here().clip;
const run = (levels, script) => postMessage({ levels, script }, '*');
if (parent === window) {
  const mark = document.createElement('div');
  mark.style.cssText = 'position: fixed; left: 0; top: 0; width: 8px; height: 8px; background: #f0f; z-index: 9';
  document.body.append(mark);
}
