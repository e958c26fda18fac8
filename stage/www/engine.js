// World: the engine's page, on the device.
// Takes the start data that the client left for it and begins the stage.
// Relays nothing itself: the WebSocket and the media are the wasm module's.

import init, { start } from "./stage.js";

/** @type {{token: string, ws: string, version: string} | undefined} */
const data = globalThis.__offstageStart;
// One shot: no later script finds the token.
delete globalThis.__offstageStart;

// A trap leaves the module unusable: leaving the page closes the socket, and the client starts the stage anew.
const leaveWhenBroken = (/** @type {unknown} */ error) => {
  if (error instanceof WebAssembly.RuntimeError) {
    location.replace("about:blank");
  }
};
addEventListener("error", (event) => leaveWhenBroken(event.error));
addEventListener("unhandledrejection", (event) => leaveWhenBroken(event.reason));

if (data) {
  await init();
  start(data.ws, data.token);
} else {
  console.warn("offstage: this page is opened by the Offstage client only");
}
