// Command kvd is one member of the replicated key-value store of package kv.
package main

import (
	"os"

	"github.com/tenure-go/tenure/examples/kv"
)

func main() { os.Exit(kv.Main(os.Args[1:])) }
