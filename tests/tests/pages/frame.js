// World: a test's web page, in a frame.
// Plays a scenario and gives what it saw to the page at the top.

run('short', 'h264 muxed').then((log) => top.postMessage({ log }, '*'));
