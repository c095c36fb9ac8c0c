// Package enginetest is the testing layer of package engines: it skips or fails
// where a server is not installed, cleans up, and lets few clusters run at once.
//
//	var host *engines.Host
//
//	func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, &host)) }
//
//	func TestChange(t *testing.T) {
//		enginetest.Need(t, engines.MariaDB)
//		nodes := enginetest.MariaDB(t, host, 3, engines.MariaDBConfig{})
//		// nodes[0].Addr() serves.
//	}
//
// # Guarantees
//
// A test that needs an engine which is not installed is skipped with a sentence
// that says so, or fails when TENURE_REQUIRE_ENGINES names the engine, as in
// "mariadb,postgres,etcd". At most two tests of a user hold clusters at once,
// whichever processes they are in; TENURE_ENGINE_SLOTS changes the number.
//
// # What it does not guarantee
//
// That a machine is fast enough for a bound on milliseconds: wait for conditions
// with Eventually.
//
// # Assumptions
//
// As package engines.
//
// # State model
//
// None: everything belongs to a test and ends with its Cleanup.
//
// # Failure handling
//
// A server that does not start fails the test with the end of its log. A failed
// test logs the end of each server's log.
package enginetest
