// World: the extension's popup.
// Shows what the worker says about the tab in front; the icon's title is that sentence.

const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
document.getElementById('state').textContent = await chrome.action.getTitle(tab ? { tabId: tab.id } : {});
document.getElementById('version').textContent = chrome.runtime.getManifest().version;
