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
//     process it runs in, not with its caller, and acts in no later life of it.
//   - A process that is paused gets nothing, and what it does meanwhile takes
//     effect when it goes on, or never when it dies first. What it had sent
//     before still arrives.
//   - An answer that nobody waits for is no event.
//   - Explore covers every schedule of its scope up to the order of deliveries
//     that do not concern one another, each state once.
//
// # What it does not guarantee
//
// What goroutines do between two quiescent points is one step: data races
// within it are for the race detector. A step that blocks on a mutex held over
// a message never ends. Time passes only when nothing can be delivered, or as a
// fault (Tick), so that no deadline passes while a message is under way unless
// that is chosen.
//
// # Assumptions
//
// Processes share nothing but messages. Code under test uses the time of the
// bubble; a process with a clock of its own asks Proc.Now and Proc.After. What
// a process does next is a function of what it observed, in its order and at
// its times, so that of two goroutines that are woken in one step either may
// run first; Ambiguous counts what this cannot be true for.
//
// An explorer takes two states for one when every process observed the same,
// the same is pending, and as much may still go wrong. It takes more for the
// same where it is told that it may: Proc.State replaces what a process
// observed by what it is, Proc.Unorder its order, Proc.Named and Sim.Content
// tell messages apart by what they say, and Ask that a question changes
// nothing. What is said there wrongly hides schedules. States are told apart by
// 64 bits.
package stepsim
