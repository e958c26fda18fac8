// World: MAIN, document_start, before hook.js, and only by policy (callsContract): pages are told that their calls are redirected.
// hook.js finds this, takes it away again and puts the properties on navigator.mediaDevices (www/hook/95-contract.js).
Object.defineProperty(window, Symbol.for('offstage.contract'), { configurable: true, value: true });
