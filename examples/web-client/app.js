// World: the example's page, a web client for remote desktops, on the device.
// Connects noVNC to the session and Offstage's stage to noVNC's canvas, and shows how both are.

import RFB from "./novnc/core/rfb.js";

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);
const [screen, size, sound, connectButton] = ["screen", "size", "sound", "connect"].map(element);

/** @param {"desktop" | "video"} id @param {string} state @param {string} text */
const show = (id, state, text) => {
  element(id).dataset.state = state;
  element(id).textContent = text;
};

/** What a gateway tells the page of a person who may use the session. @returns {Promise<{vnc: string, stage: string, token: string}>} */
const session = async () => {
  const response = await fetch("session.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`no session: ${response.status}`);
  return response.json();
};

/** noVNC's connection and Offstage's stage, while there are. @type {{rfb?: any, stage?: any}} */
const live = {};
// For those who look at the example, and its test.
Object.assign(globalThis, { live });

async function connect() {
  connectButton.hidden = true;
  show("desktop", "connecting", "Connecting …");
  const { vnc, stage, token } = await session();
  const rfb = new RFB(screen, vnc, { shared: true });
  live.rfb = rfb;
  rfb.background = "#0c0e11";
  rfb.qualityLevel = 9;
  rfb.scaleViewport = size.value !== "1";
  let name = "";
  const connected = () => show("desktop", "connected", name ? `Connected: ${name}` : "Connected");
  rfb.addEventListener("connect", () => {
    connected();
    resize();
    attachStage(stage, token);
  });
  rfb.addEventListener("desktopname", (/** @type {any} */ event) => {
    name = event.detail.name;
    connected();
  });
  rfb.addEventListener("disconnect", (/** @type {any} */ event) => {
    live.stage?.detach();
    delete live.stage;
    delete live.rfb;
    show("desktop", "disconnected", event.detail.clean ? "Disconnected" : "Connection lost");
    connectButton.hidden = false;
  });
}

/** The session does not need Offstage: without it, videos come as the rest of the screen does. @param {string} url @param {string} token */
async function attachStage(url, token) {
  try {
    const { attach } = await import(new URL("offstage-stage.js", url).href);
    const stage = await attach(screen.querySelector("canvas"), { url, token });
    live.stage = stage;
    for (const name of ["state", "shown", "silenced"]) {
      stage.addEventListener(name, showStage);
    }
    showStage();
  } catch (error) {
    show("video", "disconnected", "Offstage: not available");
    console.warn(error);
  }
}

function showStage() {
  const { state, shown, silenced } = live.stage ?? { state: "detached" };
  sound.hidden = !silenced;
  const videos = shown === 1 ? "1 video" : `${shown} videos`;
  const words = {
    connecting: "Offstage: connecting …",
    connected: "Offstage: ready",
    taken: "Offstage: in another tab",
    detached: "Offstage: off",
  };
  const playing = state === "connected" && shown > 0;
  show("video", playing ? "playing" : state, playing ? `Offstage: ${videos} on this device` : words[state]);
}

function resize() {
  const { value } = size;
  screen.dataset.size = value;
  const canvas = screen.querySelector("canvas");
  if (!live.rfb || !canvas) return;
  const fit = value === "fit";
  screen.style.width = fit ? "" : `${canvas.width * Number(value)}px`;
  screen.style.height = fit ? "" : `${canvas.height * Number(value)}px`;
  live.rfb.scaleViewport = value !== "1";
}

const asked = new URLSearchParams(location.search).get("size");
if ([...size.options].some((option) => option.value === asked)) size.value = asked;
size.addEventListener("change", resize);
sound.addEventListener("click", () => live.stage?.resume());
connectButton.addEventListener("click", connect);
addEventListener("pagehide", () => live.rfb?.disconnect());
connect().catch((error) => {
  show("desktop", "disconnected", String(error.message));
  connectButton.hidden = false;
});
