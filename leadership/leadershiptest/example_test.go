package leadershiptest_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/leadership/leadershiptest"
)

// What is yours in these examples stands for your own.

func MyPolicy() leadership.Policy {
	return leadership.Joint(leadership.AtLeast(2), leadership.Zones(2))
}

func myCatalog() *leadership.Catalog { return nil } // the built-in ones

func openEmptyRegistry(t *testing.T) leadership.Registry {
	reg, err := leadership.OpenFileRegistry(filepath.Join(t.TempDir(), "registry"))
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func openEmptyBarrier(*testing.T) leadership.Barrier { return &leadership.MemoryBarrier{} }

// A second handle on a barrier in memory is the same pointer; one on a barrier in
// a database is another client.
func openTheSameBarrierAgain(_ *testing.T, b leadership.Barrier) leadership.Barrier { return b }

func openMyStore(dir string) (acceptor.Store, error) { return acceptor.OpenFile(dir) }

// A test of a durability policy: every set of a cohort is tried.
func ExamplePolicy() {
	_ = func(t *testing.T) { // func TestMyPolicy(t *testing.T) {
		leadershiptest.Policy(t, MyPolicy(), myCatalog())
	}
}

// A test of a registry on a database of one's own.
func ExampleRegistry() {
	_ = func(t *testing.T) { // func TestMyRegistry(t *testing.T) {
		leadershiptest.Registry(t, func(t *testing.T) leadership.Registry {
			return openEmptyRegistry(t)
		})
	}
}

// A test of a barrier. The second function is another process at the same barrier.
func ExampleBarrier() {
	_ = func(t *testing.T) { // func TestMyBarrier(t *testing.T) {
		leadershiptest.Barrier(t, openEmptyBarrier, openTheSameBarrierAgain)
	}
}

// A test of a store for an acceptor.Acceptor. The other hooks of a Disk let it be
// checked for crashes and for damage as well.
func ExampleStore() {
	_ = func(t *testing.T) { // func TestMyStore(t *testing.T) {
		leadershiptest.Store(t, func(t *testing.T) leadershiptest.Disk {
			dir := t.TempDir()
			return leadershiptest.Disk{Open: func() (acceptor.Store, error) { return openMyStore(dir) }}
		})
	}
}

// The cohort that a policy is tried on when none is given.
func ExampleNodes() {
	for _, n := range leadershiptest.Nodes(4) {
		fmt.Println(n.ID, n.Zone, n.Weight)
	}
	// Output:
	// n0 z0 1
	// n1 z1 2
	// n2 z2 3
	// n3 z0 1
}
