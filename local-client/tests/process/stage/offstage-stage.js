// World: a web client's page, as the process tests play it.
// Only served: no test of this level opens it.
