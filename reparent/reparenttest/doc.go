// Package reparenttest is a deterministic simulation in which changes of leader
// are tested: this library's own, and yours.
//
// Bring a node driver, a revoker, an establisher, a policy or a registry; the kit
// brings the cluster around it, the faults, and the checks of what must always
// hold.
//
//	func TestMyNodes(t *testing.T) {
//		h := reparenttest.Harness{Name: "mine", Boot: bootMine}
//		reparenttest.Run(t, h, reparenttest.Everything(), reparenttest.Options{})
//		reparenttest.Scenarios(t, h, reparenttest.Everything(), reparenttest.Options{})
//	}
//
//	func TestMyRevoker(t *testing.T) {
//		h := reparenttest.MariaDBLike() // simulated nodes, and one part of ours
//		h.Revoke = func(p *reparenttest.Process) (revoke.Revoker, error) { return newMine(p.Promisers()) }
//		reparenttest.Run(t, h, reparenttest.Everything(), reparenttest.Options{})
//	}
//
// Code under test runs unchanged, with its goroutines, mutexes and contexts, in
// a testing/synctest bubble. What lies between its parts is simulated: a node
// does its IO through its Host, a mechanism reaches nodes through its Process.
// Every delivery, write, crash, pause and fault is one event, and which comes
// next is chosen from a seed (Run), from a fuzzer's bytes (Fuzz), or by a script
// (Scenarios), or by a test of your own (Direct). See examples/invariants for a
// mistake that is found this way.
//
// # Guarantees
//
//   - A run is a function of its seed:
//     the same seed gives the same steps at the same simulated instants. It is
//     run again, alone, with TENURE_SEED and TENURE_PICKS as a failure prints
//     them. Every 64th seed is run twice to see that this is so.
//   - There are no false alarms by timing. What fails did something that
//     Invariants forbids, in the schedule that is printed; or, in Scenarios, that
//     the script does not allow.
//   - Coordinators, guards and mechanisms are the production code of this module;
//     nothing in it knows of the simulation.
//   - Everything that a fault budget of Features allows may happen at any step;
//     what is not claimed never does, and the log says what was left out.
//
// # What it does not guarantee
//
// That a harness passes means: in so many schedules, of clusters of 3 to 5 nodes
// with two rival coordinators and two clients, no invariant was broken, and after
// all faults a leader could be established and written to. It is no proof. In
// particular:
//
//   - What runs between two events is one step. Interleavings within it are for
//     the race detector; run the tests with -race as well.
//   - A simulated disk is as honest as Host.Write. What a file system does with
//     fsync, and a server with its settings, is for tests with real ones.
//   - Nodes without an Inspector, and without Host.Saw, are judged by their
//     answers alone: the invariants From "messages" of Invariants.
//   - Margins of leases that are a few percent wide are seldom hit at random.
//
// # What is checked
//
// Invariants lists every check with a sentence. They serve the guarantees of the
// library as follows, and a failure names both:
//
//	G1  one capable leadership                I1 I1b I3 I7 I14 I19
//	G2  nothing completed is lost or twice    I1b I2 I3 I4 I9 I10 I11 I12 I13 I14 I16 I18 I20 I21 I22 I23
//	G3  revocation before establishment       I2 I5 I8 I11 I13 I15 I19
//	G4  promises are durable and only rise    I6 I8 I16
//	G5  coordinators can pause, die, come back  I7 I17 L1 L2 L3 L4
//	G6  mechanisms mix in any order           I1 I5 I15 I22
//	G7  planned changes cost no errors        I17
//	G9  "not executed" and reports are true   I12 G9
//
// G8 and G10 are about single calls, which other tests make. Clients append
// numbers of which each is used once and read them back, so that the final log
// orders everything that happened: checking a history takes O(n log n). An error
// counts as a refusal exactly when leadership.NotExecuted holds, or nobody
// listened; any other leaves open what became of the request.
//
// Runs of this package's own stores also fail when none of 200 under all faults
// reached some state that matters, such as a crash between a promise and its
// grant; for other harnesses the log says which were not reached.
//
// # Assumptions
//
// A node and its mechanisms touch nothing but their Host or Process: no real
// network, file or global variable, no random source of their own, and no order
// of a map on which a message depends. time.Now, timers and contexts are those
// of the bubble, and exact; what depends on the clock of a machine asks
// Host.Now and Host.Sleep. No mutex is held over a message, a write or a wait:
// the simulation cannot see such a wait and stands still, which is reported
// after TENURE_HANG with the goroutines in question.
//
// # State model
//
//	         Boot                    Crash, Torn, Loss
//	host ──────────▶ node runs ───────────────────────▶ down
//	                 ▲      │ Pause   ▲                  │
//	                 │      ▼         │ Resume           │ Restart: Boot again,
//	                 │     sleeps ────┘                  │ with Host.Disk as it was
//	                 └───────────────────────────────────┘
//
//	run: boot, bootstrap n1 ─▶ rivals, clients, faults ─▶ faults end ─▶ heal ─▶ check what was told
//	                           invariants after every event
//
// # Failure handling
//
// A Failure is headed by the invariant, what happened, and what must hold. Then
// read the picture from below: the last line is where it broke, and the letters
// in each lane show which term a node had promised at every moment that mattered.
// The number at the left of a line is that of the step in the trace below it.
// In the trace, "req a>b op" is a request that arrives at b, "rep b>a op" its
// answer that arrives at a, and "disk b op" a write that is durable from then on;
// a line that begins with another word is a fault.
//
// The schedule was shrunk: what is left of the faults is needed for the failure.
// To go on from there, put prints or a debugger into the code under test and run
// the printed command; keep it as a regression test with Options.First or in the
// corpus of a Fuzz target. "unrepeatable" means that the harness breaks the
// assumptions above, and "hang" that it waits for something the simulation
// cannot give.
//
// The method is that of FoundationDB's and TigerBeetle's simulators, and of
// Jepsen's checkers for histories of unique values.
package reparenttest
