// Command peers measures the same work on Tenure and on those that do it too, in
// one process and one run, and writes the page that shows it, BENCHMARKS.md.
//
//	go run . -o ../../BENCHMARKS.md    all rows, some minutes
//	go run . -quick                    each row small, to standard output
//
// Flags: -groups limits the run to groups whose names contain one of a
// comma-separated list; -rounds is how often each row is measured; -cpuprofile
// writes a profile of the run.
//
// It is a module of its own: the peers are published Go modules, required here
// and nowhere else. Its go directive, 1.26.2, is what vitess.io/vitess asks for;
// the library itself needs only what its own go.mod says. A toolchain older than
// that skips this module.
package main
