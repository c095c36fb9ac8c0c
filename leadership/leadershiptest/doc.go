// Package leadershiptest checks what others implement for package leadership:
// durability policies, registries, barriers, the store of an acceptor, and the
// node's side of a change of leader where it is done without package acceptor.
//
//	func TestMyPolicy(t *testing.T) {
//		leadershiptest.Policy(t, MyPolicy(), myCatalog())
//	}
//
//	func TestMyRegistry(t *testing.T) {
//		leadershiptest.Registry(t, func(t *testing.T) leadership.Registry {
//			return openEmptyRegistry(t)
//		})
//	}
//
//	func TestMyBarrier(t *testing.T) {
//		leadershiptest.Barrier(t, openEmptyBarrier, openTheSameBarrierAgain)
//	}
//
//	func TestMyStore(t *testing.T) {
//		leadershiptest.Store(t, func(t *testing.T) leadershiptest.Disk {
//			dir := t.TempDir()
//			return leadershiptest.Disk{Open: func() (acceptor.Store, error) { return openMyStore(dir) }}
//		})
//	}
//
//	func TestMyNode(t *testing.T) {
//		leadershiptest.Acceptor(t, func(t *testing.T) leadershiptest.AcceptorNode {
//			n := bootMyNode(t)
//			return leadershiptest.AcceptorNode{ID: n.ID, Promise: n.Promise, Follow: n.Follow, Accept: n.Accept}
//		})
//	}
//
// # Guarantees
//
// A failure names the rule that is broken and the smallest input that was found
// to break it. There are no false alarms: every rule that is checked is part of
// the documented contract.
//
// # What it does not guarantee
//
// Policies are enumerated over small cohorts only. Registries are not checked
// for durability: kill the process or cut the power in a test of your own. Of
// stores and nodes only what the given hooks allow is checked; what is skipped
// says which hook it would need. That fsync reaches the disk shows only to a hook
// that cuts the power. Barriers are checked for leases that end too early by the
// clock of this process alone.
//
// # Assumptions
//
// Each call of the open function returns an empty registry or barrier that nobody
// else uses. Either answers within seconds.
//
// # State model
//
//	open -> empty (version 0) -> Swap(0) -> record -> Swap(v) -> record ... -> Close
//
//	open -> nobody -> Join -> late -> Ack(t) -> quiet for t -> Leave, or the lease lapses
//
// # Failure handling
//
// Every goroutine that a check starts has ended when the check returns, also
// when it fails.
package leadershiptest
