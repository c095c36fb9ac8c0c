package lameduck

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// SignalError is the cause with which a second signal ends the context that
// OnSignal gave to its function.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string {
	if e.Signal == nil {
		return "lameduck: forced by a second signal"
	}
	return "lameduck: forced by a second signal: " + e.Signal.String()
}

// OnSignal calls run with what a process is told by signals: stop is closed by
// the first (a planned end: drain, see HTTPServer.Run), and ctx is cancelled by
// the second, with a *SignalError as its cause (force). From then on the
// signals have their default action again, so that a third ends a process that
// hangs. Without names they are SIGINT and SIGTERM.
//
// OnSignal returns what run returns, after it has given the signals back and
// joined its goroutine. It does not return before run does. When its own ctx
// ends, so does run's. A nil run is a no-op, a nil ctx an *OptionError.
//
// On Kubernetes, SIGTERM and the removal of the endpoint happen at the same
// time and nothing waits for the other. So Plan.Announce must cover the
// readiness probe's period times its failure threshold, or the time that the
// endpoint's removal takes to reach every proxy, whichever the clients go by;
// and terminationGracePeriodSeconds must exceed the sum of the plan's caps and
// twice HTTPOptions.Close, because SIGKILL follows it.
func OnSignal(ctx context.Context, run func(ctx context.Context, stop <-chan struct{}) error, names ...os.Signal) error {
	switch {
	case run == nil:
		return nil
	case ctx == nil:
		return &OptionError{Field: "ctx", Reason: "is nil"}
	}
	if len(names) == 0 {
		names = []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop, done := make(chan struct{}), make(chan struct{})
	got := make(chan os.Signal, 2)
	signal.Notify(got, names...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-got:
			close(stop)
		case <-done:
			return
		}
		select {
		case s := <-got:
			signal.Stop(got)
			cancel(&SignalError{Signal: s})
		case <-done:
		}
	}()
	defer func() {
		signal.Stop(got)
		close(done)
		<-ended
	}()
	return run(ctx, stop)
}
