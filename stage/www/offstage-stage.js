// World: the page of a web client for remote desktops, on the device.
// Keeps a layer over the canvas where the stage's module shows the pictures, and passes the module's news on to the page.

import init, { attach as begin, detach as end, touched } from "./stage.js";

/** Events after which a browser lets sound begin (HTML, "activation triggering input event"). */
const TOUCHES = ["pointerdown", "pointerup", "keydown", "touchend"];

/** What the module needs; loaded once. @type {Promise<unknown> | undefined} */
let loaded;

/** The one stage of this page. @type {Stage | undefined} */
let attached;

/**
 * Shows the videos of a remote session over the canvas that shows its screen.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {{
 *   url: string | URL,
 *   token: string,
 *   view?: () => { x: number, y: number, width: number, height: number },
 * }} options `url`: where `offstage-client run --web` is reached; `token`: its secret; `view`: which part of the session's screen,
 *   in its pixels, the canvas shows now (default: all of it, one pixel of the canvas for each).
 * @returns {Promise<Stage>} at once: whether there is a connection is an event.
 */
export async function attach(canvas, options) {
  if (attached) {
    throw new DOMException("a page has one stage: detach it first", "InvalidStateError");
  }
  const stage = new Stage(canvas, options);
  attached = stage;
  try {
    await (loaded ??= init());
  } catch (error) {
    loaded = undefined;
    stage.detach();
    throw error;
  }
  stage.begin();
  return stage;
}

/**
 * Events: `state` (see `state`), `silenced` (see `silenced`), `shown` (see `shown`).
 */
class Stage extends EventTarget {
  /** @type {"connecting" | "connected" | "taken" | "detached"} `taken`: another page has taken this one's place. */
  state = "connecting";

  /** Videos play without sound until somebody clicks, taps or types in this page. */
  silenced = false;

  /** How many pictures are on the canvas now. */
  shown = 0;

  #canvas;
  #options;
  #layer = document.createElement("div");
  #surface = document.createElement("div");
  #watch = new AbortController();
  #sizes = new ResizeObserver(() => this.align());
  #attributes = new MutationObserver(() => this.align());
  #aligned = "";
  #inside = false;
  #frame = 0;
  /** The parent's own `position`, if it was changed. @type {{ element: HTMLElement, position: string } | undefined} */
  #parent;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {any} options
   */
  constructor(canvas, options) {
    super();
    this.#canvas = canvas;
    this.#options = options;
    this.#layer.dataset.offstage = "layer";
    this.#layer.setAttribute("aria-hidden", "true");
    style(this.#layer, { position: "absolute", left: "0", top: "0", "pointer-events": "none", contain: "strict" });
    style(this.#surface, { position: "absolute", left: "0", top: "0", "transform-origin": "0 0" });
    this.#layer.append(this.#surface);
  }

  /** Called by `attach`. */
  begin() {
    if (this.state === "detached") {
      return;
    }
    const { signal } = this.#watch;
    const resized = () => this.align();
    addEventListener("resize", resized, { signal });
    // Scrolling bubbles nowhere but is seen on its way down.
    addEventListener("scroll", resized, { signal, capture: true, passive: true });
    for (const name of TOUCHES) {
      addEventListener(name, () => this.resume(), { signal, capture: true, passive: true });
    }
    this.#sizes.observe(this.#canvas);
    this.#attributes.observe(this.#canvas, { attributes: true, attributeFilter: ["width", "height", "style", "class"] });
    this.align();
    // A page that is kept for the back button, or frozen, plays nothing: the session has to know.
    addEventListener("pagehide", () => this.#leave(), { signal });
    addEventListener("pageshow", () => this.#enter(), { signal });
    document.addEventListener("freeze", () => this.#leave(), { signal });
    document.addEventListener("resume", () => this.#enter(), { signal });
    this.#enter();
  }

  #enter() {
    if (this.#inside || this.state === "taken") {
      return;
    }
    this.#inside = true;
    const { url, token } = this.#options;
    const base = new URL(url, location.href);
    base.search = base.hash = "";
    if (!base.pathname.endsWith("/")) {
      base.pathname += "/";
    }
    begin(base.href, token, this.#surface, (/** @type {string} */ what, /** @type {any} */ value) => {
      // Nothing of the page's runs inside of the module.
      queueMicrotask(() => this.#told(what, value));
    });
  }

  #leave() {
    if (this.#inside) {
      this.#inside = false;
      end();
      this.#told("shown", 0);
      this.#told("silenced", false);
      this.#told("connected", false);
    }
  }

  /** Ends it: the videos go on in the session. */
  detach() {
    if (this.state === "detached") {
      return;
    }
    this.#watch.abort();
    this.#sizes.disconnect();
    this.#attributes.disconnect();
    attached = undefined;
    this.#leave();
    this.#layer.remove();
    this.#restoreParent();
    this.#set("state", "detached");
  }

  /** Lets sound begin; to be called while the page handles a click, a touch or a key. The stage does it itself at the next of them. */
  resume() {
    if (this.silenced) {
      touched();
      this.#set("silenced", false);
    }
  }

  /** Lays the layer over the canvas. The stage does it by itself; a page that moves the canvas may want it at once. */
  align() {
    const canvas = this.#canvas;
    const parent = canvas.parentElement;
    if (!parent || this.state === "detached") {
      return;
    }
    if (this.#layer.parentElement !== parent || this.#layer.previousSibling !== canvas) {
      this.#restoreParent();
      // Beside the canvas, so that both scroll and are clipped as one.
      if (getComputedStyle(parent).position === "static") {
        this.#parent = { element: parent, position: parent.style.position };
        parent.style.position = "relative";
      }
      canvas.after(this.#layer);
    }
    const outer = parent.getBoundingClientRect();
    const box = canvas.getBoundingClientRect();
    // What transforms of the canvas's ancestors do to it they do to the layer as well.
    const [across, down] = [outer.width / parent.offsetWidth || 1, outer.height / parent.offsetHeight || 1];
    const { borderLeftWidth, borderTopWidth, paddingLeft, paddingTop, paddingRight, paddingBottom, zIndex } =
      getComputedStyle(canvas);
    const [left, top, right, bottom] = [paddingLeft, paddingTop, paddingRight, paddingBottom].map(parseFloat);
    const [borderX, borderY] = [parseFloat(borderLeftWidth), parseFloat(borderTopWidth)];
    const [stretchX, stretchY] = [box.width / canvas.offsetWidth || 1, box.height / canvas.offsetHeight || 1];
    const x = (box.left - outer.left + (borderX + left) * stretchX) / across - parent.clientLeft + parent.scrollLeft;
    const y = (box.top - outer.top + (borderY + top) * stretchY) / down - parent.clientTop + parent.scrollTop;
    const width = ((canvas.clientWidth - left - right) * stretchX) / across;
    const height = ((canvas.clientHeight - top - bottom) * stretchY) / down;
    const view = this.#options.view?.() ?? { x: 0, y: 0, width: canvas.width, height: canvas.height };
    const scale = `${width / (view.width || 1)},${height / (view.height || 1)}`;
    const aligned = [x, y, width, height, scale, view.x, view.y, zIndex].join();
    if (aligned !== this.#aligned) {
      this.#aligned = aligned;
      style(this.#layer, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px`, "z-index": zIndex });
      style(this.#surface, { transform: `scale(${scale}) translate(${-view.x}px,${-view.y}px)` });
    }
  }

  /** @param {string} what @param {any} value */
  #told(what, value) {
    if (this.state === "detached") {
      return;
    }
    if (what === "silenced") {
      this.#set("silenced", value);
    } else if (what === "shown") {
      this.#set("shown", value);
      cancelAnimationFrame(this.#frame);
      if (value > 0) {
        this.#follow();
      }
    } else if (this.state !== "taken") {
      this.#set("state", what === "taken" ? "taken" : value ? "connected" : "connecting");
    }
  }

  /** Pages move things in ways that no observer tells of; while there is a picture, it is looked at before each frame. */
  #follow() {
    this.align();
    this.#frame = requestAnimationFrame(() => this.#follow());
  }

  #restoreParent() {
    if (this.#parent) {
      this.#parent.element.style.position = this.#parent.position;
      this.#parent = undefined;
    }
  }

  /** @param {"state" | "silenced" | "shown"} name @param {any} value */
  #set(name, value) {
    if (this[name] !== value) {
      /** @type {any} */ (this)[name] = value;
      this.dispatchEvent(new CustomEvent(name, { detail: value }));
    }
  }
}

/** @param {HTMLElement} element @param {Record<string, string>} rules */
function style(element, rules) {
  for (const [name, value] of Object.entries(rules)) {
    element.style.setProperty(name, value);
  }
}
