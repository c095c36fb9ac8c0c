package main

import (
	"context"
	"errors"

	"github.com/tenure-go/tenure/reparent"
)

// The exit codes. Scripts may rely on them.
const (
	exitOK         = 0 // done; or, of a verb that only looks, all is well
	exitFailed     = 1 // a verb that only looks could not look
	exitUsage      = 2 // the command line or the configuration makes no sense; nothing was opened
	exitNotStarted = 3 // no node was asked to promise anything, or the leader proved that it did not begin: who led before leads
	exitRestored   = 4 // the change failed and was undone: somebody leads
	exitSuperseded = 5 // a newer change took over; its report says what became of the cluster
	exitIncomplete = 6 // it stopped half way: look at the report, then resume
	exitUnknown    = 7 // the last step may or may not have taken effect: resume settles it
	exitAttention  = 8 // it was found out, and is not well: nobody leads, the doctor found something grave, the demo lost something
	exitUnsaved    = 9 // a new leader serves, and the registry does not show it yet: sweep
	exitInterrupt  = 130
)

// exits lists the codes for the manual.
var exits = []struct {
	code int
	name string
}{
	{exitOK, "ok"}, {exitFailed, "failed"}, {exitUsage, "usage"}, {exitNotStarted, "not started"}, {exitRestored, "restored"},
	{exitSuperseded, "superseded"}, {exitIncomplete, "incomplete"}, {exitUnknown, "unknown"}, {exitAttention, "attention"},
	{exitUnsaved, "unsaved"}, {exitInterrupt, "interrupted"},
}

// exitOf is the code of a change's outcome.
func exitOf(o reparent.Outcome) int {
	switch o {
	case reparent.Done:
		return exitOK
	case reparent.NotStarted:
		return exitNotStarted
	case reparent.Restored:
		return exitRestored
	case reparent.Superseded:
		return exitSuperseded
	case reparent.Incomplete:
		return exitIncomplete
	case reparent.Unsaved:
		return exitUnsaved
	}
	// What is not understood is not known.
	return exitUnknown
}

// usageError is returned for a command line that makes no sense.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

// lookExit is the code of a verb that only looks and could not.
func lookExit(ctx context.Context, err error) int {
	var u *usageError
	switch {
	case errors.As(err, &u):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupt
	}
	return exitFailed
}
