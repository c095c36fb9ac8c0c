package pgnode_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/pgnode"
	"pgregory.net/rapid"
)

func TestATimelineHistoryBecomesErasNamedByMarkers(t *testing.T) {
	t.Parallel()
	es, err := pgnode.ParseHistory(4, "1\t0/3000\tno recovery target specified\n\n2\t0/4000\tx\n# comment\n3\t0/5000\tno\n")
	require.NoError(t, err)
	require.Equal(t, []pgnode.Era{era(1, 0, 0), era(2, 0x3000, 0), era(3, 0x4000, 0), era(4, 0x5000, 0)}, es)

	marked := []pgnode.Era{era(1, 0, 0), era(2, 0x3000, 5)}
	last := leadership.Leadership{Leader: "n1", Term: term(9)}
	require.Equal(t, []pgnode.Era{era(1, 0, 0), era(2, 0x3000, 5), era(3, 0x4000, 7), era(4, 0x5000, 9)},
		pgnode.NameEras(es, marked, []pgnode.Era{era(3, 0x4000, 7)}, last))
	require.Equal(t, []pgnode.Era{era(1, 0, 0), era(2, 0x3000, 5), era(3, 0x4000, 0), era(4, 0x5000, 9)},
		pgnode.NameEras(es, marked, nil, last), "only the newest is of whom the node followed last")
	require.Equal(t, era(4, 0x5000, 0),
		pgnode.NameEras(es, marked, nil, leadership.Leadership{Leader: "n1", Term: term(5)})[3], "one that was made since by hand is of nobody")
	require.Equal(t, era(2, 0x3000, 0),
		pgnode.NameEras(es, []pgnode.Era{era(1, 0, 0), era(2, 0x3001, 5)}, nil, leadership.Leadership{})[1], "one of the same number at another place is another")

	for _, bad := range []string{"1", "x\t0/0\ty", "0\t0/0\ty", "2\t0/30\ty\n1\t0/40\ty", "1\t0/40\ty\n2\t0/30\ty", "5\t0/30\tz"} {
		_, err := pgnode.ParseHistory(4, bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add(uint32(3), "1\t0/3000\tno recovery target specified\n2\t0/4000\tx\n")
	f.Fuzz(func(t *testing.T, tli uint32, s string) {
		es, err := pgnode.ParseHistory(tli, s)
		if err != nil {
			return
		}
		if len(es) == 0 || es[len(es)-1].Timeline != tli || es[0].Begin != 0 {
			t.Fatalf("%q: %v", s, es)
		}
	})
}

func TestNoTwoNodesAcknowledgeUnderOneName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	require.Equal(t, "n1_t8.c1-x", pgnode.AckName("n1", leadership.Term{Num: 8, Proposer: "c1-x"}))
	seen := map[string]string{}
	terms := []leadership.Term{term(1), term(11), {Num: leadership.MaxTermNum, Proposer: strings.Repeat("x", 20)}, {Num: 1, Proposer: "t1"}}
	for _, id := range []leadership.NodeID{"n1", "N1", "n1_t1.test", "n1_t1", "n", leadership.NodeID(long), leadership.NodeID(long[:62] + "b"), leadership.NodeID(strings.ToUpper(long)), "a.b_c-d"} {
		for _, tm := range terms {
			name := pgnode.AckName(id, tm)
			require.LessOrEqual(t, len(name), 63, name)
			key := strings.ToLower(name)
			require.Empty(t, seen[key], "%s and %s", name, seen[key])
			seen[key] = string(id) + " " + tm.String()
			require.NotEqual(t, key, strings.ToLower(pgnode.FetchName(id)))
		}
	}
}

func rules(t require.TestingT, version uint64, policy string, ids ...leadership.NodeID) leadership.Ruleset {
	rs := leadership.Ruleset{Version: version, Policy: policy}
	for _, id := range ids {
		rs.Members = append(rs.Members, leadership.Node{ID: id})
	}
	_, err := rs.Compile(nil)
	require.NoError(t, err)
	return rs
}

// TestG3_WhatALeaderWaitsForIsDurableByEveryRulesetInForce: with any k of the names,
// and no fewer names than k.
func TestG3_WhatALeaderWaitsForIsDurableByEveryRulesetInForce(t *testing.T) {
	t.Parallel()
	ids := []leadership.NodeID{"n1", "n2", "n3", "n4", "n5"}
	policies := []string{"majority", "all", "any", "at-least(1)", "at-least(2)", "at-least(3)", "joint(majority,at-least(3))", "joint(any,joint(all,majority))"}
	rapid.Check(t, func(t *rapid.T) {
		var rs []leadership.Ruleset
		for v := range rapid.IntRange(1, 2).Draw(t, "rulesets") {
			members := append([]leadership.NodeID{"n1"}, rapid.SliceOfNDistinct(rapid.SampledFrom(ids[1:]), 2, 4, rapid.ID[leadership.NodeID]).Draw(t, "members")...)
			rs = append(rs, rules(t, uint64(v+1), rapid.SampledFrom(policies).Draw(t, "policy"), members...))
		}
		need, nodes, err := pgnode.Quorum("n1", rs...)
		if err != nil {
			if len(rs) == 1 {
				t.Fatalf("%v: %v", rs, err)
			}
			return
		}
		if need > len(nodes) {
			t.Fatalf("any %d of %v", need, nodes)
		}
		for set := range 1 << len(nodes) {
			have := []leadership.NodeID{"n1"}
			for i, id := range nodes {
				if set&(1<<i) != 0 {
					have = append(have, id)
				}
			}
			if len(have)-1 != need {
				continue
			}
			for _, r := range rs {
				compiled, err := r.Compile(nil)
				require.NoError(t, err)
				var s leadership.Set
				for _, id := range have {
					if m, ok := compiled.Cohort().Member(id); ok {
						s = s.With(m)
					}
				}
				lead, _ := compiled.Cohort().Member("n1")
				if !compiled.Durable(lead, s) {
					t.Fatalf("ANY %d of %v acknowledges with %v, which is not durable by %s of %v", need, nodes, have, r.Policy, r.IDs())
				}
			}
		}
	})
	require.Equal(t, "", pgnode.StandbyNames(0, ids, term(1)))
	require.Equal(t, `ANY 1 ("n2_t1.test", "n3_t1.test")`, pgnode.StandbyNames(1, ids[1:3], term(1)))
}

func TestPoliciesThatACountCannotKeepAreRefused(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"weighted", "weighted(2)", "joint(majority,weighted)"} {
		_, _, err := pgnode.Quorum("n1", rules(t, 1, policy, "n1", "n2", "n3"))
		require.ErrorContains(t, err, "ANY k", policy)
	}
	rs := leadership.Ruleset{Version: 1, Policy: "zones(2)", Members: []leadership.Node{{ID: "n1", Zone: "a"}, {ID: "n2", Zone: "b"}}}
	_, _, err := pgnode.Quorum("n1", rs)
	require.Error(t, err)
	_, _, err = pgnode.Quorum("n9", rules(t, 1, "majority", "n1", "n2", "n3"))
	require.Error(t, err, "who is no member leads nobody")
}

func TestConninfoIsReadAndWritten(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]map[string]string{
		"":                              {},
		"host=h port = 5432  user=u":    {"host": "h", "port": "5432", "user": "u"},
		`password='a b\'c\\' host=h`:    {"password": `a b'c\`, "host": "h"},
		`password=a\ b`:                 {"password": "a b"},
		"a='' b=1":                      {"a": "", "b": "1"},
		"postgres://u:p%20w@h:5/db?x=1": {"user": "u", "password": "p w", "host": "h", "port": "5", "dbname": "db", "x": "1"},
	} {
		got, err := pgnode.ParseConninfo(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
		back, err := pgnode.ParseConninfo(pgnode.ConninfoText(got))
		require.NoError(t, err)
		require.Equal(t, want, back)
	}
	for _, bad := range []string{"host", "=h", "host='h", "host h", "postgres://%zz"} {
		_, err := pgnode.ParseConninfo(bad)
		require.Error(t, err, bad)
	}
	args, env, err := pgnode.ForTool("host=h password='s e' user=u")
	require.NoError(t, err)
	require.Equal(t, "host='h' user='u'", args, "a password is in nobody's argument list")
	require.Equal(t, []string{"PGPASSWORD=s e"}, env)
}

func FuzzParseConninfo(f *testing.F) {
	f.Add(`password='a b\'c\\' host=h`)
	f.Add("postgres://u:p@h:5/db?x=1")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := pgnode.ParseConninfo(s)
		if err != nil || strings.HasPrefix(s, "postgres") {
			return
		}
		back, err := pgnode.ParseConninfo(pgnode.ConninfoText(got))
		if err != nil {
			t.Fatalf("%q became %q: %v", s, pgnode.ConninfoText(got), err)
		}
		require.Equal(t, got, back)
	})
}

func TestAClosedGateAdmitsItsRolesAndRejectsAllOthersFirst(t *testing.T) {
	t.Parallel()
	own := "# mine\nlocal all all trust\nhost all all 0.0.0.0/0 md5\n"
	admit := pgnode.AdmitRules([]string{"tenure", `we"ird`}, "trust")
	closed, err := pgnode.SetGate(own, false, admit)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(closed, own), "what is not ours is kept")
	require.Contains(t, closed, "host all,replication \"tenure\" all trust\n")
	require.Contains(t, closed, `"we""ird"`)
	reject := strings.Index(closed, "host all,replication all all reject")
	require.Greater(t, reject, strings.Index(closed, "\"tenure\""))
	require.Less(t, reject, strings.Index(closed, "local all all trust"))
	is, err := pgnode.GateOpen(closed)
	require.NoError(t, err)
	require.False(t, is)

	open, err := pgnode.SetGate(closed, true, admit)
	require.NoError(t, err)
	require.NotContains(t, open, "reject")
	require.True(t, strings.HasSuffix(open, own))
	is, err = pgnode.GateOpen(open)
	require.NoError(t, err)
	require.True(t, is)
	again, err := pgnode.SetGate(open, false, admit)
	require.NoError(t, err)
	require.Equal(t, closed, again)

	_, err = pgnode.SetGate(strings.Replace(closed, "# END tenure gate\n", "", 1), true, admit)
	require.Error(t, err)
}

func FuzzSetGate(f *testing.F) {
	f.Add("local all all trust\n")
	f.Fuzz(func(t *testing.T, s string) {
		closed, err := pgnode.SetGate(s, false, []string{"local all tenure trust"})
		if err != nil {
			return
		}
		open, err := pgnode.SetGate(closed, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := pgnode.GateOpen(closed); err != nil || is {
			t.Fatalf("a closed gate is open: %v", err)
		}
		if is, err := pgnode.GateOpen(open); err != nil || !is {
			t.Fatalf("an open gate is closed: %v", err)
		}
	})
}

func TestSettingsOfAServerThatIsDownAreWrittenOnce(t *testing.T) {
	t.Parallel()
	in := "# Do not edit\nport = '5'\nprimary_conninfo = 'a'\nPrimary_Conninfo = 'b'\nprimary_conninfo_x = 'keep'"
	out := pgnode.SetAuto(in, map[string]string{"primary_conninfo": `x'y\z`, "restore_command": ""})
	require.Equal(t, "# Do not edit\nport = '5'\nprimary_conninfo_x = 'keep'\nprimary_conninfo = 'x''y\\\\z'\nrestore_command = ''\n", out)
	require.Equal(t, out, pgnode.SetAuto(out, map[string]string{"primary_conninfo": `x'y\z`, "restore_command": ""}))
	require.Equal(t, `'a''b'`, pgnode.Quote("a'b"))
	require.Equal(t, ` E'a\\b'`, pgnode.Quote(`a\b`))
}

func TestARewindIsForLogsOfWhichItIsProvenWhereTheyPart(t *testing.T) {
	t.Parallel()
	one := era(1, 0, 0)
	require.True(t, pgnode.PartsAt(point(900, one), point(500, one, era(2, 400, 2))))
	require.True(t, pgnode.PartsAt(point(900, one, era(3, 300, 3)), point(500, one, era(2, 400, 2))))
	require.False(t, pgnode.PartsAt(point(900, one, era(2, 400, 3)), point(500, one, era(2, 400, 2))), "pg_rewind would take them for one timeline")
	require.False(t, pgnode.PartsAt(point(900, era(2, 0, 0)), point(500, one)))
	other := point(900, one)
	other.System = 8
	require.False(t, pgnode.PartsAt(other, point(500, one)))
}

func TestAServersOwnFileIsReadForWhatAlterSystemWouldWrite(t *testing.T) {
	t.Parallel()
	const file = "# Do not edit this file manually!\nprimary_conninfo = ''\nsynchronous_standby_names = 'ANY 1 (\"it''s\")'\n"
	for _, c := range []struct {
		content, name, value string
		says                 bool
	}{
		{file, "primary_conninfo", "", true},
		{file, "synchronous_standby_names", `ANY 1 ("it's")`, true},
		{file, "primary_conninfo", "host=a", false},
		{file, "restore_command", "", false},
		{file + "primary_conninfo = 'host=a'\n", "primary_conninfo", "", false},
		{file + "PRIMARY_CONNINFO = 'host=a'\n", "primary_conninfo", "", false},
		{"not_primary_conninfo = ''\n", "primary_conninfo", "", false},
		{"primary_conninfo=''\n", "primary_conninfo", "", false}, // written by hand: ALTER SYSTEM mends it
		{"", "primary_conninfo", "", false},
	} {
		require.Equal(t, c.says, pgnode.AutoSays(c.content, c.name, c.value), "%q in %q", c.name, c.content)
		mended := pgnode.SetAuto(c.content, map[string]string{c.name: c.value})
		require.True(t, pgnode.AutoSays(mended, c.name, c.value), "%q", mended)
	}
}

func TestWhatNoGateKeepsFromWritingIsNamed(t *testing.T) {
	t.Parallel()
	require.Empty(t, pgnode.Alien([]string{"client backend", "walsender", "checkpointer", "walwriter", "autovacuum launcher", "logical replication launcher", "parallel worker"}))
	require.Equal(t, []string{"pg_cron", "", "logical replication worker"}, pgnode.Alien([]string{"pg_cron", "", "walwriter", "logical replication worker"}))
}
