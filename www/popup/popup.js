// World: the extension's window. All of it is Rust (popup/).
import init, { open } from './offstage_popup.js';
init().then(open);
