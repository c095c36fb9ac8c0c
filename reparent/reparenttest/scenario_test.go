package reparenttest

import (
	"strconv"
	"testing"
)

func TestScenario(t *testing.T) {
	for name, h := range kinds() {
		t.Run(name, func(t *testing.T) {
			Scenarios(t, h, Everything(), Options{})
		})
	}
}

// elsewhere says why a situation has no story: what it is about is not in the
// simulation, and where it is tested.
var elsewhere = map[string]string{
	"S11": "a server's own setting at promotion: the engine adapters",
	"S13": "privileges inside a server: the engine adapters",
	"S14": "statements of a person at a follower: the engine adapters",
	"S15": "a registry that loses accepted records breaks the registry's contract, and no record can say so: etcdregistry's tests; the full test of a change does not rest on it (registry/second_bootstrap)",
	"S21": "what a server answers to a killed commit: the engine adapters; that an answer of a replaced leader is not trusted: coordinator and client stories",
	"S22": "sets of GTIDs are compared by leadership's position tests; a simulated log has one order",
	"6":   "the decision is one pure function: every minimal revocation and every near miss is enumerated in package leadership",
	"28":  "a restored backup is a disk that lost what it promised, which only its incarnation tells: storage/node_comes_back_empty_under_its_old_name is the same to everyone else; acceptor's tests",
	"15":  "mixes of mechanisms are runs of their own",
	"16":  "leases need clocks at their bound, which a table of them shows better: revoke's tests",
}

func TestEverySituationHasAStoryOrAReason(t *testing.T) {
	t.Parallel()
	by := map[string][]string{}
	for _, sc := range scenarios() {
		if len(sc.covers) == 0 {
			t.Errorf("%s covers nothing", sc.name)
		}
		for _, c := range sc.covers {
			by[c] = append(by[c], sc.name)
		}
	}
	var all []string
	for i := range 44 {
		all = append(all, strconv.Itoa(i+1))
	}
	for i := range 22 {
		all = append(all, "S"+strconv.Itoa(i+1))
	}
	for _, c := range all {
		switch why := elsewhere[c]; {
		case len(by[c]) > 0 && why != "":
			t.Errorf("%s has stories %v and a reason to have none: %s", c, by[c], why)
		case len(by[c]) > 0:
			t.Logf("%-3s %v", c, by[c])
		case why != "":
			t.Logf("%-3s no story: %s", c, why)
		default:
			t.Errorf("%s has no story", c)
		}
	}
}
