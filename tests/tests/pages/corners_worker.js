// World: a test's worker.
// Has a MediaSource of its own, and the page's element play it.

onmessage = async ({ data: files }) => {
  const source = new MediaSource();
  const next = (target, name) => new Promise((done) => target.addEventListener(name, done, { once: true }));
  const opened = next(source, 'sourceopen');
  postMessage(source.handle, [source.handle]);
  await opened;
  const buffers = files.map((file) => source.addSourceBuffer(file.mime));
  for (let i = 0; i < files.length; i++) {
    const end = next(buffers[i], 'updateend');
    buffers[i].appendBuffer(await (await fetch(`/clips/${files[i].name}`)).arrayBuffer());
    await end;
  }
  postMessage('filled');
};
