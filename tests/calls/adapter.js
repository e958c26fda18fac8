// World: MAIN, a page of the tests. webrtc-adapter, as older apps load it.

import adapter from 'webrtc-adapter';

globalThis.adapter = adapter;
