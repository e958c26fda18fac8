// World: MAIN. The two private ports: to the relay (small things) and to the extension's worker (media).
//
// The relay hands its own over in a MessageEvent at document_start, before the page has any script; from then on no
// event of the page is listened to for this. Without them the hook stays asleep and everything is native.

/** Set once by the handshake: the relay's port and the type of the event that shows it an element. */
let link = null;
/** The worker's port, once the relay has opened it; what is said before waits here. */
let mediaPort = null;
let unsent = list();
/** True while a client is connected and may be used; told by the relay. Null until the relay has asked. */
let deviceReady = null;
let mediaAsked = false;
/** Calls to make when `deviceReady` changes. */
const onReadyChange = list();

/** Sends to the worker. The port is asked for at the first use; what is posted before waits. */
function toWorker(message, transfer) {
  if (!link) return;
  if (mediaPort) { native.post(mediaPort, message, transfer || list()); return; }
  unsent.push({ __proto__: null, message, transfer: transfer || list() });
  askForPort();
}

/** The relay connects to the worker when a document first has a player, so that others cost nothing. */
function askForPort() {
  if (!link || mediaAsked) return;
  mediaAsked = true;
  native.post(link.relay, { need: true });
}

function onRelayMessage(event) {
  const [data, ports] = list(plain(native.data(event)), native.ports(event));
  if (ports.length === 1) {
    mediaPort = ports[0];
    native.onmessage(mediaPort, (said) => fromWorker(plain(native.data(said))));
    for (const { message, transfer } of unsent) native.post(mediaPort, message, transfer);
    unsent = list();
  }
  if (typeof data.ready === 'boolean' && data.ready !== deviceReady) {
    deviceReady = data.ready;
    for (const call of onReadyChange) call(deviceReady);
  }
  // The worker has ended; the one that comes after it gets a new port.
  if (data.gone) [mediaPort, mediaAsked, unsent] = list(null, false, list());
}

/** Tells the relay which element a player draws, through an event whose type only the relay knows. */
function watchElement(id, element) {
  // An event reaches the relay from inside the document only; the element's next event tries again.
  if (!link || !element || !native.connected.get(element)) return false;
  native.post(link.relay, { watch: id });
  native.dispatch(element, new native.Event(link.eventType, { __proto__: null, composed: true }));
  return true;
}

function unwatchElement(id) { if (link) native.post(link.relay, { unwatch: id }); }

{
  const pristine = () => !document.documentElement || !document.documentElement.firstElementChild;
  const take = (event) => {
    if (link || !pristine() || event.ports.length !== 1) return;
    native.stop(event);
    event.preventDefault(); // the relay offers no second one
    native.unlisten(document, 'offstage-offer', take, true);
    link = { __proto__: null, relay: event.ports[0], eventType: event.data };
    native.onmessage(link.relay, onRelayMessage);
  };
  native.listen(document, 'offstage-offer', take, true);
  native.dispatch(document, new native.Event('offstage-ask'));
  // The relay runs in the same turn; whatever comes later is not from it.
  native.later(() => native.unlisten(document, 'offstage-offer', take, true), 0);
}
