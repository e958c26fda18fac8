// World: a short-lived frame of the extension inside a covered page.
// Hands the port that the relay sends to the extension's worker, together with the relay's one-time word and the port on
// which the worker says that it has it: the browser drops messages of frames that are gone before they are delivered.
// A page can load this frame as well: the worker takes no port without a word that it gave out itself.

addEventListener('message', async (event) => {
  if (event.ports.length !== 2 || typeof event.data?.nonce !== 'string' || event.data.nonce.length > 64) return;
  const { active } = await navigator.serviceWorker.ready;
  active.postMessage({ nonce: event.data.nonce }, [...event.ports]);
});
