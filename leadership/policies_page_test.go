package leadership_test

import (
	"io/fs"
	"math/bits"
	"slices"
	"strings"
	"testing"

	. "github.com/tenure-go/tenure/leadership"
)

// figures are what a row of the table says, in nodes, the least that does or the
// most that may be missing, whichever they are.
type figures struct{ needs, revoke, establish, without, lossless int }

// counted finds the figures of a ruleset by trying every set of its nodes.
func counted(t *testing.T, rs Ruleset) figures {
	t.Helper()
	n := len(rs.Members)
	rules, err := rs.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := rules.Members()
	durable := func(s Set) bool {
		_, ok := rules.Could(rules.Leaders(), s)
		return ok
	}
	// Which sizes do always, that is, every set of that size does.
	always := func(f func(Set) bool) int {
		for size := 0; size <= n; size++ {
			ok := true
			for s := range uint(1) << n {
				ok = ok && (bits.OnesCount(s) != size || f(Set(s)))
			}
			if ok {
				return size
			}
		}
		return n + 1
	}
	ready := func(s Set) bool {
		var ids []NodeID
		for m := range s.All() {
			ids = append(ids, rules.Cohort().Node(m).ID)
		}
		r := newRound(t, term(2, "c"), rs)
		for _, id := range ids {
			_ = r.Add(promise(r, id, at(1)))
		}
		return slices.ContainsFunc(ids, func(id NodeID) bool { return r.Ready(id) == nil })
	}
	f := figures{
		needs:     always(durable),
		revoke:    always(func(s Set) bool { return !durable(all.Minus(s)) }),
		establish: always(ready),
	}
	f.without = n - f.establish
	// What was completed is in no log that is left once all of some durable
	// set are lost.
	f.lossless = n
	for s := range uint(1) << n {
		if durable(Set(s)) {
			f.lossless = min(f.lossless, bits.OnesCount(s)-1)
		}
	}
	return f
}

func TestWhatThePageSaysOfEachPolicyIsSo(t *testing.T) {
	t.Parallel()
	page, err := fs.ReadFile(rootFS(), "POLICIES.md")
	if err != nil {
		t.Fatal(err)
	}
	half := func(n int) int { return n/2 + 1 }
	for _, row := range []struct {
		says   string
		policy func(n int) (Policy, func(n int) figures)
	}{
		{"| `majority` | ⌊n/2⌋+1 copies | ⌈n/2⌉ nodes | ⌊n/2⌋+1 nodes | ⌈n/2⌉−1 nodes | ⌊n/2⌋ lost |", func(int) (Policy, func(int) figures) {
			return Majority(), func(n int) figures { return figures{half(n), (n + 1) / 2, half(n), (n+1)/2 - 1, n / 2} }
		}},
		{"| `at-least(k)` | k copies | n−k+1 nodes | the larger of k and n−k+1 nodes | the smaller of n−k and k−1 nodes | k−1 lost |", func(n int) (Policy, func(int) figures) {
			k := min(2, n)
			return AtLeast(k), func(n int) figures { return figures{k, n - k + 1, max(k, n-k+1), min(n-k, k-1), k - 1} }
		}},
		{"| `at-least(k)` |", func(n int) (Policy, func(int) figures) {
			k := max(1, n-1)
			return AtLeast(k), func(n int) figures { return figures{k, n - k + 1, max(k, n-k+1), min(n-k, k-1), k - 1} }
		}},
		{"| `all` | every node | any 1 node | all n nodes | no node | n−1 lost |", func(int) (Policy, func(int) figures) {
			return All(), func(n int) figures { return figures{n, 1, n, 0, n - 1} }
		}},
		{"| `any` | the leader alone | every node that may lead | every node that may lead | no node that may lead | none lost |", func(int) (Policy, func(int) figures) {
			return Any(), func(n int) figures { return figures{1, n, n, 0, 0} }
		}},
		{"| `joint(p,q)` | p and q | the revocation of either | the revocation of either, and what p and q need | what both go on without | what either loses none with |", func(n int) (Policy, func(int) figures) {
			return Joint(Majority(), All()), func(n int) figures { return figures{n, 1, n, 0, n - 1} }
		}},
		// One of each zone has a weight of 1 here, so zones and weights count as nodes do.
		{"| `zones(k)` of z zones | copies in k zones | so many that the others span fewer than k zones | as many, and nodes of k zones | the smaller of z−k and k−1 whole zones | k−1 whole zones lost |", func(n int) (Policy, func(int) figures) {
			k := min(2, n)
			return Zones(k), func(z int) figures { return figures{k, z - k + 1, max(k, z-k+1), min(z-k, k-1), k - 1} }
		}},
		{"| `weighted(w)` of total t | weights that sum to w | weights above t−w | weights above t−w, and of w | weights below w, and up to t−w | weights below w lost |", func(n int) (Policy, func(int) figures) {
			w := max(1, n-1)
			return Weighted(w), func(t int) figures { return figures{w, t - w + 1, max(w, t-w+1), min(t-w, w-1), w - 1} }
		}},
	} {
		if !strings.Contains(string(page), "\n"+row.says) {
			t.Errorf("the page does not say %q", row.says)
		}
		for n := 1; n <= 6; n++ {
			p, want := row.policy(n)
			members := make([]Node, n)
			for i, id := range ids(n) {
				members[i] = Node{ID: id, Zone: "z" + string(id), Weight: 1}
			}
			rs, err := NewRuleset(p, members...)
			if err != nil {
				t.Fatal(err)
			}
			if got := counted(t, rs); got != want(n) {
				t.Errorf("%s of %d: %+v, the page says %+v", rs.Policy, n, got, want(n))
			}
		}
	}
}

// A witness has a copy and may not lead, and of all three nodes any one may be lost.
func TestTwoNodesAndAWitnessAreAMajorityOfThree(t *testing.T) {
	t.Parallel()
	rs := ruleset(t, 1, Majority(), "n1", "n2", "w")
	rs.Members[2].Ineligible = true
	for _, lost := range []NodeID{"n1", "n2", "w"} {
		r := newRound(t, term(2, "c"), rs)
		for _, id := range rs.IDs() {
			if id != lost {
				add(t, r, promise(r, id, at(1)))
			}
		}
		if r.Ready("n1") != nil && r.Ready("n2") != nil {
			t.Errorf("without %s: %v", lost, r.Ready("n2"))
		}
	}
	rs.Policy = "all"
	r := newRound(t, term(2, "c"), rs)
	add(t, r, promise(r, "n2", at(1)), promise(r, "w", at(1)))
	wantAs[*NotReadyError](t, r.Ready("n2"))
}
