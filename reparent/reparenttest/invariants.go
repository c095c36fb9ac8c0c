package reparenttest

import (
	"fmt"
	"slices"
)

// Invariant is something that must hold in every run, whatever goes wrong.
type Invariant struct {
	// Name is what a failure is headed with.
	Name string
	// Says is the invariant in a sentence.
	Says string
	// Serves are the guarantees of the library that rest on it, see the
	// package's documentation.
	Serves []string
	// From says what it is checked from: "facts" and "events" need an
	// Inspector and Host.Saw, "messages" needs nothing of the node.
	From string
}

// Invariants returns all that is checked, in order.
func Invariants() []Invariant { return slices.Clone(invariants[:]) }

var invariants = [...]Invariant{
	{"I1", "At most one leadership is capable of completing new requests: all others lack a set of nodes that would accept enough of it, also counting nodes that are down and would accept once they are back.", []string{"G1", "G6"}, "facts"},
	{"I1b", "A leader that was replaced completes at most what was durable before it was revoked, and the log that its successor was installed with holds that.", []string{"G1", "G2"}, "events"},
	{"I2", "What was completed under a lower term is in the log that a new leader is installed with.", []string{"G2", "G3"}, "events"},
	{"I3", "No two leaders complete different entries at one index.", []string{"G1", "G2"}, "events"},
	{"I4", "Entries are completed in the order of the log and without gaps.", []string{"G2"}, "events"},
	{"I5", "Before a leader is installed, no leadership of a lower term has a set of nodes left that could make anything new durable for it, and that stays so.", []string{"G3", "G6"}, "facts"},
	{"I6", "A node's promise only rises, and is on disk before any answer that tells of it.", []string{"G4"}, "facts, messages"},
	{"I7", "A term belongs to one candidate with one log; it is installed, activated and granted for no other.", []string{"G1", "G5"}, "messages, events"},
	{"I8", "A node accepts entries only under a term that is not below its promise, and holds no entry of a term above its promise.", []string{"G3", "G4"}, "facts, events"},
	{"I9", "Two logs that hold an entry of one term at one index are equal up to there, and terms never fall along a log.", []string{"G2"}, "facts"},
	{"I10", "A log that ends in a later term than that under which an entry was completed contains the entry.", []string{"G2"}, "facts, events"},
	{"I11", "A leader neither takes requests nor completes anything before the marker of its own term is durable.", []string{"G2", "G3"}, "events"},
	{"I12", "What was completed is never cancelled: no log drops it, what was acknowledged was completed, and what was refused as not executed never is.", []string{"G2", "G9"}, "facts, messages"},
	{"I13", "The log a leader is installed with is the best of enough logs, each read after its node was blocked.", []string{"G2", "G3"}, "messages, facts"},
	{"I14", "A change of the ruleset is decided under the old rules and the new ones: the marker that brings it names whatever may still be in force.", []string{"G1", "G2"}, "events"},
	{"I15", "A block that was counted stays: only the loss of a node's storage takes back what it promised, and an isolated node is let go only after it promised.", []string{"G3", "G6"}, "facts, messages"},
	{"I16", "A node whose log is behind what it once accepted says so on disk before it discards, and is neither evidence nor a candidate until it is back.", []string{"G2", "G4"}, "facts"},
	{"I17", "The record's fence, active and routed terms never fall, routed is not above active nor active above the fence, and no accepted record is lost or written twice.", []string{"G5", "G7"}, "messages"},
	{"I18", "No leader answers a read by its lease alone once a later leadership was granted.", []string{"G2"}, "events"},
	{"I19", "A leader that answered that it stepped down completes nothing under a lower term any more.", []string{"G1", "G3"}, "events, messages"},
	{"I20", "Nodes outside the cohort never make anything durable.", []string{"G2"}, "facts, events"},
	{"I21", "No node takes an entry for completed before its leader completed it.", []string{"G2"}, "facts, events"},
	{"I22", "What is completed is on enough distinct members of the cohort for the policy that is in force.", []string{"G2", "G6"}, "facts, events"},
	{"I23", "What clients saw is what one log would have shown them: acknowledged values once each, in the order of real time, and every read the whole log of some moment between its beginning and its end.", []string{"G2"}, "messages"},
	{"L1", "Once all faults are over, a coordinator can establish a leader, and it takes requests.", []string{"G5"}, "messages"},
	{"L2", "When nothing fails and nobody asks, the leader does not change.", []string{"G5"}, "messages, events"},
	{"L3", "Once all faults are over, every node follows the leader again after a few sweeps.", []string{"G5"}, "messages"},
	{"L4", "A change that cannot go on says what it lacks.", []string{"G5"}, "messages"},
	{"G9", "What a coordinator reports of its change is what became of it, and a leader that proves that it leads on, in spite of a baton, is not giving up its leadership by another.", []string{"G9"}, "messages"},
}

// guarantees are the library's, as they are cited by failures.
var guarantees = map[string]string{
	"G1":  "at most one leadership is capable of completing new requests",
	"G2":  "no completed request is lost, reordered, or completed twice",
	"G3":  "no establishment begins before its revocation is proven",
	"G4":  "a promise is on disk before any reply that reports it, and only rises",
	"G5":  "a paused, crashed or resumed coordinator can do no harm, and another finishes",
	"G6":  "any mechanism may follow any other, in any order of rounds",
	"G7":  "a planned change costs latency, not errors",
	"G8":  "every call ends with its context",
	"G9":  "\"not executed\" is proof, and what may have executed is reported as unknown",
	"G10": "bad input gets a typed error before anything is touched",
}

// Violation is an invariant that did not hold.
type Violation struct {
	// Name is the invariant's, see Invariants.
	Name string
	// Says is what happened, in a sentence, with the nodes and terms.
	Says string
}

// Error returns the name and what happened.
func (v *Violation) Error() string { return v.Name + ": " + v.Says }

// rule returns the invariant that was violated and the guarantees that rest on
// it, empty for a name that Invariants does not know.
func (v *Violation) rule() string {
	i := slices.IndexFunc(invariants[:], func(i Invariant) bool { return i.Name == v.Name })
	if i < 0 {
		return ""
	}
	s := invariants[i].Says
	for _, g := range invariants[i].Serves {
		s += "\n" + g + " rests on it: " + guarantees[g] + "."
	}
	return s
}

func violation(name, format string, args ...any) *Violation {
	return &Violation{Name: name, Says: fmt.Sprintf(format, args...)}
}
