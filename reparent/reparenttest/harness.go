package reparenttest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// Harness is what is tested: a kind of node, and how its leaders are changed.
// LogStore, MariaDBLike and PostgreSQLLike are complete ones of simulated
// stores; set any one field of theirs to test a part of your own over them.
//
// Its functions are called for many clusters at once and must share nothing
// between two calls: what a cluster knows lives in its hosts and processes.
type Harness struct {
	// Name is shown in failures.
	Name string
	// Boot starts the node of a host: once when the cluster is made, and after
	// each crash. It must not block; what it needs from disk it finds in
	// Host.Disk. Required.
	Boot func(h *Host) (Node, error)
	// Policy is the durability policy. nil tries several: majorities of 3 and
	// 5, 2 of 4, 3 of 4.
	Policy leadership.Policy
	// Catalog reads policies and points of the user's own. nil: the built-in
	// ones.
	Catalog *leadership.Catalog
	// Members sets zones, weights and who may lead, in the list of members of a
	// cluster. Names must stay as they are. nil: all are alike.
	Members func(members []leadership.Node)
	// Registry starts the registry on a host of its own: once when the cluster
	// is made, and after each crash, like Boot; it does not get messages but is
	// called by them. nil: one in memory that loses nothing.
	Registry func(h *Host) (leadership.Registry, error)
	// Revoke makes the revoker of a coordinator's process, in place of the
	// guard's own. It is used for every change but a cluster's first.
	Revoke func(p *Process) (revoke.Revoker, error)
	// Establish makes the establisher of a coordinator's process, in place of
	// the guard's own.
	Establish func(p *Process) (establish.Establisher, error)
	// HandsOver says that every node offers reparent.Node.HandOver: some changes
	// of a run are then led by the leader. How the nodes tell each other of it is
	// for Send; a node that hands over, and one that takes over, do what they do
	// in handlers of theirs. It is of no use beside Revoke or Establish.
	HandsOver bool

	traits       Traits                      // of a store of this package
	alone        bool                        // a node can be a cluster of one
	ours         bool                        // a store of this package: its runs must reach all of sometimes
	leased       bool                        // leaders hold leases of the simulated lessor
	localReads   bool                        // followers give leases
	reshape      func(seed uint64, s *shape) // of a test's own
	shake        func()                      // of every Sim
	hastyRelease bool                        // isolated nodes are let go without a promise
	obeysLate    bool                        // an isolation is carried out after its own release

	// view changes what a coordinator's process sees, to break a rule there.
	view func(p *Process)

	_ struct{}
}

func (h Harness) clockRate() float64 {
	if h.localReads {
		return leaseRate
	}
	return 0
}

// HarnessError says what is wrong with a harness, before anything is run.
type HarnessError struct{ Field, Reason string }

func (e *HarnessError) Error() string {
	return fmt.Sprintf("reparenttest: Harness.%s: %s", e.Field, e.Reason)
}

// Validate returns a *HarnessError for a harness that cannot be run with f, or
// nil. Run calls it.
func (h Harness) Validate(f Features) error {
	if h.Boot == nil {
		return &HarnessError{"Boot", "it is nil: there is no node to test; LogStore() is a harness of simulated ones"}
	}
	if f.Nodes < 0 || f.Nodes > 9 {
		return &HarnessError{"Boot", fmt.Sprintf("Features.Nodes is %d; a simulated cluster has 1 to 9 nodes", f.Nodes)}
	}
	size := f.Nodes
	if size == 0 {
		size = 3
	}
	members := h.members(size)
	for i, m := range members {
		if m.ID != nodeID(i) {
			return &HarnessError{"Members", fmt.Sprintf("it renamed %s to %q", nodeID(i), m.ID)}
		}
	}
	rs, err := leadership.NewRuleset(h.policy(), members...)
	if err != nil {
		return &HarnessError{"Policy", err.Error()}
	}
	rules, err := rs.Compile(h.Catalog)
	if err != nil {
		return &HarnessError{"Policy", fmt.Sprintf("%q cannot be used with %d nodes: %v (set Features.Nodes, Members, or register the policy in Catalog)", rs.Policy, size, err)}
	}
	for l := range rules.Leaders().All() {
		if !rules.Durable(l, rules.Members()) {
			return &HarnessError{"Policy", fmt.Sprintf("%q is not durable under %s with all %d nodes: nobody could ever complete anything", rs.Policy, rules.Cohort().Node(l).ID, size)}
		}
	}
	return nil
}

func (h Harness) policy() leadership.Policy {
	if h.Policy != nil {
		return h.Policy
	}
	return leadership.Majority()
}

func nodeID(i int) leadership.NodeID { return leadership.NodeID("n" + strconv.Itoa(i+1)) }

func (h Harness) members(size int) []leadership.Node {
	members := make([]leadership.Node, size)
	for i := range members {
		members[i].ID = nodeID(i)
	}
	if h.Members != nil {
		h.Members(members)
	}
	return members
}

func (h Harness) registry(host *Host) (leadership.Registry, error) {
	if h.Registry != nil {
		return h.Registry(host)
	}
	if host.Disk == nil {
		host.Disk = &leadership.MemoryRegistry{}
	}
	return host.Disk.(leadership.Registry), nil
}

// Features says which faults the harness claims to survive. What is not
// claimed is not tried, and the log of the test says so.
type Features struct {
	// Crash: nodes die at any moment and restart with what is durable.
	Crash bool
	// Torn: a crash may leave half a write behind (Host.WriteTorn).
	Torn bool
	// Pause: processes stop for a while and know nothing of it.
	Pause bool
	// Partition: messages are lost, late, doubled, in one direction or both.
	Partition bool
	// Clock: clocks of nodes jump and run fast or slow.
	Clock bool
	// Loss: a node loses its storage and comes back with Host.Lost above zero.
	Loss bool
	// Disk: a write reports an error, done or not done.
	Disk bool
	// Nodes is the size of the cluster, at most 9; 0 varies it with the policy.
	Nodes int

	_ struct{}
}

// Everything is all faults.
func Everything() Features {
	return Features{Crash: true, Torn: true, Pause: true, Partition: true, Clock: true, Loss: true, Disk: true}
}

// skipped says in words what is not claimed and so not tried.
func (f Features) skipped() string {
	var not []string
	for _, c := range []struct {
		claimed bool
		what    string
	}{
		{f.Crash, "Crash (no node dies)"},
		{f.Torn, "Torn (no crash leaves half a write behind)"},
		{f.Pause, "Pause (no process stops for a while)"},
		{f.Partition, "Partition (no message is lost, late or doubled, only reordered)"},
		{f.Clock, "Clock (all clocks agree)"},
		{f.Loss, "Loss (no storage is lost)"},
		{f.Disk, "Disk (no write fails)"},
	} {
		if !c.claimed {
			not = append(not, c.what)
		}
	}
	return strings.Join(not, ", ")
}

// faults draws the budgets of one run.
func (f Features) faults(rng *rand.Rand) stepsim.Faults {
	s := stepsim.Faults{Reorder: true, Tick: 1000}
	if f.Crash {
		s.Crash = 1 + rng.IntN(4)
	}
	if f.Torn {
		s.Torn = rng.IntN(2)
	}
	if f.Pause {
		s.Pause = rng.IntN(8)
	}
	if f.Partition {
		s.Drop, s.Dup, s.Late, s.Cut = rng.IntN(6), rng.IntN(5), rng.IntN(5), rng.IntN(3)
	}
	if f.Clock {
		s.Clock = rng.IntN(3)
	}
	if f.Loss && rng.IntN(3) == 0 {
		s.Lose = 1
	}
	if f.Disk {
		s.Fail = rng.IntN(2)
	}
	return s
}
