package mariadbnode

import (
	"errors"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func tm(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "t"} }

func TestWhoHasTheTurnIsEvictedByAHigherTerm(t *testing.T) {
	t.Parallel()
	const stolen = time.Second
	for _, c := range []struct {
		name   string
		h      holder
		waited time.Duration
		want   bool
	}{
		{"nobody", holder{}, time.Hour, false},
		{"a lower term, at once", holder{conn: 7, wrote: 7, term: tm(4)}, 0, true},
		{"a higher term, never", holder{conn: 7, wrote: 7, term: tm(6)}, time.Hour, false},
		{"the same term gets a moment", holder{conn: 7, wrote: 7, term: tm(5)}, stolen / 2, false},
		{"and not more", holder{conn: 7, wrote: 7, term: tm(5)}, stolen, true},
		{"who has not said its term gets a moment", holder{conn: 7, wrote: 3, term: tm(4)}, stolen / 2, false},
		{"even if another had a higher one before", holder{conn: 7, wrote: 3, term: tm(9)}, stolen, true},
	} {
		require.Equal(t, c.want, c.h.evicts(tm(5), c.waited, stolen), c.name)
	}
}

func TestAPromiseEndsWhatIsBelowItOnly(t *testing.T) {
	t.Parallel()
	self := leadership.Leadership{Leader: "n1", Term: tm(5)}
	r := record{State: acceptor.State{Node: "n1", Promised: tm(5), Source: self}, Granted: tm(5), Start: 100, Drain: tm(6), Until: 1}
	var stale *leadership.StaleTermError
	require.ErrorAs(t, r.raise(tm(4)), &stale)
	require.Equal(t, tm(5), stale.Promised)
	require.NoError(t, r.raise(tm(5)))
	require.Equal(t, tm(5), r.led(false, 100))
	require.Zero(t, r.led(true, 100), "a read-only server leads nobody")
	require.Zero(t, r.led(false, 101), "nor does one that was restarted")
	var two *acceptor.TwoLeadersError
	require.ErrorAs(t, r.support(leadership.Leadership{Leader: "n2", Term: tm(5)}), &two)
	require.NoError(t, r.raise(tm(6)))
	require.Zero(t, r.Source)
	require.Zero(t, r.led(false, 100))
	require.Zero(t, r.draining(time.UnixMicro(0)))
}

func TestWhoIsAboutToLeadIsAskedAgainSoonAndIsSentNothing(t *testing.T) {
	t.Parallel()
	self := leadership.Leadership{Leader: "n1", Term: tm(5)}
	r := record{State: acceptor.State{Node: "n1", Promised: tm(5), Source: self}}
	for _, readOnly := range []bool{true, false} { // the grant is written before read_only=0
		var ref *leadership.Refusal
		require.ErrorAs(t, r.admits(self, "n1", readOnly, 100, time.Time{}), &ref)
		require.Equal(t, tm(5), ref.Until, "it is no word about a later leadership")
		require.Equal(t, soon, ref.RetryAfter)
		require.True(t, leadership.NotExecuted(ref))
	}
	for name, err := range map[string]error{
		"an older one":   r.admits(leadership.Leadership{Leader: "n1", Term: tm(4)}, "n1", true, 100, time.Time{}),
		"another server": r.admits(leadership.Leadership{Leader: "n2", Term: tm(5)}, "n2", true, 100, time.Time{}),
	} {
		var ref *leadership.Refusal
		require.ErrorAs(t, err, &ref, name)
		require.Zero(t, ref.RetryAfter, name)
	}
	r.Granted, r.Start = tm(5), 100
	require.NoError(t, r.admits(self, "n1", false, 100, time.Time{}))
	var ref *leadership.Refusal
	require.ErrorAs(t, r.admits(self, "n1", false, 99, time.Time{}), &ref)
	require.Zero(t, ref.RetryAfter, "one that was restarted will not lead again")
}

func TestADrainHoldsUntilItsTimeAndNoLonger(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_000_000)
	self := leadership.Leadership{Leader: "n1", Term: tm(5)}
	r := record{State: acceptor.State{Node: "n1", Promised: tm(5), Source: self}, Granted: tm(5), Start: 100, Drain: tm(6), Until: 2_000_000}
	var ref *leadership.Refusal
	require.ErrorAs(t, r.admits(self, "n1", false, 100, now), &ref)
	require.Equal(t, tm(6), ref.Until)
	require.Equal(t, time.Second, ref.RetryAfter)
	require.NoError(t, r.admits(self, "n1", false, 100, now.Add(time.Second)))
	for name, err := range map[string]error{
		"read-only":      r.admits(self, "n1", true, 100, now.Add(time.Hour)),
		"restarted":      r.admits(self, "n1", false, 99, now.Add(time.Hour)),
		"of a lower one": r.admits(leadership.Leadership{Leader: "n1", Term: tm(4)}, "n1", false, 100, now.Add(time.Hour)),
		"another server": r.admits(leadership.Leadership{Leader: "n2", Term: tm(5)}, "n2", false, 100, now.Add(time.Hour)),
	} {
		require.ErrorAs(t, err, &ref, name)
		require.True(t, leadership.NotExecuted(err), name)
	}
}

func TestOfARelayLogWhatIsCompleteAndNotAppliedIsRescued(t *testing.T) {
	t.Parallel()
	ev := func(pos uint64, kind, info string) event {
		return event{file: "relay.000002", pos: pos, kind: kind, info: info}
	}
	trx := func(pos uint64, gtid string) []event {
		return []event{ev(pos, "Gtid", "BEGIN GTID "+gtid), ev(pos+40, "Query", "INSERT"), ev(pos+80, "Xid", "COMMIT /* xid=1 */")}
	}
	var log []event
	log = append(log, ev(4, "Format_desc", ""))
	log = append(log, trx(100, "0-1-5")...)
	log = append(log, trx(300, "0-1-6")...)
	log = append(log, ev(500, "Gtid", "GTID 0-1-7"), ev(540, "Query", "use `d`; CREATE TABLE t (i INT)"))
	whole := append(append([]event(nil), log...), trx(600, "1-1-3")...)
	cut := append(append([]event(nil), whole...), ev(800, "Gtid", "BEGIN GTID 0-1-8 cid=7"), ev(840, "Query", "INSERT"))
	for _, c := range []struct {
		name    string
		events  []event
		applied string
		pos     uint64
		upTo    string
	}{
		{"all of it", whole, "", 100, "0-1-7,1-1-3"},
		{"from the first that is not applied", whole, "0-1-5", 300, "0-1-7,1-1-3"},
		{"one domain is further", whole, "0-1-7", 600, "1-1-3"},
		{"nothing", whole, "0-1-7,1-1-3", 0, ""},
		{"not what is cut off", cut, "0-1-7", 600, "1-1-3"},
		{"a statement that commits by itself", log, "0-1-6", 500, "0-1-7"},
		{"an empty log", nil, "0-1-6", 0, ""},
	} {
		done, err := ParseState(c.applied)
		require.NoError(t, err)
		got := plan(c.events, applied{pos: done})
		require.Equal(t, c.pos, got.pos, c.name)
		require.Equal(t, c.upTo, got.upTo.String(), c.name)
	}
	next, err := nextFile("relay.000009")
	require.NoError(t, err)
	require.Equal(t, "relay.000010", next)
	_, err = nextFile("relay")
	require.Error(t, err)
}

func TestWhatWasReceivedIsComparedWithWhatIsApplied(t *testing.T) {
	t.Parallel()
	st := func(s string) State {
		v, err := ParseState(s)
		require.NoError(t, err)
		return v
	}
	for _, c := range []struct {
		name    string
		s       slave
		applied string
		want    bool
	}{
		{"no source", slave{}, "", true},
		{"a source, and nothing received", slave{configured: true}, "", true},
		{"behind", slave{configured: true, relayFile: "r.1", usingGTID: "Slave_Pos", ioPos: st("0-1-5"), sql: "Yes"}, "0-1-4", false},
		{"level", slave{configured: true, relayFile: "r.1", usingGTID: "Slave_Pos", ioPos: st("0-1-5"), sql: "No"}, "0-1-5", true},
		{"applied by another leader's number", slave{configured: true, relayFile: "r.1", usingGTID: "Slave_Pos", ioPos: st("0-1-5")}, "0-2-6", true},
		{"after a start nothing is known", slave{configured: true, relayFile: "r.1", usingGTID: "Slave_Pos", sql: "No"}, "0-1-5", false},
		{"nor during a rescue, whatever the SQL thread has read", slave{configured: true, relayFile: "r.1", usingGTID: "No", ioPos: st("0-1-5"), sql: "Yes"}, "0-1-5", false},
	} {
		require.Equal(t, c.want, live{slave: c.s, slavePos: st(c.applied)}.settled(), c.name)
	}
	behind := live{slavePos: st("0-1-4"), state: st("0-1-5"), slave: slave{configured: true, relayFile: "r.1", usingGTID: "Slave_Pos", ioPos: st("0-1-5"), sql: "No"}}
	require.True(t, behind.settled(), "nothing is under way: the log tells")
	behind.slave.sql = "Yes"
	require.False(t, behind.settled(), "it is logged, and may not be committed")
}

func TestThatAMarkerIsCompleteIsNotedWhereLaterRoundsAsk(t *testing.T) {
	t.Parallel()
	v1 := leadership.Ruleset{Version: 1}
	was := mark{Marker: leadership.Marker{Ruleset: v1}}
	of := func(m leadership.Marker) history { return history{marks: []mark{was, {Marker: m}}} }
	require.False(t, undecided(of(leadership.Marker{Ruleset: v1})), "it would change nothing")
	require.True(t, undecided(of(leadership.Marker{Ruleset: leadership.Ruleset{Version: 2}})))
	require.True(t, undecided(of(leadership.Marker{Ruleset: v1, Over: []leadership.Ruleset{v1}})))
	require.True(t, undecided(of(leadership.Marker{Ruleset: v1, Lost: []leadership.NodeID{"n1"}})), "it may else have been given up")
	known := of(leadership.Marker{Ruleset: v1, Lost: []leadership.NodeID{"n1"}})
	known.marks[1].decided = true
	require.False(t, undecided(known))
}

func TestG9_AnErrorCodeIsHardlyEverProof(t *testing.T) {
	t.Parallel()
	my := func(n uint16, state, text string) error {
		e := &mysql.MySQLError{Number: n, Message: text}
		copy(e.SQLState[:], state)
		return e
	}
	ro := my(1290, "HY000", "The MariaDB server is running with the --read-only option so it cannot execute this statement")
	require.Equal(t, buffer.MaybeExecuted, classifier(false)(ro), "a CALL may have half run")
	require.Equal(t, buffer.Refused, classifier(true)(ro))
	require.Equal(t, buffer.MaybeExecuted, classifier(true)(my(1290, "HY000", "running with the --secure-file-priv option")))
	for name, c := range map[string]struct {
		err  error
		want buffer.Class
	}{
		"duplicate":         {my(1062, "23000", ""), buffer.Answered},
		"syntax":            {my(1064, "42000", ""), buffer.Answered},
		"deadlock":          {my(1213, "40001", ""), buffer.Answered},
		"lock wait":         {my(1205, "HY000", ""), buffer.Answered},
		"interrupted":       {my(1317, "70100", ""), buffer.MaybeExecuted},
		"statement time":    {my(1969, "70100", ""), buffer.MaybeExecuted},
		"shutdown":          {my(1053, "08S01", ""), buffer.MaybeExecuted},
		"killed":            {my(1927, "70100", ""), buffer.MaybeExecuted},
		"unknown":           {my(4000, "HY000", ""), buffer.MaybeExecuted},
		"not the server's":  {errors.New("x"), buffer.Unclassified},
		"a lost connection": {mysql.ErrInvalidConn, buffer.MaybeExecuted},
	} {
		require.Equal(t, c.want, classifier(true)(c.err), name)
	}
}

func TestALeaderKeepsWhatItselfAndAnyOtherMemberMakeDurable(t *testing.T) {
	t.Parallel()
	n, err := New(Config{ID: "n1", DSN: "u@tcp(127.0.0.1:1)/", RestartsFenced: true})
	require.NoError(t, err)
	defer func() { _ = n.Close() }()
	zone := func(id leadership.NodeID, z string) leadership.Node { return leadership.Node{ID: id, Zone: z} }
	three := []leadership.Node{zone("n1", "a"), zone("n2", "a"), zone("n3", "b")}
	five := append(append([]leadership.Node(nil), three...), zone("n4", "b"), zone("n5", "c"))
	for _, c := range []struct {
		name    string
		p       leadership.Policy
		members []leadership.Node
		ok      bool
	}{
		{"two of three", leadership.AtLeast(2), three, true},
		{"two of five", leadership.AtLeast(2), five, true},
		{"majority of three", leadership.Majority(), three, true},
		{"majority of five", leadership.Majority(), five, false},
		{"three", leadership.AtLeast(3), five, false},
		{"all of three", leadership.All(), three, false},
		{"all of two", leadership.All(), three[:2], true},
		{"two zones", leadership.Zones(2), three, false},
		{"two zones, one each", leadership.Zones(2), []leadership.Node{three[0], three[2], five[4]}, true},
		{"itself", leadership.Any(), three, true},
		{"alone", leadership.Any(), three[:1], false},
	} {
		rs, err := leadership.NewRuleset(c.p, c.members...)
		require.NoError(t, err, c.name)
		require.Equal(t, c.ok, n.CanEnforce(rs) == nil, "%s: %v", c.name, n.CanEnforce(rs))
	}
	rs, err := leadership.NewRuleset(leadership.All(), zone("n2", ""), zone("n3", ""), zone("n4", ""))
	require.NoError(t, err)
	require.NoError(t, n.CanEnforce(rs), "it does not lead there")
	n.cfg.RestartsFenced = false
	var e *EnforceError
	require.ErrorAs(t, n.CanEnforce(rs), &e)
}

func TestG10_AConfigurationIsCheckedBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	good := func() Config {
		return Config{ID: "n1", DSN: "u:p@tcp(127.0.0.1:1)/", Peers: map[leadership.NodeID]string{"n2": "h:3306"}}
	}
	for name, edit := range map[string]func(*Config){
		"id":       func(c *Config) { c.ID = "no id" },
		"dsn":      func(c *Config) { c.DSN = "" },
		"bad dsn":  func(c *Config) { c.DSN = "u:p@tcp(" },
		"schema":   func(c *Config) { c.Schema = "a`b" },
		"peer":     func(c *Config) { c.Peers["n2"] = "h" },
		"port":     func(c *Config) { c.Peers["n2"] = "h:0" },
		"peer id":  func(c *Config) { c.Peers["no id"] = "h:1" },
		"limit":    func(c *Config) { c.Limits.Statement = -1 },
		"idle":     func(c *Config) { c.Limits.Idle = time.Millisecond },
		"hearbeat": func(c *Config) { c.Replication.Heartbeat = -1 },
	} {
		c := good()
		edit(&c)
		_, err := New(c)
		require.Error(t, err, name)
	}
	n, err := New(good())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1", n.Addr())
	require.NoError(t, n.Close())
	_, err = n.Promise(t.Context(), tm(1))
	require.ErrorIs(t, err, ErrClosed)
}

func TestVersionsAreCompared(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]bool{
		"10.11.19-MariaDB-0+deb12u1-log": true, "10.11.2-MariaDB": true, "11.4.1-MariaDB": true, "10.6.16-MariaDB": false, "10.10.2-MariaDB": false, "": false, "x.y": false,
	} {
		require.Equal(t, want, newEnough(v), v)
	}
}

func TestAServerThatQuotesAStatementShowsNoPassword(t *testing.T) {
	t.Parallel()
	n, err := New(Config{ID: "n1", DSN: "u:Adm1n-pw@tcp(127.0.0.1:1)/", Replication: Replication{User: "r", Password: "Repl-pw"}})
	require.NoError(t, err)
	defer func() { _ = n.Close() }()
	quoted := n.step("change the source", &mysql.MySQLError{Number: 1064, Message: "near 'MASTER_PASSWORD='Repl-pw' Adm1n-pw'"})
	require.NotContains(t, quoted.Error(), "-pw")
	require.EqualValues(t, 1064, number(quoted))
	require.NotContains(t, n.step("x", errors.New("dial Adm1n-pw")).Error(), "-pw")
}

func TestWhoWritesToAReadOnlyServer(t *testing.T) {
	t.Parallel()
	accounts := []account{
		{name: "admin", access: readOnlyAdmin}, {name: "admin", access: 0}, {name: "super", access: super, version: superOnly},
		{name: "old", access: super, version: superOnly - 1}, {name: "tenure", access: readOnlyAdmin}, {name: "locked", access: readOnlyAdmin, locked: true},
		{name: "dba", access: readOnlyAdmin}, {name: "team"}, {name: "bob"}, {name: "app"},
	}
	// In an order in which one pass does not do.
	grants := []grant{{"bob", "team"}, {"team", "dba"}, {"app", "reader"}, {"team", "team"}}
	all := writers(accounts, grants, "tenure")
	require.Equal(t, map[string]bool{"admin": true, "old": true, "locked": true, "dba": true, "team": true, "bob": true}, all)
	require.Equal(t, []string{"admin", "bob", "dba", "old", "team"}, open(all, accounts))
}
