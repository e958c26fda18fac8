// World: a test's extension, its worker, which tells by its address where the extension's pages are.
