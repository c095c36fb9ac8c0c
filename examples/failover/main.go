package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/internal/engines/load"
)

func main() {
	// The demo starts this program as the writers of its load.
	if code, ok := load.Main(stage.OpenLoad); ok {
		os.Exit(code)
	}
	os.Exit(process())
}

// process is the program with what belongs to the process: signals and streams.
func process() int {
	// A reader of the output that goes away, such as head, must not end a change
	// half way: writes to it fail instead.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		select {
		case s := <-signals:
			// From here on a second signal ends the process.
			signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			fmt.Fprintf(os.Stderr, "failover: %s: what was begun is being finished or undone; a second one ends the process at once and leaves that to resume\n", s)
			cancel()
		case <-done:
		}
	}()
	a := app{stdout: os.Stdout, stderr: os.Stderr, engines: knownEngines()}
	code := a.run(ctx, os.Args[1:])
	close(done)
	<-joined
	return code
}
