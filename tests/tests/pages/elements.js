// World: a test's web page.
// Where the element of a player may come from and be; each sets `makeElement` for the recorder.

const video = (doc = document) => doc.createElement('video');
function tree(mode, parent = document.body) {
  return parent.appendChild(document.createElement('div')).attachShadow({ mode });
}
const makes = (make) => { globalThis.makeElement = make; };

const elements = {
  'open shadow tree': async () => makes(() => tree('open').appendChild(video())),
  'closed shadow tree': async () => makes(() => tree('closed').appendChild(video())),
  'closed in a closed shadow tree': async () => makes(() => tree('closed', tree('closed')).appendChild(video())),
  'never in the document': async () => makes(() => video()),
  'new Audio()': async () => makes(() => new Audio()),
  cloned: async () => makes(() => document.body.appendChild(document.body.appendChild(video()).cloneNode(true))),
  'adopted from another document': async () => makes(() => document.body.appendChild(document.adoptNode(video(document.implementation.createHTMLDocument())))),
  /** This document's MediaSource plays in a frame's element. */
  'of a frame': async () => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    makes(() => frame.contentDocument.body.appendChild(video(frame.contentDocument)));
  },
  /** The window goes on, everything in it is gone. */
  'after document.open()': async () => {
    document.open();
    document.write('<!doctype html><title>Anew</title><body><p>Anew');
    document.close();
  },
};
