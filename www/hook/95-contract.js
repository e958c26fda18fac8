// World: MAIN. Microsoft's published contract between calling pages and call redirection, by policy: properties and an event of
// navigator.mediaDevices (learn.microsoft.com, "Developer integration with multimedia redirection"). Identifiers are random for each document.

{
  const mark = Symbol.for('offstage.contract');
  const wanted = window[mark] === true;
  delete window[mark];
  const guid = () => { const id = bound(Crypto.prototype.randomUUID); return `{${id(crypto).toUpperCase()}}`; };
  if (wanted && thisDevices && Generator && isSecureContext) {
    const ids = { __proto__: null, activity: guid(), connection: guid() };
    const version = (name) => () => (calls.versions ? calls.versions[name] : undefined);
    const properties = {
      __proto__: null, isCallRedirectionEnabled: () => calls.state === 'device', mmrClientVersion: version('client'), mmrHostVersion: version('bridge'),
      mmrExtensionVersion: version('extension'), activityId: () => ids.activity, connectionId: () => ids.connection,
    };
    for (const name of toList(ownKeys(properties))) {
      // As a plain property that somebody has set: the page may set it, too.
      defineProperty(thisDevices, name, {
        __proto__: null, configurable: true, enumerable: true, get: properties[name],
        set: (value) => { defineProperty(thisDevices, name, { __proto__: null, configurable: true, enumerable: true, writable: true, value }); },
      });
    }
    const { CustomEvent } = window;
    let told = 'disconnected';
    calls.announce = () => {
      const state = calls.state === 'device' ? 'connected' : 'disconnected';
      if (state === told) return;
      const isFirst = told === 'disconnected' && ids.begun === undefined;
      [told, ids.begun] = list(state, true);
      if (isFirst) return;
      if (state === 'connected') ids.connection = guid();
      native.dispatch(thisDevices, new CustomEvent('rdpClientConnectionStateChanged', { detail: { state } }));
    };
    onReadyChange.push((ready) => { if (ready) callBegins(); });
    // The relay may come after this script, in the same turn.
    native.later(callBegins, 0);
  }
}
