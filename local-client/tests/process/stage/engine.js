// World: the engine's page, in the client's tests.
// A stage that plays nothing: each player is a flat colour of its own, so that
// tests can find it on the screen. Speaks just enough protobuf for that.

/** @type {{token: string, ws: string}} */
const data = globalThis.__offstageStart;
delete globalThis.__offstageStart;

const COLOURS = ["#ff00ff", "#00ff00", "#0000ff", "#ffff00"];
/** @type {Map<number, {popup: Window | null, box: HTMLElement | null, layout: number[] | null}>} */
const players = new Map();

/** @param {number[]} out @param {number} value */
function varint(out, value) {
  while (value >= 0x80) {
    out.push((value & 0x7f) | 0x80);
    value >>>= 7;
  }
  out.push(value);
}

/** @param {number} tag @param {number | string | number[]} value */
function field(tag, value) {
  /** @type {number[]} */
  const out = [];
  if (typeof value === "number") {
    varint(out, tag << 3);
    varint(out, value);
  } else {
    const bytes = typeof value === "string" ? [...new TextEncoder().encode(value)] : value;
    varint(out, (tag << 3) | 2);
    varint(out, bytes.length);
    out.push(...bytes);
  }
  return out;
}

/** @param {Uint8Array} bytes @returns {Map<number, any>} */
function decode(bytes) {
  const fields = new Map();
  let at = 0;
  const read = () => {
    let value = 0, shift = 0, byte;
    do {
      byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      shift += 7;
    } while (byte & 0x80);
    return value;
  };
  while (at < bytes.length) {
    const key = read();
    const tag = Math.floor(key / 8);
    switch (key % 8) {
      case 0: fields.set(tag, read()); break;
      case 1: at += 8; break;
      case 2: { const length = read(); fields.set(tag, bytes.subarray(at, at + length)); at += length; break; }
      case 5: at += 4; break;
    }
  }
  return fields;
}

const socket = new WebSocket(data.ws, `offstage.${data.token}`);
socket.binaryType = "arraybuffer";
/** @param {number[]} bytes */
const send = (bytes) => socket.send(new Uint8Array(bytes));

socket.onopen = () => send(field(1, [...field(1, "stage"), ...field(2, "0.1.0"), ...field(3, 1), ...field(4, 1)]));

socket.onmessage = (event) => {
  const message = decode(new Uint8Array(event.data));
  if (message.has(1)) device(decode(message.get(1)));
  if (message.has(2)) layOut(decode(message.get(2)));
  if (message.has(3)) for (const player of decodePacked(decode(message.get(3)).get(1))) close(player);
};

/** @param {Uint8Array | number} value */
function decodePacked(value) {
  return typeof value === "number" ? [value] : [...value].filter((byte) => byte < 0x80);
}

/** @param {Map<number, any>} message */
function device(message) {
  if (message.has(1)) open(decode(message.get(1)).get(1) ?? 0);
  if (message.has(2)) close(decode(message.get(2)).get(1) ?? 0);
  if (message.has(5)) {
    const append = decode(message.get(5));
    const [player, buffer, op] = [1, 2, 3].map((tag) => append.get(tag) ?? 0);
    if (append.get(4)) send(field(2, field(3, [...field(1, player), ...field(2, buffer), ...field(3, op)])));
  }
}

/** @param {number} player */
function open(player) {
  const state = { popup: null, box: null, layout: null };
  players.set(player, state);
  send(field(3, field(1, player)));
  const address = new URL("popup.html", location.href).href;
  state.popup = window.open(address, `offstage-${player}`, "popup,width=800,height=450");
  state.popup?.addEventListener("load", () => {
    const body = state.popup.document.body;
    state.box = state.popup.document.createElement("div");
    Object.assign(state.box.style, { position: "absolute", left: "0", top: "0", background: COLOURS[player % 4] });
    body.append(state.box);
    show(player);
  });
}

/** @param {number} player */
function close(player) {
  players.get(player)?.popup?.close();
  players.delete(player);
}

/** @param {Map<number, any>} layout */
function layOut(layout) {
  const [player, width, height] = [1, 2, 3].map((tag) => layout.get(tag) ?? 0);
  const state = players.get(player);
  if (!state) return;
  state.layout = [width, height];
  show(player);
}

/** @param {number} player */
function show(player) {
  const state = players.get(player);
  if (!state?.box || !state.layout) return;
  const [width, height] = state.layout;
  Object.assign(state.box.style, { width: `${width}px`, height: `${height}px` });
  const frame = state.popup.requestAnimationFrame.bind(state.popup);
  frame(() => frame(() => send(field(4, [...field(1, player), ...field(2, width), ...field(3, height)]))));
}
