// Package stepsim runs real goroutines in a testing/synctest bubble one event
// at a time. Whatever may happen next (a message that arrives, is lost or comes
// twice, a disk write, a crash, a pause, time that passes) is an option; a
// Chooser picks one; the goroutines run until all of them are blocked again;
// the invariants are checked. The same choices give the same trace.
//
//	s := stepsim.New(stepsim.Seed(42, stepsim.Swarm(42)), stepsim.Faults{Reorder: true, Drop: 3, Crash: 1})
//	a, b := s.Proc("a"), s.Proc("b")
//	go func() { _, err = stepsim.Call(ctx, a, b, "ping", handler) }()
//	err := s.Run(10_000, done)
//	s.Close()
//
// # Guarantees
//
//   - Options are ordered by what they are, never by which goroutine came
//     first, so that a list of picks is a schedule.
//   - Pick 0 is the quiet choice at every point: the oldest event is delivered
//     and nothing fails. A schedule of zeros is a run without faults.
//   - A message outlives the context of its sender. A handler lives with the
//     process it runs in, not with its caller.
//
// # What it does not guarantee
//
// What goroutines do between two quiescent points is one step: data races
// within it are for the race detector. A step that blocks on a mutex held over
// a message never ends.
//
// # Assumptions
//
// Processes share nothing but messages. Code under test uses the time of the
// bubble; a process with a clock of its own asks Proc.Now and Proc.After.
package stepsim
