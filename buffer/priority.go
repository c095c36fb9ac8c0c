package buffer

import "time"

// Priority orders held requests of one lane: higher goes first, and those of
// the same priority go in the order they arrived. It matters only while
// requests are held; a lane that serves passes all alike.
//
// A request rises by one priority per Config.Ageing that it waits, without
// bound: the flush takes next whoever has the highest sum of Priority and
// waited/Ageing. So a request is overtaken only by those whose priority is
// higher by some k and that arrived at most k times Ageing after it, which is
// at most 6 times Ageing: nobody starves, whatever goes on arriving.
type Priority int8

const (
	// MinPriority is the lowest, for work that can come last.
	MinPriority Priority = -3
	// Ordinary is the priority of requests that say nothing.
	Ordinary Priority = 0
	// MaxPriority is the highest, for what frees resources: the end of a unit,
	// heartbeats, control.
	MaxPriority Priority = 3

	levels = int(MaxPriority-MinPriority) + 1
)

func (p Priority) known() bool { return MinPriority <= p && p <= MaxPriority }

// level is p counted from 0.
func (p Priority) level() uint8 { return uint8(p - MinPriority) }

// rank orders waiters: the least goes first. It is the instant at which w would
// have had to arrive with priority Ordinary to have the same turn, so that
// ageing moves all of them alike and their order never changes.
func (w *waiter) rank(ageing time.Duration) time.Duration {
	return w.arrived - (time.Duration(w.level)+time.Duration(MinPriority))*ageing
}
