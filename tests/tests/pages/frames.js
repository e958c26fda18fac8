// World: a test's web page.
// Makes a frame of every kind; in it, or in a frame in it, something plays.

const PLAYER = '/pages/frame.html';
/** The same page for a document without an address: everything else is by its base. */
const text = (origin) => `<!doctype html><base href="${origin}"><meta charset="utf-8"><body>
  <script src="/pages/recorder.js"></script><script src="/pages/scenarios.js"></script><script src="/pages/frame.js"></script>`;

function frame(parent = document.body) {
  const element = document.createElement('iframe');
  Object.assign(element.style, { width: '400px', height: '300px' });
  parent.append(element);
  return element;
}
const loaded = (element) => new Promise((done) => { element.onload = done; });
function address(origin, contents) {
  const element = document.createElement('iframe');
  Object.assign(element.style, { width: '400px', height: '300px' });
  return Object.assign(element, contents);
}

/** How each kind is made; `origin` is where the player's page or its scripts come from. */
const kinds = {
  src: (origin) => { frame().src = origin + PLAYER; },
  lazy: (origin) => {
    document.body.append(Object.assign(document.createElement('div'), { style: 'height: 9000px' }));
    document.body.append(address(origin, { loading: 'lazy', src: origin + PLAYER }));
    scrollTo(0, 9000);
  },
  moved: async (origin) => {
    const element = frame();
    element.src = origin + '/pages/blank.html';
    await loaded(element);
    element.src = origin + PLAYER;
    document.body.appendChild(document.createElement('div')).append(element);
  },
  shadow: (origin) => { frame(document.body.appendChild(document.createElement('div')).attachShadow({ mode: 'closed' })).src = origin + PLAYER; },
  nested: (origin) => { frame().src = `${location.origin.replace('127.0.0.1', 'localhost')}/pages/frames.html?kind=src&origin=${origin}`; },
  sandboxed: (origin) => { document.body.append(address(origin, { sandbox: 'allow-scripts', src: origin + PLAYER })); },
  'sandboxed srcdoc': (origin) => { document.body.append(address(origin, { sandbox: 'allow-scripts', srcdoc: text(origin) })); },
  'same origin in a sandbox': (origin) => { document.body.append(address(origin, { sandbox: 'allow-scripts allow-same-origin', src: origin + PLAYER })); },
  // These are of this page's own origin.
  blank: (origin) => {
    const { contentDocument } = frame();
    (async () => {
      for (const name of ['recorder', 'scenarios', 'frame']) {
        const script = contentDocument.createElement('script');
        script.src = `${origin}/pages/${name}.js`;
        const done = loaded(script);
        contentDocument.body.append(script);
        await done;
      }
    })();
  },
  written: (origin) => {
    const { contentDocument } = frame();
    contentDocument.open();
    contentDocument.write(text(origin));
    contentDocument.close();
  },
  srcdoc: (origin) => { frame().srcdoc = text(origin); },
  blob: (origin) => { frame().src = URL.createObjectURL(new Blob([text(origin)], { type: 'text/html' })); },
  data: (origin) => { frame().src = `data:text/html,${encodeURIComponent(text(origin))}`; },
};

const told = new Promise((done) => addEventListener('message', ({ data }) => { if (data.log) done(data.log); }));

function make(kind, origin) {
  kinds[kind](origin);
  return told;
}

/** A frame with a player, taken out again at once or when it plays. */
async function passing(origin, plays) {
  const element = frame();
  element.src = origin + PLAYER;
  await loaded(element);
  if (plays) await new Promise((done) => addEventListener('message', done, { once: true }));
  element.remove();
}

const query = new URLSearchParams(location.search);
if (query.has('kind')) document.addEventListener('DOMContentLoaded', () => make(query.get('kind'), query.get('origin')));
