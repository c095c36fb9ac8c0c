package pgnode

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// maxName is the longest application_name that PostgreSQL keeps: NAMEDATALEN-1.
const maxName = 63

// AckName is the application_name under which a node acknowledges in one term,
// "n1_t8.c1-x", and the name by which the leader of that term waits for it. With
// the term in the name, a standby that joined another leadership can never
// satisfy this one, whatever it is connected to.
//
// Names are at most 63 bytes. PostgreSQL compares them without regard to case,
// so a node whose id has upper-case letters, or is too long, goes by the
// beginning of its id and a digest.
func AckName(id leadership.NodeID, t leadership.Term) string {
	suffix := "_t" + t.String()
	name := string(id)
	if name != strings.ToLower(name) || len(name)+len(suffix) > maxName {
		sum := sha256.Sum256([]byte(id))
		short := strings.ToLower(name[:min(len(name), 6)])
		// A "~" is in no node id, so no other node's name looks like this.
		name = short + "~" + hex.EncodeToString(sum[:6])
	}
	return name + suffix
}

// fetchName is the application_name of a node that takes a log and acknowledges
// for nobody: it has no term, so no leader waits for it.
func fetchName(id leadership.NodeID) string {
	return strings.TrimSuffix(AckName(id, leadership.Term{}), "_t0") + "_fetch"
}

// errPolicy says why a policy cannot be kept.
var errPolicy = errors.New(`PostgreSQL waits for "ANY k" of named standbys: use at-least(k), majority, all, any, or a joint of those`)

// acks returns how many copies besides the leader's own the policy asks for
// among n members, whoever they are.
func acks(spec string, n int) (int, error) {
	name, args, _ := strings.Cut(spec, "(")
	args = strings.TrimSuffix(args, ")")
	switch name {
	case "any":
		return 0, nil
	case "all":
		return n - 1, nil
	case "majority":
		return n / 2, nil
	case "at-least":
		k, err := strconv.Atoi(args)
		if err != nil || k < 1 || k > n {
			return 0, fmt.Errorf("policy %q of %d members", spec, n)
		}
		return k - 1, nil
	case "joint":
		i := splitJoint(args)
		if i < 0 {
			return 0, errPolicy
		}
		p, err := acks(args[:i], n)
		if err != nil {
			return 0, err
		}
		q, err := acks(args[i+1:], n)
		return max(p, q), err
	}
	return 0, fmt.Errorf("policy %q: %w", spec, errPolicy)
}

// splitJoint returns the index of the comma between the two parts of a joint.
func splitJoint(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// quorum is what a leader waits for: any Need of Nodes.
type quorum struct {
	Need  int
	Nodes []leadership.NodeID
}

// quorumFor returns what the leader must wait for so that nothing completes which
// is not durable under every ruleset. PostgreSQL has one "ANY k" and not one for
// each ruleset: either any k of those that are in all of them, or more of those
// that are in any; whichever needs fewer.
func quorumFor(leader leadership.NodeID, rulesets []leadership.Ruleset) (quorum, error) {
	if len(rulesets) == 0 {
		return quorum{}, errors.New("no ruleset")
	}
	sets := make([][]leadership.NodeID, len(rulesets))
	needs := make([]int, len(rulesets))
	var union []leadership.NodeID
	for i, rs := range rulesets {
		if !rs.Has(leader) {
			return quorum{}, fmt.Errorf("%s is no member of ruleset %d", leader, rs.Version)
		}
		var err error
		if needs[i], err = acks(rs.Policy, len(rs.Members)); err != nil {
			return quorum{}, err
		}
		for _, id := range rs.IDs() {
			if id != leader {
				sets[i] = append(sets[i], id)
				if !slices.Contains(union, id) {
					union = append(union, id)
				}
			}
		}
	}
	var inter []leadership.NodeID
	for _, id := range union {
		if !slices.ContainsFunc(sets, func(s []leadership.NodeID) bool { return !slices.Contains(s, id) }) {
			inter = append(inter, id)
		}
	}
	a, b := quorum{slices.Max(needs), inter}, quorum{0, union}
	for i, s := range sets {
		if needs[i] > 0 {
			b.Need = max(b.Need, needs[i]+len(union)-len(s))
		}
	}
	for _, q := range []quorum{a, b} {
		if q.Need <= len(q.Nodes) && (q.Need == a.Need || a.Need > len(a.Nodes)) {
			slices.Sort(q.Nodes)
			return q, nil
		}
	}
	return quorum{}, errors.New(`no single "ANY k" keeps all rulesets that are in force: change fewer members at a time`)
}

// standbyNames is the value of synchronous_standby_names for q in term t.
func standbyNames(q quorum, t leadership.Term) string {
	if q.Need == 0 {
		return ""
	}
	names := make([]string, len(q.Nodes))
	for i, id := range q.Nodes {
		names[i] = `"` + AckName(id, t) + `"`
	}
	return fmt.Sprintf("ANY %d (%s)", q.Need, strings.Join(names, ", "))
}

// CanEnforce implements leadership.Enforcer with the function of that name.
func (n *Node) CanEnforce(rs leadership.Ruleset) error { return CanEnforce(n.cfg.ID, rs) }

// CanEnforce returns nil when the node, leading under rs, completes nothing that is
// not durable by rs. PostgreSQL waits for any k of a list of standbys, so it keeps
// policies that count: at-least(k), majority, all, any and a joint of those. It
// cannot keep zones or weights: any k is also k in one zone. It asks nobody, so that
// it serves for a node that is driven from elsewhere.
func CanEnforce(id leadership.NodeID, rs leadership.Ruleset) error {
	if !rs.Has(id) {
		return nil
	}
	_, err := quorumFor(id, []leadership.Ruleset{rs})
	return err
}
