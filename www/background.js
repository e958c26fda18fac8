// World: the extension's background service worker.
// Registers every listener in the worker's first turn, keeps what arrives until the Rust module is ready, and passes it
// on. Decisions are in ext-core.

import init, { Brain } from './ext_core.js';

/** Calls that came before the module was ready, bounded by what a browser can send in that time. */
let waiting = [];
let brain = null;
let lastId = 0; // numbers the relays
/** Relay → its document's origin, by the browser's word. */
const origins = new Map();

const tell = (method, ...args) => { if (brain) brain[method](...args); else waiting.push([method, args]); };

chrome.runtime.onConnect.addListener((port) => {
  if (port.sender?.id !== chrome.runtime.id || !port.sender.tab) return;
  if (port.name === 'media') return void carryMedia(port);
  if (port.name !== 'relay') return;
  const id = ++lastId;
  origins.set(id, port.sender.origin);
  port.onMessage.addListener((message) => tell('relay_message', id, message));
  port.onDisconnect.addListener(() => { origins.delete(id); tell('relay_closed', id); });
  tell('relay_opened', id, port, port.sender.tab.id, port.sender.frameId, port.sender.origin ?? '', port.sender.url ?? '', crypto.randomUUID());
});

/** A relay that can't send a port carries its messages, if bytes arrive here as bytes. */
function carryMedia(port) {
  const channel = new MessageChannel();
  port.onDisconnect.addListener(() => channel.port1.close());
  port.onMessage.addListener(function first({ nonce, bytes }) {
    port.onMessage.removeListener(first);
    if (!(bytes instanceof Uint8Array)) return port.disconnect();
    port.onMessage.addListener((message) => channel.port1.postMessage(message));
    channel.port1.onmessage = ({ data }) => port.postMessage(data);
    port.postMessage({ bytes });
    tell('media_offered', nonce, channel.port2);
  });
}

self.addEventListener('message', (event) => {
  const origin = new URL(chrome.runtime.getURL('')).origin;
  if (event.origin !== origin || event.ports.length !== 2 || typeof event.data?.nonce !== 'string') return;
  tell('media_offered', event.data.nonce, event.ports[0]);
  event.ports[1].postMessage('taken');
});
chrome.runtime.onMessage.addListener(({ call, args }, { id, url }, answer) => {
  if (id !== chrome.runtime.id || !url?.startsWith(chrome.runtime.getURL('popup/')) || !['View', 'Set', 'Site', 'Logs'].includes(call)) return false;
  (async () => self[`offstage${call}`](...args))().then((value) => answer({ value }), (error) => answer({ error: `${error}` }));
  return true;
});
chrome.tabs.onUpdated.addListener((tabId, change, tab) => {
  if (change.url || change.status) tell('tab_changed', tabId, tab.url ?? '');
  tell('tab_titled', tabId, tab.title ?? '');
  if (change.mutedInfo) tell('tab_muted', tabId, change.mutedInfo.muted);
});
chrome.tabs.onRemoved.addListener((tabId) => tell('tab_closed', tabId));
chrome.storage.onChanged.addListener((changes, area) => {
  if (area === 'managed') readManaged(); else if (area !== 'local' || !(MANAGED in changes)) configure();
});
const { runtime: { onStartup, onInstalled }, permissions: { onAdded, onRemoved } } = chrome;
for (const event of [onStartup, onInstalled, onAdded, onRemoved]) event.addListener(() => configure());

/** Managed settings take seconds to come after the browser's start; until then the ones that were last seen count. */
const MANAGED = 'managedSettingsLastSeen';
let managed = null;

async function configure() {
  const [shipped, local, { origins: granted }] = await Promise.all([fetch('sites/sites.json').then((r) => r.json()).catch(() => ({})),
    chrome.storage.local.get().catch(() => ({})), chrome.permissions.getAll()]);
  tell('configure', { shipped, managed: managed ?? local[MANAGED] ?? {}, local, granted });
}

async function readManaged() {
  const now = await chrome.storage.managed.get().catch(() => ({}));
  if (JSON.stringify(now) === JSON.stringify(managed)) return;
  managed = now;
  await chrome.storage.local.set({ [MANAGED]: now }).catch(() => {});
  configure();
}

// ---- files that a page's element may play and its scripts may not read: the bytes go to the device, never back to the page ----

/** Fetches under way, by player and request. */
const jobs = new Map();
const MOST_WHOLE = 4e6;

async function fetchFile(player, relay, request, url, start, end) {
  const answer = { ms: 0, request, status: 0, url: '', range: '', length: undefined, mime: '', data: new Uint8Array(0) };
  const job = new AbortController();
  jobs.set(`${player} ${request}`, job);
  try {
    // Without the permission the site's own rules for scripts would apply to the extension, too.
    if (/^https?:/.test(url) && await chrome.permissions.contains({ origins: [`${new URL(url).origin}/*`] })) {
      await setReferer(player, url, origins.get(relay));
      const headers = end === undefined ? {} : { Range: `bytes=${start}-${end - 1}` };
      const response = await fetch(url, { headers, credentials: 'include', cache: 'no-store', signal: job.signal });
      const length = response.headers.get('Content-Length');
      Object.assign(answer, {
        status: response.status, url: response.url, mime: response.headers.get('Content-Type') ?? '',
        range: response.headers.get('Content-Range') ?? '',
        length: response.status !== 200 || length === null || response.headers.has('Content-Encoding') ? undefined : Number(length),
      });
      if (response.ok) {
        const from = response.status === 206 || end === undefined ? 0 : start;
        answer.data = await part(response.body.getReader(), from, from + (end === undefined ? MOST_WHOLE : end - start));
        if (end === undefined) answer.length ??= answer.data.length;
      }
    }
  } catch { answer.status = 0; }
  jobs.delete(`${player} ${request}`);
  tell('fetched', player, answer);
}

/** Has requests of this extension, and no others, for this address carry the Referer that the element's own request has. */
async function setReferer(player, url, origin) {
  const { protocol } = new URL(url);
  const shown = origin?.startsWith('http:') || (origin?.startsWith('https:') && protocol === 'https:');
  const rule = {
    id: player, condition: { urlFilter: `|${url}|`, initiatorDomains: [chrome.runtime.id], resourceTypes: ['xmlhttprequest'] },
    action: { type: 'modifyHeaders', requestHeaders: [{ header: 'referer', operation: 'set', value: `${origin}/` }] },
  };
  await chrome.declarativeNetRequest.updateSessionRules({ removeRuleIds: [player], addRules: shown ? [rule] : [] });
}

/** The bytes from `from` to `to` of a stream, which is left at that. */
async function part(reader, from, to) {
  const pieces = [];
  let at = 0;
  while (at < to) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > from) pieces.push(value.subarray(Math.max(0, from - at), to - at));
    at += value.length;
  }
  reader.cancel().catch(() => {});
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

let registered = Promise.resolve();

/** Scripts that stay are never taken out, not for a moment: a page that loads just then would get none. */
async function register(scripts) {
  const said = ({ js, matches, excludeMatches = [], matchOriginAsFallback = false }) =>
    JSON.stringify([js, [...matches].sort(), [...excludeMatches].sort(), matchOriginAsFallback]);
  const before = new Map((await chrome.scripting.getRegisteredContentScripts()).map((script) => [script.id, said(script)]));
  const changed = scripts.filter((script) => before.has(script.id) && before.get(script.id) !== said(script));
  const added = scripts.filter(({ id }) => !before.has(id));
  const gone = [...before.keys()].filter((id) => !scripts.some((script) => script.id === id));
  if (changed.length) await chrome.scripting.updateContentScripts(changed);
  if (added.length) await chrome.scripting.registerContentScripts(added);
  if (gone.length) await chrome.scripting.unregisterContentScripts({ ids: gone });
}

/** What Rust asks of the browser beyond what web-sys offers. */
const shell = {
  connectNative(name) {
    const port = chrome.runtime.connectNative(name);
    port.onMessage.addListener((message) => tell('native_message', port, message));
    port.onDisconnect.addListener(() => tell('native_closed', port, chrome.runtime.lastError?.message ?? ''));
    return port;
  },
  register(groups, contract) {
    const hook = contract ? ['contract.js', 'hook.js'] : ['hook.js'];
    const scripts = groups.filter((group) => group.matches.length).flatMap((group, i) =>
      [['relay', ['relay.js'], 'ISOLATED'], ['hook', hook, 'MAIN']].map(([name, js, world]) => (
        { id: `${name} ${i}`, js, world, allFrames: true, runAt: 'document_start', ...group })));
    registered = registered.then(() => register(scripts)).catch((error) => console.error(error));
  },
  /** The frames around a frame, from its parent to the top. */
  async findAncestors(tabId, frameId) {
    const frames = await chrome.webNavigation.getAllFrames({ tabId }).catch(() => null);
    const parents = new Map(frames?.map((frame) => [frame.frameId, frame.parentFrameId]));
    const chain = [];
    for (let id = parents.get(frameId); id >= 0 && chain.length < 100; id = parents.get(id)) chain.push(id);
    tell('ancestors_found', tabId, frameId, chain);
  },
  /** Lets a frame around a player tell where its frames are; it is asked for nothing else. */
  inject(tabId, frameId) {
    chrome.scripting.executeScript({ target: { tabId, frameIds: [frameId] }, files: ['relay.js'], injectImmediately: true }).catch(() => {});
  },
  setIcon(tabId, state, title) {
    const path = Object.fromEntries([16, 32, 48].map((size) => [size, `icons/${state}-${size}.png`]));
    const ignore = () => void chrome.runtime.lastError; // the tab may be gone
    chrome.action.setIcon({ tabId, path }, ignore);
    chrome.action.setTitle({ tabId, title }, ignore);
  },
  fetch: fetchFile,
  unfetch(player, request) { jobs.get(`${player} ${request}`)?.abort(); },
  async tabs() {
    for (const tab of await chrome.tabs.query({})) {
      tell('tab_changed', tab.id, tab.url ?? '');
      tell('tab_titled', tab.id, tab.title ?? '');
      tell('tab_muted', tab.id, tab.mutedInfo?.muted ?? false);
    }
  },
};

configure();
readManaged();
/** For the popup, and for whoever looks into the worker: what works, what doesn't, and why. */
self.offstageStatus = () => JSON.parse(brain?.status() ?? 'null');
self.offstageLogs = (on) => brain?.logs(on, crypto.randomUUID());
self.offstageSet = async (key, value) => chrome.storage.local.set(brain.set(key, value));
self.offstageSite = async (tab, on) => chrome.storage.local.set(brain.switch_site(tab, on));
self.offstageView = (tab) => brain.view(tab);
init({ module_or_path: fetch(chrome.runtime.getURL('ext_core_bg.wasm')) }).then(() => {
  brain = new Brain(shell, chrome.runtime.getManifest().version);
  const first = waiting;
  waiting = [];
  for (const [method, args] of first) brain[method](...args);
  shell.tabs();
});
