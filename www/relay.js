// World: ISOLATED (content script). At document_start in covered documents; later, while a player plays in a frame below, in
// the documents around that frame. Relays between the page's hook and the extension's worker, and tells the worker where the
// pictures are, and where the frames with pictures are.

(() => {
  const KEY = Symbol.for('offstage'); // of this world only; a name could be an element's id
  if (globalThis[KEY]) return void globalThis[KEY]();
  const pristine = () => !document.documentElement?.firstElementChild;
  const eventType = `x-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`; // randomUUID is for secure contexts only
  const hook = new MessageChannel();
  let worker = null;        // runtime port: readiness, nonce, geometry
  let ready = false;
  let used = false;         // the hook has had something to say
  let needed = false;       // it wants its media port
  let media = null;         // runtime port of the media, where no frame can carry the hook's
  let nonce = null;         // one-time word that lets the worker accept that port
  const expected = [];      // ids of the elements that the next events show
  /** id → {element, sent, guard, window, index} */
  const watched = new Map();

  // ---- hook: one private port, handed over before the page has any script ----
  // Once it is taken, or the page has anything, it is not offered again: the page can ask as well.
  const onAsk = () => { document.removeEventListener('offstage-ask', onAsk, true); offer(); };
  function offer() {
    if (!pristine()) return;
    const offered = new MessageEvent('offstage-offer', { cancelable: true, data: eventType, ports: [hook.port2] });
    if (!document.dispatchEvent(offered)) document.removeEventListener('offstage-ask', onAsk, true);
  }

  hook.port1.onmessage = ({ data }) => {
    used = true;
    if (data.need) { needed = true; connect(); openMedia(); }
    if (data.watch) { expected.push(data.watch); pair(); }
    if (data.unwatch) unwatch(data.unwatch);
  };

  // The event comes in the same turn as it is sent, the port's message later. In a closed shadow tree it is the tree's own
  // listener that sees the element.
  const shown = [];
  function onShown(event) {
    const [seen] = event.composedPath();
    const inside = !(seen instanceof HTMLMediaElement) && chrome.dom.openOrClosedShadowRoot(seen);
    if (inside) return inside.addEventListener(eventType, onShown, { capture: true, once: true });
    event.stopImmediatePropagation();
    shown.push(seen);
    pair();
  }
  const pair = () => { while (expected.length && shown.length) watch(expected.shift(), shown.shift()); };

  // ---- worker: connected once the hook, or a frame below, needs it ----
  function connect() {
    if (worker) return;
    if (document.prerendering) return void document.addEventListener('prerenderingchange', connect, { once: true });
    try {
      worker = chrome.runtime.connect({ name: 'relay' });
    } catch {
      return lost(); // the extension has been updated or removed: this page goes on in the session
    }
    worker.onMessage.addListener((message) => {
      if (message.nonce) { nonce = message.nonce; connect.frame = message.frame; }
      if (message.bars) learnBars(message.bars);
      if (message.children) watchFrames(message.children);
      ready = message.ready;
      hook.port1.postMessage({ ready });
      openMedia();
    });
    worker.onDisconnect.addListener(() => { lost(); setTimeout(() => used && connect(), 1000); });
    send(true);
  }

  function lost() {
    media?.disconnect();
    worker = media = nonce = null;
    ready = needed = false;
    watchFrames([]);
    hook.port1.postMessage({ ready, gone: true });
  }

  /** A frame of the extension has no worker inside of an opaque origin, and is not loaded by an isolated page. */
  let frames = self.origin !== 'null' && !crossOriginIsolated;

  async function openMedia() {
    if (!needed || !ready || !nonce) return;
    needed = false;
    const [word, mine] = [nonce, worker];
    nonce = null;
    const port = await (frames ? portByFrame : portByRuntime)(word);
    if (worker !== mine) return;
    if (port) return void hook.port1.postMessage({}, [port]);
    if (!frames) return;
    // The frame may have used the word all the same: another one is asked for, and for another way.
    frames = false;
    worker.disconnect();
    lost();
    connect();
  }

  /** Hands the worker a port through a frame of the extension. */
  const FRAME_MS = 3000;
  function portByFrame(word) {
    const [channel, done] = [new MessageChannel(), new MessageChannel()];
    const frame = document.createElement('iframe');
    frame.style.cssText = 'display:none!important';
    frame.src = chrome.runtime.getURL('port.html');
    frame.onload = () => frame.contentWindow.postMessage({ nonce: word }, `chrome-extension://${chrome.runtime.id}`, [channel.port1, done.port2]);
    (document.documentElement || document).append(frame);
    return new Promise((resolve) => {
      done.port1.onmessage = () => resolve(channel.port2);
      setTimeout(resolve, FRAME_MS);
    }).finally(() => frame.remove());
  }

  /** Carries the messages itself, if the browser carries bytes as bytes. */
  function portByRuntime(word) {
    const channel = new MessageChannel();
    const runtime = media = chrome.runtime.connect({ name: 'media' });
    runtime.postMessage({ nonce: word, bytes: new Uint8Array(1) });
    return new Promise((resolve) => {
      runtime.onDisconnect.addListener(() => resolve());
      runtime.onMessage.addListener(function first({ bytes }) {
        runtime.onMessage.removeListener(first);
        if (!(bytes instanceof Uint8Array)) return resolve();
        runtime.onMessage.addListener((message) => channel.port1.postMessage(message));
        channel.port1.onmessage = ({ data }) => { if (media === runtime) runtime.postMessage(data); };
        resolve(channel.port2);
      });
    });
  }

  // ---- geometry: rectangles of the watched elements, sent when they change ----
  const [HEARTBEAT_MS, BURST_MS] = [1000, 400];
  let until = 0;            // frames are looked at until then
  let looking = false;
  let heartbeat = 0;
  let calibration = null;   // viewport origin inside the window, confirmed by pointer events; good for one layout of the window
  let lastWord = null;      // what the last of them said
  const resized = new ResizeObserver(() => look());
  const crossed = new IntersectionObserver(() => look(), { threshold: [0, 0.25, 0.5, 0.75, 1] });

  function watch(id, element, more) {
    unwatch(id);
    if (!(element instanceof HTMLElement)) return;
    watched.set(id, { element, sent: '', guard: null, ...more });
    resized.observe(element);
    crossed.observe(element);
    if (element instanceof HTMLMediaElement) {
      const hear = () => { for (const track of element.textTracks) track.addEventListener('cuechange', coversChange); coversChange(); };
      for (const type of ['addtrack', 'change']) element.textTracks.addEventListener(type, hear);
      hear();
      for (const type of ['loadedmetadata', 'resize', 'playing', 'emptied']) element.addEventListener(type, look);
    }
    painted.observe(document, { subtree: true, childList: true, attributeFilter: ['class', 'style', 'hidden', 'controls', 'open', 'poster'] });
    if (!heartbeat) {
      heartbeat = setInterval(() => send(true), HEARTBEAT_MS);
      listen();
    }
    look();
  }

  function unwatch(id) {
    const entry = watched.get(id);
    if (!entry) return;
    watched.delete(id);
    entry.guard?.disconnect();
    resized.unobserve(entry.element);
    crossed.unobserve(entry.element);
    if (watched.size) return;
    clearInterval(heartbeat);
    heartbeat = 0;
    painted.disconnect();
    listening.abort();
  }

  /** Something has moved: looks for a while at every frame once it is over, as whatever runs in it may move the page. */
  function look() {
    if (!watched.size) return;
    until = performance.now() + BURST_MS;
    if (looking) return;
    looking = true;
    for (const entry of watched.values()) entry.guard?.disconnect();
    send(false);
    next();
  }
  const { port1: over, port2: frame } = new MessageChannel();
  const next = () => requestAnimationFrame(() => frame.postMessage(0));
  over.onmessage = () => {
    send(false);
    if (performance.now() < until && watched.size) return next();
    looking = false;
    for (const entry of watched.values()) guard(entry);
  };

  /**
   * Waits, at no cost while nothing happens, for the element to leave the place where it is now, whatever moves it. The
   * viewport is cut down to the element's own box: any step out of it changes the part that intersects.
   */
  function guard(entry, ratio = 1) {
    entry.guard?.disconnect();
    const r = entry.element.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    const rootMargin = [r.top, clientWidth - r.right, clientHeight - r.bottom, r.left].map((inset) => `${-Math.floor(inset)}px`).join(' ');
    let first = true;
    // The document as the root: a frame's implicit one is the page's viewport.
    entry.guard = new IntersectionObserver(([{ intersectionRatio: seen }]) => {
      if (!first) return look();
      first = false;
      // Partly clipped: then both less and more of it tell that it has moved.
      if (seen !== ratio && seen > 0) guard(entry, seen);
    }, { root: document, rootMargin, threshold: ratio < 1 ? [ratio, Math.min(1, ratio + 0.001)] : 1 });
    entry.guard.observe(entry.element);
  }

  /** Listens as long as something is watched. */
  let listening = new AbortController();
  function listen() {
    if (listening.signal.aborted) listening = new AbortController();
    const options = { capture: true, passive: true, signal: listening.signal };
    for (const type of ['scroll', 'resize', 'fullscreenchange', 'transitionstart', 'transitionend', 'animationstart', 'toggle']) {
      addEventListener(type, look, options);
    }
    for (const type of ['scroll', 'resize']) visualViewport.addEventListener(type, look, options);
    document.addEventListener('visibilitychange', () => send(true), options);
    addEventListener('pagehide', onHide, options);
    addEventListener('pointermove', onPointer, options);
    for (const type of ['pointermove', 'pointerdown', 'keydown', 'play', 'pause']) addEventListener(type, onPointed, options);
  }
  const onHide = () => { for (const [ms, { shows }] of watched) if (!shows) worker?.postMessage({ geometry: { ms, visible: [] } }); };

  /** The pointer's word counts when it has said the same at two places: of a window that moves below it, it knows where that was. */
  function onPointer(event) {
    if (!event.isTrusted || window !== top) return;
    const scale = outerScale();
    const x = Math.round(event.screenX * scale - event.clientX * devicePixelRatio) - Math.round(screenX * scale);
    const y = Math.round(event.screenY * scale - event.clientY * devicePixelRatio) - Math.round(screenY * scale);
    const word = { x, y, layout: layoutOfWindow(), at: `${event.clientX} ${event.clientY}` };
    const agrees = (other) => other?.layout === word.layout && Math.abs(other.x - x) <= 1 && Math.abs(other.y - y) <= 1;
    if (agrees(calibration)) return;
    const first = lastWord;
    lastWord = word;
    if (!agrees(first) || first.at === word.at) return;
    calibration = word;
    look();
  }

  /** Physical pixels for one unit of screenX and outerWidth: those don't follow the page's zoom. */
  function outerScale() {
    const [seen, least] = [devicePixelRatio * innerWidth / Math.max(outerWidth, 1), devicePixelRatio * innerHeight / Math.max(outerHeight, 1)];
    // The page's zoom is in devicePixelRatio too: whole quarters leave room for the borders alone. Beside something docked nothing tells.
    const quarters = Math.round(seen * 4) / 4;
    if (quarters >= Math.max(1, least - 0.03) && Math.abs(seen / quarters - 1) < 0.03) bars.scale = quarters;
    return bars.scale ?? devicePixelRatio;
  }

  /** What the browser's bars and borders take: as long as it stays, the viewport begins at the same place in the window. */
  const layoutOfWindow = () => `${devicePixelRatio} ${outerWidth - innerWidth} ${outerHeight - innerHeight}`;

  /** One of about so many CSS pixels: Chromium's are whole pixels for 15 units of the window. */
  const scrollBar = (about, usual = Math.round(15 * outerScale()) / devicePixelRatio) => (Math.abs(about - usual) < 1 ? usual : about);

  /**
   * What was last seen of the window's border (while nothing was docked, or by another page) and of the bars above the page, in the browser's
   * own units; the most of these.
   */
  const bars = {};
  const [MOST_BORDER, MOST_MARGIN, USUAL_BORDER, MOST_BARS] = [48, 16, 4, 180];

  /** 1 if the window is as wide as the screen, as one is that is maximised and so has no borders. */
  const isWide = () => (outerWidth < screen.availWidth ? 0 : 1);

  /** What another page has seen of them, if this one never saw its window with nothing docked. */
  function learnBars([border, above, wide]) {
    if (bars.border !== undefined || wide !== isWide() || Math.abs(bars.above - above) > MOST_MARGIN) return;
    Object.assign(bars, { border, above });
    look();
  }

  function windowHint() {
    const scale = outerScale();
    // innerHeight is whole; the visual viewport's isn't, but leaves out a scroll bar.
    const exactly = (inner, seen) => (Math.abs(seen - inner) < 1 ? seen : seen + scrollBar(inner - seen));
    const width = Math.round(exactly(innerWidth, visualViewport.width * visualViewport.scale) * devicePixelRatio);
    const height = Math.round(exactly(innerHeight, visualViewport.height * visualViewport.scale) * devicePixelRatio);
    const outer = { x: Math.round(screenX * scale), y: Math.round(screenY * scale), width: Math.round(outerWidth * scale), height: Math.round(outerHeight * scale) };
    // Without a pointer's word: borders are the same on three sides, the browser's bars are all above; who sees the window's real borders
    // puts that right. The browser lays them out in its own units and draws what begins within a pixel from that pixel on.
    const units = (pixels) => Math.floor(pixels / scale + 0.01);
    const beside = Math.max(0, Math.round((outerWidth - width / scale) / 2)); // innerWidth rounds up
    // More is something docked: at the right or below, so that the viewport begins where it began without.
    const docked = beside > MOST_BORDER;
    if (!docked) bars.border = beside;
    const border = Math.min(beside, bars.border ?? (isWide() ? 0 : USUAL_BORDER));
    const above = Math.max(0, outerHeight - units(height) - border);
    if (above <= MOST_BARS && !(docked && bars.above)) bars.above = above;
    // Beside a side panel it has a margin, at the left and below.
    const margin = docked && above - bars.above <= MOST_MARGIN ? Math.max(0, above - bars.above) : 0;
    const [x, y] = [Math.round((border + margin) * scale), Math.round(Math.min(above, bars.above ?? above) * scale)];
    // A pointer's place is in whole units: it tells of bars that are elsewhere, and nothing of a pixel or two.
    const good = calibration?.layout === layoutOfWindow();
    const near = good && Math.abs(calibration.x - x) <= 2 * scale && Math.abs(calibration.y - y) <= 2 * scale;
    return {
      outer, viewportWidth: width, viewportHeight: height, calibrated: Boolean(good),
      viewportX: good && !near ? calibration.x : x,
      viewportY: good && !near ? calibration.y : y,
      bars: bars.border !== undefined && bars.above ? [bars.border, bars.above, isWide()] : null,
    };
  }

  const SIDES = ['Left', 'Top', 'Right', 'Bottom'];
  const box = (left, top, right, bottom) => ({ left, top, right, bottom });
  const cut = (a, b) => box(Math.max(a.left, b.left), Math.max(a.top, b.top), Math.min(a.right, b.right), Math.min(a.bottom, b.bottom));

  /** Where the element is, the part of it that its clipping ancestors and the viewport leave, and what of its style no upright box shows. */
  function measure(element) {
    const r = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const px = (name) => parseFloat(style[name]) || 0;
    const inner = SIDES.map((side) => px(`border${side}Width`) + px(`padding${side}`));
    const k = scaleOf(element, r);
    let { odd, node } = styleOf(element, style, r, inner, style.borderRadius, [false, false]);
    const nodes = [];
    const content = odd && isTurned(style) ? r : box(r.left + inner[0] * k, r.top + inner[1] * k, r.right - inner[2] * k, r.bottom - inner[3] * k);
    const { offsetLeft, offsetTop, width, height } = visualViewport;
    let seen = box(offsetLeft, offsetTop, offsetLeft + width, offsetTop + height);
    let [group, turned] = [null, false];
    for (const { up, s, cuts, edges, o } of [...around(element)].reverse()) {
      const isCut = cuts[0] || cuts[1];
      const { odd: more, node: next } = styleOf(up, s, o, edges, isCut ? s.borderRadius : '', cuts);
      if (s.opacity !== '1') group ??= up;
      odd ||= more;
      turned ||= isTurned(s);
      if (more || isCut) nodes.unshift(next);
      if (isCut) seen = cut(seen, cutBy(up, o, turned ? [0, 0, 0, 0] : edges, cuts));
    }
    nodes.unshift(node);
    if (style.opacity !== '1') group ??= element;
    // A turned one is where outlines leave it.
    seen = cut(seen, turned || isTurned(style) ? box(r.left - 1, r.top - 1, r.right + 1, r.bottom + 1) : SIDES.some((side) => px(`padding${side}`)) ? content : whole(content));
    const { fullscreenElement } = document;
    let full = !fullscreenElement;
    for (let up = element; up && !full; up = above(up)) full = up === fullscreenElement;
    const drawn = element.isConnected && document.visibilityState === 'visible' && r.width > 0 && full &&
      (element.checkVisibility ? element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) : true);
    const visible = drawn && seen.right > seen.left && seen.bottom > seen.top ? uncovered(element, content, seen).map(physical) : [];
    const shape = odd && visible.length ? { nodes, ground: group && groundOf(element, group, seen) } : null;
    return { style, content, visible, shape, scale: k };
  }

  /**
   * The elements around one, up to what lies above the whole page: each with its style, in which directions it cuts off what is in it, its
   * box, and how far inside of that it cuts, in its own pixels.
   */
  function* around(element) {
    let [inTop, held] = [isTop(element), getComputedStyle(element).position];
    for (let up = above(element); up && !inTop; up = above(up)) {
      inTop = isTop(up);
      const s = getComputedStyle(up);
      const holds = held === 'fixed' ? isHolder(s) : held !== 'absolute' || s.position !== 'static' || isHolder(s);
      if (holds) held = s.position;
      const all = /paint|strict|content/.test(s.contain);
      const isRoot = up === document.body || up === document.documentElement; // what these hide, the viewport does
      const cuts = holds && !isRoot ? [all || s.overflowX !== 'visible', all || s.overflowY !== 'visible'] : [false, false];
      const o = up.getBoundingClientRect();
      const { clientLeft, clientTop, clientWidth, clientHeight, offsetWidth = o.width, offsetHeight = o.height } = up; // an SVG's have none
      const margin = s.overflowX === 'clip' ? parseFloat(s.overflowClipMargin) || 0 : 0;
      const rounded = [clientLeft, clientTop, offsetWidth - clientLeft - clientWidth, offsetHeight - clientTop - clientHeight];
      const borders = SIDES.map((side) => parseFloat(s[`border${side}Width`]));
      const edges = rounded.map((edge, i) => borders[i] + (Math.abs(edge - borders[i]) < 2 ? 0 : scrollBar(edge - borders[i])) - margin);
      yield { up, s, cuts, edges, o };
    }
  }

  function cutBy(up, o, edges, cuts) {
    const z = scaleOf(up, o);
    return box(cuts[0] ? o.left + edges[0] * z : -1e6, cuts[1] ? o.top + edges[1] * z : -1e6,
      cuts[0] ? o.right - edges[2] * z : 1e6, cuts[1] ? o.bottom - edges[3] * z : 1e6);
  }

  const isTop = (element) => element.matches(':modal, :popover-open');
  /** Whether what is fixed in it is fixed to it. */
  const isHolder = (s) => s.transform !== 'none' || s.filter !== 'none' || s.perspective !== 'none' || s.rotate !== 'none' || s.scale !== 'none' ||
    s.translate !== 'none' || /paint|strict|content|layout/.test(s.contain) || /transform|filter|perspective/.test(s.willChange);

  /** What the worker has to know of an element's style, as computed, if anything. */
  const INITIAL = Object.entries({ clipPath: 'none', transform: 'none', rotate: 'none', scale: 'none', translate: 'none', filter: 'none', opacity: '1' });
  function styleOf(element, s, r, inner, radius, cuts) {
    const node = { ...exact(r), own: [element.offsetWidth ?? r.width, element.offsetHeight ?? r.height], inner, cuts, origin: s.transformOrigin };
    let odd = false;
    for (const [name, usual] of INITIAL) if (s[name] !== usual) { node[name] = s[name]; odd = true; }
    if (node.opacity) node.opacity = Number(node.opacity);
    if (/[1-9]/.test(radius)) { node.radius = radius; odd = true; }
    const strange = s.mixBlendMode !== 'normal' || s.maskImage !== 'none' || s.perspective !== 'none' || s.offsetPath !== 'none' || s.clip !== 'auto';
    if (strange) { node.strange = true; odd = true; }
    return { odd, node };
  }

  /** The one colour behind all of what lets it through, null if there are several. */
  function groundOf(element, group, seen) {
    let found = null;
    for (let i = 0; i < 9; i++) {
      const [x, y] = [seen.left + (seen.right - seen.left) * (i % 3 + 0.5) / 3, seen.top + (seen.bottom - seen.top) * (Math.floor(i / 3) + 0.5) / 3];
      const all = element.getRootNode().elementsFromPoint(x, y);
      let color = 'rgb(255, 255, 255)';
      for (const behind of all.slice(all.indexOf(element) + 1)) {
        if (group.contains(behind)) continue;
        const s = getComputedStyle(behind);
        if (s.backgroundImage !== 'none' || /^(img|canvas|svg|video|iframe|object|embed)$/.test(behind.localName)) return null;
        if (/, 0\)$/.test(s.backgroundColor)) continue;
        color = s.backgroundColor;
        break;
      }
      if (color !== (found ??= color)) return null;
    }
    return /^rgb\(/.test(found) ? found.match(/\d+/g).map(Number) : null;
  }

  // ---- what is painted over an element: its own controls and captions, and what the page has above it ----
  const COVERS_MS = 150;
  /** Elements that are looked at, boxes that are cut out, tints that are laid over a picture. */
  const [MOST_ELEMENTS, MOST_COVERS, MOST_VEILS] = [4000, 300, 8];
  /** Chromium's controls, in CSS pixels, and how long they stay after the pointer has moved. */
  const [CONTROLS, CONTROLS_MS] = [84, 3500];
  /** Element → {at, boxes, veils}, relative to its content box. */
  const coversOf = new WeakMap();
  let [coversDue, sentFrame] = [0, ''];
  const coversChange = () => { if (watched.size) coversDue ||= setTimeout(() => { coversDue = 0; send(false); }, COVERS_MS); };
  const painted = new MutationObserver(coversChange);
  let pointed = { element: null, at: 0 };
  function onPointed({ target }) {
    pointed = { element: target, at: performance.now() };
    coversChange();
  }

  /** `seen` without what is painted over the element. */
  function uncovered(element, content, seen) {
    let known = coversOf.get(element);
    if (!known || performance.now() - known.at > COVERS_MS) coversOf.set(element, known = { at: performance.now(), ...covers(element, content, seen) });
    const at = corner(content);
    return known.boxes.reduce((all, b) => all.flatMap((a) => without(a, relative(b, at))), [seen]);
  }

  function without(a, b) {
    const c = cut(a, b);
    if (c.right <= c.left || c.bottom <= c.top) return [a];
    const parts = [box(a.left, a.top, a.right, c.top), box(a.left, c.bottom, a.right, a.bottom), box(a.left, c.top, c.left, c.bottom), box(c.right, c.top, a.right, c.bottom)];
    return parts.filter((p) => p.right > p.left && p.bottom > p.top);
  }

  function covers(element, content, seen) {
    const [width, height] = [content.right - content.left, content.bottom - content.top];
    const [boxes, veils] = [captions(element, width, height), []];
    // In full screen the browser shows them whether the page wants them or not.
    const controls = (element.controls || document.fullscreenElement === element) && (element.paused || (pointed.element === element && performance.now() - pointed.at < CONTROLS_MS));
    if (controls) boxes.push(box(0, height - CONTROLS, width, height));
    for (const other of elementsAbove(element, seen)) {
      const s = getComputedStyle(other);
      for (const o of [shownOf(other, s), pseudoOf(other, '::before'), pseudoOf(other, '::after')]) {
        const c = o && cut(o, whole(content));
        if (!c || c.right <= c.left || c.bottom <= c.top) continue;
        if (o.veil && veils.length < MOST_VEILS && element instanceof HTMLMediaElement) { veils.push({ ...relative(o, content), ...o.veil }); continue; }
        // A veil over most of the picture is left out: the picture counts more.
        if (!o.solid && (c.right - c.left) * (c.bottom - c.top) > 0.6 * width * height) continue;
        for (const part of roundedOff(o, c)) boxes.push(relative(part, content));
      }
    }
    return { boxes: boxes.slice(0, MOST_COVERS), veils };
  }

  const corner = ({ left, top }) => ({ left: -left, top: -top });
  const relative = (b, { left, top }) => box(b.left - left, b.top - top, b.right - left, b.bottom - top);

  /** What only tints what is below it: a colour or gradients, for the device to lay over the picture; null for anything else. */
  function veilOf(other, s) {
    const plain = { transform: 'none', rotate: 'none', scale: 'none', filter: 'none', backdropFilter: 'none', mixBlendMode: 'normal', maskImage: 'none', clipPath: 'none',
      backgroundSize: 'auto', backgroundRepeat: 'repeat', backgroundClip: 'border-box', borderTopWidth: '0px', borderBottomWidth: '0px', borderLeftWidth: '0px' };
    const { backgroundImage: image, backgroundColor: color } = s;
    if (Object.entries(plain).some(([name, usual]) => s[name] !== usual) || /url|image\(|-set/.test(image) || image.length > 400) return null;
    let opacity = 1;
    for (let up = other; up; up = above(up)) opacity *= Number(getComputedStyle(up).opacity);
    const k = devicePixelRatio * visualViewport.scale * scaleOf(other, other.getBoundingClientRect());
    const scaled = (text) => text.replace(/([\d.]+)px/g, (_, length) => `${length * k}px`);
    return { background: scaled(image === 'none' ? color : `${image}, linear-gradient(${color}, ${color})`), radius: scaled(s.borderRadius), opacity };
  }

  /** Where an element paints something, if it does: with its outline, without what is cut off from it. */
  function shownOf(other, s) {
    const solid = /^(img|canvas|svg|video|iframe|input|button)$/.test(other.localName) || /^rgb\(/.test(s.backgroundColor);
    const text = [...other.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const paints = solid || text || s.backgroundImage !== 'none' || !/, 0\)$/.test(s.backgroundColor) || (s.borderTopStyle !== 'none' && parseFloat(s.borderTopWidth) > 0);
    if (!paints || !other.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return null;
    const whole = other.getBoundingClientRect();
    const more = s.outlineStyle === 'none' ? 0 : Math.max(0, parseFloat(s.outlineWidth) + parseFloat(s.outlineOffset)) || 0;
    let shown = box(whole.left - more, whole.top - more, whole.right + more, whole.bottom + more);
    for (const { up, cuts, edges, o } of around(other)) if (cuts[0] || cuts[1]) shown = cut(shown, cutBy(up, o, edges, cuts));
    const isWhole = ['left', 'top', 'right', 'bottom'].every((side) => shown[side] === whole[side]);
    return { ...shown, solid, veil: !solid && !text && isWhole ? veilOf(other, s) : null, radius: s.transform === 'none' && solid && !more ? s.borderRadius : '' };
  }

  /** A positioned `::before` or `::after`: no other part of the page tells where it is. */
  function pseudoOf(other, name) {
    const s = getComputedStyle(other, name);
    if (s.content === 'none' || s.content === 'normal' || !/absolute|fixed/.test(s.position) || s.display === 'none' || s.visibility !== 'visible') return null;
    let holder = other;
    while (holder && getComputedStyle(holder).position === 'static') holder = above(holder);
    const r = (holder ?? document.documentElement).getBoundingClientRect();
    const px = (...names) => names.reduce((sum, each) => sum + (parseFloat(s[each]) || 0), 0);
    const [left, top] = [r.left + (holder?.clientLeft ?? 0) + px('left', 'marginLeft'), r.top + (holder?.clientTop ?? 0) + px('top', 'marginTop')];
    const inner = s.boxSizing !== 'border-box';
    const right = left + px('width', ...(inner ? ['paddingLeft', 'paddingRight', 'borderLeftWidth', 'borderRightWidth'] : []));
    const bottom = top + px('height', ...(inner ? ['paddingTop', 'paddingBottom', 'borderTopWidth', 'borderBottomWidth'] : []));
    return /, 0\)$/.test(s.backgroundColor) && s.backgroundImage === 'none' && s.content === '""' ? null : box(left, top, right, bottom);
  }

  /** The part `c` of a box with round corners, as rows that hold all of it. */
  function roundedOff(o, c) {
    const [, size, unit] = /^([\d.]+)(px|%)$/.exec(o.radius ?? '') ?? [];
    const [width, height] = [o.right - o.left, o.bottom - o.top];
    const of = (side) => Math.min(unit === '%' ? size / 100 * side : Number(size), side / 2);
    const [rx, ry] = [of(width), of(height)];
    if (!(rx >= 4 && ry >= 4)) return [c];
    const rows = [cut(box(o.left, o.top + ry, o.right, o.bottom - ry), c)];
    const count = Math.min(12, Math.ceil(ry / 2));
    for (let i = 0; i < count; i++) {
      // A row is as wide as its widest line, the one nearest to the middle.
      const [from, to] = [ry * i / count, ry * (i + 1) / count];
      const x = rx - rx * Math.sqrt(Math.max(0, 1 - ((ry - to) / ry) ** 2));
      rows.push(cut(box(o.left + x, o.top + from, o.right - x, o.top + to), c), cut(box(o.left + x, o.bottom - to, o.right - x, o.bottom - from), c));
    }
    return rows.filter((row) => row.right > row.left && row.bottom > row.top);
  }

  /** What lies above the element and reaches into it. */
  function elementsAbove(element, seen) {
    const order = new Map();
    (function into(root) {
      for (const other of root.querySelectorAll('*')) {
        if (order.size >= MOST_ELEMENTS) return;
        order.set(other, order.size);
        const inside = (other.localName.includes('-') || other.shadowRoot) && chrome.dom.openOrClosedShadowRoot(other);
        if (inside) into(inside);
      }
    })(document);
    const outside = new Set();
    for (let up = element; up; up = above(up)) outside.add(up);
    const found = [];
    let own = null;
    for (const other of order.keys()) {
      if (outside.has(other)) {
        if (other !== element && hasPseudo(other)) found.push(other);
        continue;
      }
      const r = other.getBoundingClientRect();
      if (r.right <= seen.left || r.left >= seen.right || r.bottom <= seen.top || r.top >= seen.bottom) continue;
      if (isBefore(own ??= layers(element), layers(other), order)) found.push(other);
    }
    return found;
  }

  const hasPseudo = (element) => element.isConnected && ['::before', '::after'].some((name) => /absolute|fixed/.test(getComputedStyle(element, name).position));

  /**
   * The stacking contexts and positioned elements that an element is painted with, outermost first, each with its layer
   * (CSS 2, appendix E): below the text of the context, among it, at the level 0, above.
   */
  function layers(element) {
    const all = [];
    for (let up = element, inner = element; up; inner = up, up = above(up)) {
      const s = getComputedStyle(up);
      const onTop = isTop(up);
      const z = Number(s.zIndex) || 0;
      const isItem = s.zIndex !== 'auto' && /flex|grid/.test(up.parentElement ? getComputedStyle(up.parentElement).display : '');
      const isContext = onTop || (s.zIndex !== 'auto' && (s.position !== 'static' || isItem)) || /fixed|sticky/.test(s.position) || s.opacity !== '1' || isHolder(s) ||
        s.isolation === 'isolate' || s.mixBlendMode !== 'normal' || s.clipPath !== 'none' || s.maskImage !== 'none';
      // A positioned one that is no context takes part in the one around with its own content only.
      if (isContext || (s.position !== 'static' && all.every(([layer]) => layer === -0.5))) all.unshift([onTop ? Infinity : z, up]);
      else if (up === element) all.unshift([-0.5, element]);
      if (onTop) break;
    }
    return all;
  }

  /** Whether `other` is painted later. */
  function isBefore(own, other, order) {
    for (let i = 0; ; i++) {
      if (i >= own.length || i >= other.length) return own.length < other.length;
      const [[z, element], [otherZ, node]] = [own[i], other[i]];
      if (element === node) continue;
      return z === otherZ ? (order.get(element) ?? -1) < (order.get(node) ?? -1) : z < otherZ;
    }
  }

  /** Where the browser draws the cues of now: lines of 5 % of the height, from the bottom unless a cue says another line. */
  function captions(element, width, height) {
    const [boxes, line] = [[], 0.0625 * height];
    let below = height - (element.controls ? CONTROLS : 0);
    for (const track of element.textTracks ?? []) {
      if (track.mode === 'hidden' || track.mode === 'disabled') continue;
      for (const cue of track.activeCues ?? []) {
        const rows = cue.text.split('\n').reduce((sum, row) => sum + Math.ceil((row.length * 0.45 * line || 1) / width), 0);
        const top = cue.line === 'auto' ? below - rows * line - 0.02 * height
          : cue.snapToLines ? (cue.line < 0 ? height + cue.line * line : cue.line * line) : cue.line / 100 * height;
        if (cue.line === 'auto') below = top;
        boxes.push(box(0, top, width, top + rows * line + 0.02 * height));
      }
    }
    return boxes;
  }

  /** What transforms make of its own pixels. */
  const scaleOf = (element, drawn) => (element.offsetWidth ? drawn.width / element.offsetWidth : 1);
  /** The element around, out of shadow trees too. */
  const above = (element) => element.assignedSlot ?? element.parentElement ?? element.getRootNode().host;
  const isTurned = ({ rotate, transform }) => rotate !== 'none' || /^matrix(3d|\(-|\([^,]*, (?!0, 0,))/.test(transform);

  function exact({ left, top, right, bottom }) {
    const { offsetLeft, offsetTop, scale } = visualViewport;
    const s = devicePixelRatio * scale;
    return { x: (left - offsetLeft) * s, y: (top - offsetTop) * s, width: (right - left) * s, height: (bottom - top) * s };
  }
  /** As layouts round, in 64ths: halves up, also those a little less here. */
  const round = (at) => Math.floor(at + 0.505);

  /** What a video or a frame fills, unless padding cuts it: size and place, each rounded. */
  function whole(b) {
    const [{ x, y, width, height }, s] = [exact(b), devicePixelRatio * visualViewport.scale];
    return box(b.left, b.top, b.left + (round(x) + round(width) - x) / s, b.top + (round(y) + round(height) - y) / s);
  }

  function physical(b) {
    const { x, y, width, height } = exact(b);
    const [left, top] = [round(x), round(y)];
    return { x: left, y: top, width: Math.max(0, round(x + width) - left), height: Math.max(0, round(y + height) - top) };
  }

  /** Whether a video has the size in which its first frame will be seen: before its metadata, if its style says so. */
  function hasSize(element) {
    const style = element instanceof HTMLVideoElement && element.computedStyleMap?.();
    return element.videoWidth || (style && ['width', 'height'].every((side) => `${style.get(side) ?? 'auto'}` !== 'auto'));
  }

  function send(anyway) {
    if (!worker) return;
    const [media, children] = [[], []];
    for (const [ms, entry] of watched) {
      const { element } = entry;
      const { style: { objectFit, objectPosition }, content, visible: seen, shape, scale } = measure(element);
      // Until it plays an element shows its poster.
      const poster = element.poster && element.paused && !element.played.length && !element.currentTime;
      const visible = entry.shows || (!poster && hasSize(element)) ? seen : [];
      const natural = element.videoWidth ? [element.videoWidth, element.videoHeight] : null;
      const css = scale * devicePixelRatio * visualViewport.scale;
      const veils = (visible.length && coversOf.get(element)?.veils || []).map(({ background, radius, opacity, ...b }) =>
        ({ background, radius, opacity, ...exact(relative(b, corner(content))) }));
      if (!entry.shows) media.push({ entry, geometry: { ms, rect: exact(content), visible, veils, ...shape, objectFit, objectPosition, natural, scale: css } });
      else if (showsStill(entry)) children.push({ frame: entry.frame, rect: physical(whole(content)), visible, ...shape });
    }
    const size = { width: Math.round(innerWidth * devicePixelRatio), height: Math.round(innerHeight * devicePixelRatio) };
    const frame = { index: indexAbove(), above: relayAbove(), ...size, children, window: window === top ? windowHint() : null };
    const said = JSON.stringify(frame);
    const news = anyway || said !== sentFrame;
    if (news) worker.postMessage({ frame });
    sentFrame = said;
    for (const { entry, geometry } of media) {
      const text = JSON.stringify(geometry);
      if (news || text !== entry.sent) worker.postMessage({ geometry });
      entry.sent = text;
    }
  }

  // ---- frames: this one's place in the one above, and the ones below in which something plays ----
  /** Which of the frames above's frames this is; -1 at the top and in a shadow tree. No page can make that up. */
  function indexAbove() {
    if (window === top || (place >= 0 && parent[place] === window)) return place;
    place = -1;
    for (let i = 0, n = parent.length; i < n && place < 0; i++) if (parent[i] === window) place = i;
    return place;
  }

  /** The browser doesn't list frames of blob: documents; the document around is of the same origin and has a relay that knows its number. */
  function relayAbove() {
    try {
      if (location.protocol !== 'blob:' || window === top) return null;
      parent[KEY]();
      return parent[KEY].frame ?? null;
    } catch { return null; }
  }

  const FRAMES = 'iframe, frame, object, embed';
  const showsStill = ({ element, shows }) => element.isConnected && element.contentWindow === shows;
  let [wanted, retry, place] = [[], 0, -1];
  function watchFrames(children) {
    wanted = children;
    clearTimeout(retry);
    for (const [id, entry] of watched) {
      if (entry.shows && !(showsStill(entry) && wanted.some(({ frame, index }) => entry.frame === frame && entry.index === index))) unwatch(id);
    }
    for (const { frame, index } of wanted) {
      const id = `frame ${frame}`;
      const element = watched.get(id)?.element ?? frameElement(index);
      if (!element) retry = setTimeout(() => watchFrames(wanted), 500);
      else if (!watched.has(id)) watch(id, element, { frame, index, shows: element.contentWindow });
    }
    if (wanted.length || used || !worker) return;
    worker.disconnect();
    worker = null;
  }

  function frameElement(index) {
    if (index >= 0) return [...document.querySelectorAll(FRAMES)].find((element) => element.contentWindow === window[index]);
    const found = [];
    (function lookInside(root) {
      for (const element of root.querySelectorAll('*')) {
        const inside = chrome.dom.openOrClosedShadowRoot(element);
        if (!inside) continue;
        found.push(...inside.querySelectorAll(FRAMES));
        lookInside(inside);
      }
    })(document);
    // Nothing tells several apart.
    return found.length === 1 ? found[0] : null;
  }

  // ---- the document's life ----
  // document.open() takes all listeners away, not the window.
  function begin() {
    addEventListener(eventType, onShown, true);
    addEventListener('pagehide', onStored);
    addEventListener('pageshow', onRestored);
    if (watched.size) listen();
  }
  /** The browser keeps the page for a way back: it cuts the port, and the session's player is kept with the page. */
  function onStored({ persisted }) {
    if (!persisted || !worker) return;
    worker.disconnect();
    lost();
  }
  const onRestored = ({ persisted }) => { if (persisted && used) connect(); };

  globalThis[KEY] = connect;
  if (!pristine()) return connect();
  begin();
  new MutationObserver(begin).observe(document, { childList: true });
  document.addEventListener('offstage-ask', onAsk, true);
  offer();
  setTimeout(() => document.removeEventListener('offstage-ask', onAsk, true), 0);
})();
