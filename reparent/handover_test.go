package reparent_test

import (
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// led is a planned change that the leader leads itself.
func led(to leadership.NodeID) reparent.Change {
	c := reparent.Planned(to)
	c.LeaderLed = true
	return c
}
