package leadership

import "time"

// Verdict is what a router does with a request.
type Verdict uint8

const (
	// Hold: hold the request, and ask again when the record changes or after Wait.
	Hold Verdict = iota
	// Send: send it, and all others.
	Send
	// Probe: send one request, the head of the queue. Success releases the
	// rest; a refusal that proves non-execution puts it back in its place,
	// and the router asks again after Wait.
	Probe
)

// String returns "hold", "send" or "probe".
func (v Verdict) String() string {
	switch v {
	case Send:
		return "send"
	case Probe:
		return "probe"
	}
	return "hold"
}

// Decision is the answer of Record.Decide.
type Decision struct {
	Verdict Verdict
	// To is whom to send or probe; zero when nobody leads.
	To Leadership
	// Wait is when to ask again, for Hold and after a refused Probe.
	Wait time.Duration
}

// probeEvery is the pace of probes while a target refuses.
const probeEvery = 20 * time.Millisecond

// Decide is the one pure function by which every router decides what to do
// with a request. since is how long this router has been holding, on its own
// clock; refused is the highest Until of any refusal it got, zero for none.
//
//   - While an intent is Holding and no leadership of its term is active, hold,
//     but at most HoldFor.
//   - From when it is active until it is routed, probe: the grant may come at any
//     moment, and the coordinator may be dead that would have routed it.
//   - When a refusal told of a term above the target's, hold for that term.
//   - A router that has held long enough probes with one request, and so does
//     one that waits for a leadership that the record does not show yet. Nodes
//     check terms, so a probe is always safe; nobody ever has to un-hold
//     anybody, whichever step a coordinator died in.
//   - Otherwise send to the routed leadership, or to the active one when that
//     is newer.
//
// It does not know the router's outage cap: that ends a hold with an error.
//
// Nor does it know whom a refusal names as leader, and that is meant: while a
// change holds, such a word ends no hold, not even one that names the candidate of
// that very change. It comes from a node that gives up, or that has begun to
// follow, and is about what is to be. A candidate may take requests before its
// marker is durable (acceptor.Acceptor.Stage); the one that a router sent there on
// such a word has an unknown outcome when the change fails, where the hold owes it
// a delay and no more. Two things are proof: Active in the record, since only an
// Installed gets there, and an answer of the new leader itself, which a router
// takes in as if it were both Active and Routed. The price is what the record
// takes to reach the routers: in a change that the leader leads itself, where the
// candidate serves before its guard has heard of it, about two round trips.
func (r Record) Decide(since time.Duration, refused Term) Decision {
	since = max(since, 0)
	to := r.Routed
	if to.Term.Less(r.Active.Term) {
		to = r.Active
	}
	announced := r.Intent.Phase == Holding && r.Routed.Term.Less(r.Intent.Term)
	switch {
	case announced && r.Intent.Term.Compare(r.Active.Term) <= 0:
		return Decision{Verdict: Probe, To: to, Wait: probeEvery}
	case announced && since < r.Intent.HoldFor:
		return Decision{Verdict: Hold, To: to, Wait: r.Intent.HoldFor - since}
	case to.IsZero():
		return Decision{Verdict: Hold, Wait: probeEvery}
	case announced, to.Term.Less(refused):
		if !announced && since < probeEvery {
			return Decision{Verdict: Hold, To: to, Wait: probeEvery - since}
		}
		return Decision{Verdict: Probe, To: to, Wait: probeEvery}
	}
	return Decision{Verdict: Send, To: to}
}
