// World: a test's extension, its worker. Its key opens and closes the browser's side panel.
chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: true });
