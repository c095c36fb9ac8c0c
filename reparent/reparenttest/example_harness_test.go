package reparenttest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/reparent/reparenttest"
	"github.com/tenure-go/tenure/revoke"
)

// bootMine starts the node that is tested. Yours is made of your own driver, with
// its IO through the host; this one is a simulated store's.
func bootMine(h *reparenttest.Host) (reparenttest.Node, error) {
	return reparenttest.LogStore().Boot(h)
}

// A test of a node driver: at random, and through the stories that are known to
// go wrong.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestMyNodes(t *testing.T) {
		h := reparenttest.Harness{Name: "mine", Boot: bootMine}
		reparenttest.Run(t, h, reparenttest.Everything(), reparenttest.Options{})
		reparenttest.Scenarios(t, h, reparenttest.Everything(), reparenttest.Options{})
	}
}

// A test of one part: a revoker of one's own, over servers like MariaDB's.
func ExampleHarness() {
	newMine := func(nodes map[leadership.NodeID]revoke.Promiser) (revoke.Revoker, error) {
		return revoke.NewSource(nodes, revoke.Options{})
	}
	_ = func(t *testing.T) { // func TestMyRevoker(t *testing.T) {
		h := reparenttest.MariaDBLike()
		h.Revoke = func(p *reparenttest.Process) (revoke.Revoker, error) { return newMine(p.Promisers()) }
		reparenttest.Run(t, h, reparenttest.Everything(), reparenttest.Options{})
	}
}

// What a driver does not claim is not tried, and the log of the test says so.
func ExampleFeatures() {
	_ = func(t *testing.T) { // func TestMyNodesOnGoodDisks(t *testing.T) {
		faults := reparenttest.Everything()
		faults.Torn, faults.Disk = false, false
		reparenttest.Run(t, reparenttest.Harness{Name: "mine", Boot: bootMine}, faults, reparenttest.Options{Seeds: 50})
	}
}

// volatile keeps promises where a crash forgets them.
type volatile struct{ kept acceptor.State }

func (v *volatile) Load(context.Context) (acceptor.State, bool, error) {
	return v.kept, v.kept.Node != "", nil
}

func (v *volatile) Save(_ context.Context, s acceptor.State) error {
	v.kept = s
	return nil
}

// A test that is worth something notices when a rule is taken out. Find returns
// the failure, and leaves the test alone.
func ExampleFind() {
	_ = func(t *testing.T) { // func TestAVolatilePromiseIsFound(t *testing.T) {
		broken := reparenttest.Store(reparenttest.Traits{
			Promises: func(*reparenttest.Host, *any) acceptor.Store { return &volatile{} },
		})
		if reparenttest.Find(t, broken, reparenttest.Features{Crash: true}, reparenttest.Options{}) == nil {
			t.Error("nothing was found")
		}
	}
}

// All schedules of two rival changes that differ from the quiet one by one delay,
// in place of a sample of them.
func ExampleExplore() {
	_ = func(t *testing.T) { // func TestTwoRivalsAndOneDelay(t *testing.T) {
		found := reparenttest.Explore(t, reparenttest.LogStore(), reparenttest.Scope{
			Changes: []reparent.Change{reparent.Planned("n2"), reparent.Emergency()},
			Delays:  1,
		})
		t.Log(found.Schedules, found.Complete)
	}
}

// A fuzz target: the fuzzer's bytes are the schedule.
func ExampleFuzz() {
	_ = func(f *testing.F) { // func FuzzMyNodes(f *testing.F) {
		reparenttest.Fuzz(f, reparenttest.Harness{Name: "mine", Boot: bootMine}, reparenttest.Everything())
	}
}

// An establisher of one's own, over servers like PostgreSQL's.
func ExamplePostgreSQLLike() {
	h := reparenttest.PostgreSQLLike()
	h.Name = "mine over PostgreSQL"
	h.Establish = func(p *reparenttest.Process) (establish.Establisher, error) {
		// newMine(p.Candidates(), ...), or whatever is to be tested
		return establish.NewSource(p.Candidates(), p.Followers(), p.Repairers(), establish.Options{})
	}
	fmt.Println(h.Validate(reparenttest.Everything()))
	// Output: <nil>
}

// A driver whose followers ask their leader for what they lack does so by messages
// between hosts, which are late, doubled and lost as all others.
func ExampleSend() {
	_ = func(ctx context.Context, h *reparenttest.Host, leader leadership.NodeID) ([]reparenttest.Entry, error) {
		return reparenttest.Send(ctx, h, leader, "fetch", func(_ context.Context, peer reparenttest.Node) ([]reparenttest.Entry, error) {
			if peer.Inspect == nil {
				return nil, errors.New("it keeps no log")
			}
			return peer.Inspect.Facts().Log, nil
		})
	}
}

// What the kit's guards allow a step: little, since a lost message costs one.
func ExampleLimits() {
	fmt.Println(reparenttest.Limits().Status < reparenttest.Limits().Revoke)
	// Output: true
}
