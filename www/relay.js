// World: ISOLATED (content script), document_start, covered origins only.
// Relays between the page's hook and the extension's worker, and tells the worker where the pictures are.

(() => {
  const eventType = `x-${crypto.randomUUID()}`;
  const hook = new MessageChannel();
  let worker = null;        // runtime port: readiness, nonce, geometry
  let ready = false;
  let needed = false;       // the hook wants its media port
  let nonce = null;         // one-time word that lets the worker accept that port
  const expected = [];      // ids of the elements that the next events show
  /** id → {element, sent, hidden} */
  const watched = new Map();

  // ---- hook: one private port, handed over before the page has any script ---------------------------------------
  // Once it is taken, or the page has anything, it is not offered again: the page can ask as well.
  const onAsk = () => { document.removeEventListener('offstage-ask', onAsk, true); offer(); };
  function offer() {
    if (document.documentElement?.firstElementChild) return;
    const offered = new MessageEvent('offstage-offer', { cancelable: true, data: eventType, ports: [hook.port2] });
    if (!document.dispatchEvent(offered)) document.removeEventListener('offstage-ask', onAsk, true);
  }
  document.addEventListener('offstage-ask', onAsk, true);
  offer();
  setTimeout(() => document.removeEventListener('offstage-ask', onAsk, true), 0);

  hook.port1.onmessage = ({ data }) => {
    if (data.need) { needed = true; openMedia(); }
    if (data.watch) { expected.push(data.watch); pair(); }
    if (data.unwatch) unwatch(data.unwatch);
  };

  // The event comes in the same turn as it is sent, the port's message later.
  const shown = [];
  addEventListener(eventType, (event) => {
    event.stopImmediatePropagation();
    shown.push(event.composedPath()[0]);
    pair();
  }, true);
  function pair() {
    while (expected.length && shown.length) watch(expected.shift(), shown.shift());
  }

  // ---- worker ---------------------------------------------------------------------------------------------------
  function connect() {
    try {
      worker = chrome.runtime.connect({ name: 'relay' });
    } catch {
      worker = null; // the extension has been updated or removed: this page goes on in the session
      return;
    }
    worker.onMessage.addListener((message) => {
      if (message.nonce) nonce = message.nonce;
      if (typeof message.ready === 'boolean') { ready = message.ready; hook.port1.postMessage({ ready }); }
      openMedia();
    });
    worker.onDisconnect.addListener(() => {
      worker = null;
      nonce = null;
      ready = false;
      needed = false;
      hook.port1.postMessage({ ready, gone: true });
      setTimeout(connect, 1000);
    });
  }

  /** Hands a port to the worker through a frame of the extension, which is gone again at once. */
  function openMedia() {
    if (!needed || !ready || !nonce) return;
    needed = false;
    const word = nonce;
    nonce = null;
    const media = new MessageChannel();
    const frame = document.createElement('iframe');
    frame.style.cssText = 'display:none!important';
    frame.src = chrome.runtime.getURL('port.html');
    const done = new MessageChannel();
    done.port1.onmessage = () => frame.remove();
    frame.onload = () => frame.contentWindow.postMessage({ nonce: word }, `chrome-extension://${chrome.runtime.id}`, [media.port1, done.port2]);
    (document.documentElement || document).append(frame);
    hook.port1.postMessage({}, [media.port2]);
  }

  // ---- geometry: rectangles of the watched elements, sent when they change --------------------------------------
  const HEARTBEAT_MS = 1000;
  const BURST_MS = 400;
  let until = 0;            // frames are looked at until then
  let looking = false;
  let heartbeat = 0;
  let calibration = null;   // viewport origin inside the window, confirmed by a pointer event; good for one layout of the window
  const resized = new ResizeObserver(() => look());
  const crossed = new IntersectionObserver(() => look(), { threshold: [0, 0.25, 0.5, 0.75, 1] });

  function watch(id, element) {
    unwatch(id);
    if (!(element instanceof HTMLMediaElement)) return;
    watched.set(id, { element, sent: '', guard: null });
    resized.observe(element);
    crossed.observe(element);
    const hear = () => { for (const track of element.textTracks) track.addEventListener('cuechange', coversChange); coversChange(); };
    for (const type of ['addtrack', 'change']) element.textTracks.addEventListener(type, hear);
    hear();
    painted.observe(document, { subtree: true, childList: true, attributeFilter: ['class', 'style', 'hidden', 'controls'] });
    if (!heartbeat) heartbeat = setInterval(() => send(true), HEARTBEAT_MS);
    look();
  }

  function unwatch(id) {
    const entry = watched.get(id);
    if (!entry) return;
    watched.delete(id);
    entry.guard?.disconnect();
    resized.unobserve(entry.element);
    crossed.unobserve(entry.element);
    if (!watched.size) { clearInterval(heartbeat); heartbeat = 0; painted.disconnect(); }
  }

  /** Looks at every frame for a while: something has moved. */
  function look() {
    if (!watched.size) return;
    until = performance.now() + BURST_MS;
    if (looking) return;
    looking = true;
    const frame = () => {
      send(false);
      if (performance.now() < until && watched.size) return void requestAnimationFrame(frame);
      looking = false;
      for (const entry of watched.values()) guard(entry);
    };
    for (const entry of watched.values()) entry.guard?.disconnect();
    send(false);
    requestAnimationFrame(frame);
  }

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
    entry.guard = new IntersectionObserver(([{ intersectionRatio: seen }]) => {
      if (!first) return look();
      first = false;
      // Partly clipped: then both less and more of it tell that it has moved.
      if (seen !== ratio && seen > 0) guard(entry, seen);
    }, { rootMargin, threshold: ratio < 1 ? [ratio, Math.min(1, ratio + 0.001)] : 1 });
    entry.guard.observe(entry.element);
  }

  for (const type of ['scroll', 'resize', 'fullscreenchange', 'transitionstart', 'transitionend', 'animationstart', 'toggle']) {
    addEventListener(type, look, { capture: true, passive: true });
  }
  for (const type of ['scroll', 'resize']) visualViewport.addEventListener(type, look, { passive: true });
  document.addEventListener('visibilitychange', () => send(true));
  addEventListener('pagehide', () => { for (const id of watched.keys()) worker?.postMessage({ geometry: { ms: id, visible: [] } }); });
  addEventListener('pointermove', (event) => {
    if (!watched.size || !event.isTrusted) return;
    const scale = outerScale();
    const x = Math.round(event.screenX * scale - event.clientX * devicePixelRatio) - Math.round(screenX * scale);
    const y = Math.round(event.screenY * scale - event.clientY * devicePixelRatio) - Math.round(screenY * scale);
    if (calibration?.layout === layoutOfWindow() && Math.abs(calibration.x - x) <= 1 && Math.abs(calibration.y - y) <= 1) return;
    calibration = { x, y, layout: layoutOfWindow() };
    look();
  }, { capture: true, passive: true });

  /** Physical pixels for one unit of screenX and outerWidth: those don't follow the page's zoom. */
  const outerScale = () => (window.visualViewport && innerWidth ? Math.round(devicePixelRatio * innerWidth) / Math.max(outerWidth, 1) > 1.01 ? devicePixelRatio : 1 : 1);

  /** What the browser's bars and borders take: as long as it stays, the viewport begins at the same place in the window. */
  const layoutOfWindow = () => `${devicePixelRatio} ${outerWidth - innerWidth} ${outerHeight - innerHeight}`;

  function windowHint() {
    const scale = outerScale();
    const width = Math.round(innerWidth * devicePixelRatio);
    const height = Math.round(innerHeight * devicePixelRatio);
    const outer = { x: Math.round(screenX * scale), y: Math.round(screenY * scale), width: Math.round(outerWidth * scale), height: Math.round(outerHeight * scale) };
    const good = calibration?.layout === layoutOfWindow();
    // Without a pointer's word: borders are the same on three sides, the browser's bars are all above.
    const border = Math.max(0, Math.round((outer.width - width) / 2));
    return {
      outer, viewportWidth: width, viewportHeight: height, calibrated: Boolean(good),
      viewportX: good ? calibration.x : border,
      viewportY: good ? calibration.y : Math.max(0, outer.height - height - border),
    };
  }

  const box = (left, top, right, bottom) => ({ left, top, right, bottom });
  const cut = (a, b) => box(Math.max(a.left, b.left), Math.max(a.top, b.top), Math.min(a.right, b.right), Math.min(a.bottom, b.bottom));

  /** The element's content box and the part of it that its clipping ancestors and the viewport leave, in CSS pixels. */
  function measure(element) {
    const r = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const px = (name) => parseFloat(style[name]) || 0;
    const content = box(r.left + px('borderLeftWidth') + px('paddingLeft'), r.top + px('borderTopWidth') + px('paddingTop'),
      r.right - px('borderRightWidth') - px('paddingRight'), r.bottom - px('borderBottomWidth') - px('paddingBottom'));
    // The visual viewport leaves out the scroll bars.
    const { offsetLeft, offsetTop, width, height } = visualViewport;
    let seen = cut(content, box(offsetLeft, offsetTop, offsetLeft + width, offsetTop + height));
    for (let up = element.parentElement; up && document.fullscreenElement !== element; up = up.parentElement) {
      if (up === document.body || up === document.documentElement) continue;
      const s = getComputedStyle(up);
      if (s.overflowX === 'visible' && s.overflowY === 'visible') continue;
      const o = up.getBoundingClientRect();
      const left = o.left + up.clientLeft;
      const top = o.top + up.clientTop;
      seen = cut(seen, box(s.overflowX === 'visible' ? -1e6 : left, s.overflowY === 'visible' ? -1e6 : top,
        s.overflowX === 'visible' ? 1e6 : left + up.clientWidth, s.overflowY === 'visible' ? 1e6 : top + up.clientHeight));
    }
    const { fullscreenElement } = document;
    const drawn = element.isConnected && document.visibilityState === 'visible' && r.width > 0 &&
      (!fullscreenElement || fullscreenElement.contains(element)) &&
      (element.checkVisibility ? element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) : true);
    return { content, seen: drawn && seen.right > seen.left && seen.bottom > seen.top ? seen : null, style };
  }

  // ---- what is painted over an element: its own controls and captions, and what the page has above it -------------------
  const COVERS_MS = 150;
  /** Points a row in which is looked for what is above; most boxes that are cut out. */
  const [GRID, MOST_COVERS] = [6, 24];
  /** Chromium's controls, in CSS pixels, and how long they stay after the pointer has moved. */
  const [CONTROLS, CONTROLS_MS] = [84, 3500];
  /** Element → {at, boxes}, the boxes relative to its content box. */
  const coversOf = new WeakMap();
  let coversDue = 0;
  const coversChange = () => { if (watched.size) coversDue ||= setTimeout(() => { coversDue = 0; send(false); }, COVERS_MS); };
  const painted = new MutationObserver(coversChange);
  let pointed = { element: null, at: 0 };
  for (const type of ['pointermove', 'pointerdown', 'keydown', 'play', 'pause']) {
    addEventListener(type, ({ target }) => { if (watched.size) { pointed = { element: target, at: performance.now() }; coversChange(); } }, { capture: true, passive: true });
  }

  /** `seen` without what is painted over the element. */
  function uncovered(element, content, seen) {
    let known = coversOf.get(element);
    if (!known || performance.now() - known.at > COVERS_MS) coversOf.set(element, known = { at: performance.now(), boxes: covers(element, content, seen) });
    let parts = [seen];
    for (const b of known.boxes) {
      const c = box(content.left + b.left, content.top + b.top, content.left + b.right, content.top + b.bottom);
      parts = parts.flatMap((a) => without(a, c));
    }
    return parts;
  }

  function without(a, b) {
    const c = cut(a, b);
    if (c.right <= c.left || c.bottom <= c.top) return [a];
    const parts = [box(a.left, a.top, a.right, c.top), box(a.left, c.bottom, a.right, a.bottom), box(a.left, c.top, c.left, c.bottom), box(c.right, c.top, a.right, c.bottom)];
    return parts.filter((p) => p.right > p.left && p.bottom > p.top);
  }

  function covers(element, content, seen) {
    const [width, height] = [content.right - content.left, content.bottom - content.top];
    const boxes = captions(element, width, height);
    const controls = element.controls && (element.paused || (pointed.element === element && performance.now() - pointed.at < CONTROLS_MS));
    if (controls) boxes.push(box(0, height - CONTROLS, width, height));
    for (const other of elementsAbove(element, seen)) {
      const o = cut(other.getBoundingClientRect(), content);
      const s = getComputedStyle(other);
      const solid = /^(img|canvas|svg|iframe|input|button)$/.test(other.localName) || /^rgb\(/.test(s.backgroundColor);
      const text = [...other.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      const paints = solid || text || s.backgroundImage !== 'none' || !/, 0\)$/.test(s.backgroundColor);
      // A veil over most of the picture is left out: the picture counts more.
      const veil = !solid && (o.right - o.left) * (o.bottom - o.top) > 0.6 * width * height;
      const shown = o.right > o.left && o.bottom > o.top && other.checkVisibility({ visibilityProperty: true, opacityProperty: true });
      if (paints && shown && !veil) boxes.push(box(o.left - content.left, o.top - content.top, o.right - content.left, o.bottom - content.top));
    }
    return boxes.slice(0, MOST_COVERS);
  }

  /** What would be hit before the element; beside it in its own corner of the document, what lets the pointer through as well. */
  function elementsAbove(element, seen) {
    const found = new Set();
    const hit = (x, y) => {
      const all = element.getRootNode().elementsFromPoint(x, y);
      for (const other of all.slice(0, Math.max(0, all.indexOf(element)))) found.add(other);
    };
    for (let i = 0; i < GRID * GRID; i++) {
      const [row, column] = [Math.floor(i / GRID) + 0.5, (i % GRID) + 0.5];
      hit(seen.left + (seen.right - seen.left) * column / GRID, seen.top + (seen.bottom - seen.top) * row / GRID);
    }
    const around = element.parentElement?.parentElement ?? element.parentElement;
    for (const other of [...around?.querySelectorAll('*') ?? []].slice(0, 200)) {
      const o = cut(other.getBoundingClientRect(), seen);
      if (o.right <= o.left || o.bottom <= o.top) continue;
      const follows = element.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (getComputedStyle(other).pointerEvents !== 'none') hit((o.left + o.right) / 2, (o.top + o.bottom) / 2);
      else if (follows && !element.contains(other) && positioned(other, around)) found.add(other);
    }
    return [...found].filter((other) => !other.contains(element));
  }

  function positioned(other, around) {
    for (let up = other; up && up !== around; up = up.parentElement) {
      const { position, zIndex } = getComputedStyle(up);
      if (position !== 'static') return !(zIndex < 0);
    }
    return false;
  }

  /** Where the browser draws the cues of now: lines of 5 % of the height, from the bottom unless a cue says another line. */
  function captions(element, width, height) {
    const [boxes, line] = [[], 0.0625 * height];
    let below = height - (element.controls ? CONTROLS : 0);
    for (const track of element.textTracks) {
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

  function physical(b) {
    const { offsetLeft, offsetTop, scale } = visualViewport;
    const s = devicePixelRatio * scale;
    const [x, y] = [Math.round((b.left - offsetLeft) * s), Math.round((b.top - offsetTop) * s)];
    return { x, y, width: Math.max(0, Math.round((b.right - offsetLeft) * s) - x), height: Math.max(0, Math.round((b.bottom - offsetTop) * s) - y) };
  }

  function send(anyway) {
    if (!worker) return;
    const hint = watched.size ? windowHint() : null;
    for (const [ms, entry] of watched) {
      const { content, seen, style } = measure(entry.element);
      const geometry = {
        ms, rect: physical(content), visible: seen ? uncovered(entry.element, content, seen).map(physical) : [], window: hint,
        objectFit: style.objectFit, objectPosition: style.objectPosition,
      };
      const text = JSON.stringify(geometry);
      if (text === entry.sent && !anyway) continue;
      entry.sent = text;
      worker.postMessage({ geometry });
    }
  }

  connect();
})();
