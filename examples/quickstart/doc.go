// Command quickstart changes the leader of a replicated key-value store in
// every way it knows, under load, and proves that nothing was lost.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -members 3 -clients 16 -duration 20s -policy "at-least(2)" -svg out.svg
//
// It starts the members of examples/kv as processes, a router with a buffer,
// and a closed-loop load of reads and of writes with unique values. Then it
// changes the leader: planned, twice in a row; twice handed over by the leader
// itself (reparent.Change.LeaderLed); planned, failed half way and undone; after
// kill -9; after kill -STOP, with the old leader let go again later; by two
// coordinators at once, planned and in an emergency; and by a coordinator that is
// killed between Activate and Route. Every coordinator is a process of its own. The router shares nothing with any of
// them but the registry's file and HTTP.
//
// At the end it prints what each change cost the clients, reads the log of
// every member, and checks that
//
//   - all members hold the same log, and every acknowledged write is in it
//     once, at the place that its client was told, in an order that agrees
//     with what was answered before what was asked;
//   - no write is in it of which its client got proof that it was not
//     executed, nor one that was sent to a leader after its replacement;
//   - what the clients saw is linearizable, key by key (with porcupine);
//   - no planned change, and nothing outside of a change, cost an error.
//
// # Exit codes
//
//	0    all of that holds
//	1    something of it does not
//	2    a flag makes no sense; nothing was started
//	3    it could not be run to its end
//	130  interrupted; everything was ended and cleaned up
package main
