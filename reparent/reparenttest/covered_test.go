package reparenttest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// danger is a way to lose an entry or to have two leaders, and where the tests
// show that it is found.
type danger struct {
	says string
	by   []string // "kind: name", see finders
}

// combinations are the dangers of one round's rule left out while others rely
// on it.
var combinations = []danger{
	{"A leader steps down in memory only, its host starts again and leads on with a follower that was told nothing.",
		[]string{"unsafe: X1 a step-down in memory, and a host that leads again", "trace: stepped_down_host_restarts_beside_a_follower_that_never_heard", "bug: a step-down is in memory only, and the host leads again after a restart"}},
	{"A coordinator whose view of the registry is old takes the leader it finds there for the only one, and revokes somebody who has stepped down already.",
		[]string{"test: . TestALeaderTakenFromAViewThatIsOutOfDateIsFound", "mutation: stale-leader-stays-known", "story: registry/shortcut_from_an_active_leader_that_was_superseded"}},
	{"Who stepped down is made writable again as it was, beside the leader that came after.",
		[]string{"unsafe: X3 who stepped down is made leader again under its old term", "story: stepdown/undone_under_the_old_term_is_refused", "mutation: grant-of-another-term"}},
	{"Followers are fenced by something that a restart undoes.",
		[]string{"unsafe: X4 a fence that does not survive a restart", "bug: a promise alone is not on disk", "lie: MariaDB, replication starts by itself"}},
	{"Followers are pointed elsewhere without a term, and somebody with an old view points them back.",
		[]string{"unsafe: X5 entries are taken whatever their term", "story: log/old_source_is_pushed_again_by_a_repair_loop", "mutation: follow-an-older-term", "lie: MariaDB, a statement of a lower term lands late"}},
	{"A leader is cut off, replaced, and let go without having promised anything.",
		[]string{"unsafe: X6 an isolation is taken for a promise, and let go", "test: . TestG6_AnIsolatedNodeIsReleasedByItsPromiseOnly", "mutation: unconverted-isolation-released", "mutation: unconverted-node-released"}},
	{"One coordinator changes leaders without the registry, and another trusts what is there.",
		[]string{"unsafe: X7 one coordinator has a registry of its own", "mutation: shortcut-without-registry", "mutation: shortcut-in-full-mode"}},
	{"The registry learns of a leader after its grant, or before its log is durable.",
		[]string{"unsafe: X8 the leader is granted before it is active", "unsafe: X8 the leader is active before its log is propagated", "mutation: grant-before-activate", "mutation: activate-before-durable"}},
	{"Positions are read first, and nodes fenced afterwards.",
		[]string{"unsafe: X9 positions are read before the block", "bug: the position is read before the block", "mutation: read-before-block", "mutation: position-before-the-promise"}},
	{"Nothing but a lease stops the old leader, and clocks differ, or it looked at its lease before a pause.",
		[]string{"test: . TestLeasesAtTheBoundOfTheClocks", "mutation: lease-wait-dropped", "mutation: lease-wait-without-rate", "mutation: lease-of-the-reached-ignored"}},
	{"A change is given up half way, the old leader goes on under its old term, and the new one gets to know later.",
		[]string{"without: stepdown/done_and_nobody_can_be_established", "mutation: undo-under-the-old-term", "story: log/late_grant_under_a_lower_term"}},
	{"One coordinator is content when those it reached would suffice to complete, others when those it did not reach would not.",
		[]string{"mutation: reached-set-is-durable", "trace: reached_set_suffices_and_so_does_the_rest", "story: policy/two_of_four_needs_three_reached"}},
	{"A coordinator saw a ruleset and does not revoke under it, or revokes under that one alone.",
		[]string{"mutation: markers-ignored", "mutation: one-ruleset-in-force", "mutation: draft-replaces-the-old", "trace: undecided_ruleset_beside_a_later_leader_under_the_old_one", "story: ruleset/coordinator_that_knows_only_the_old_one"}},
	{"A node comes back under its name with less than it had, and votes.",
		[]string{"bug: a node that lost its storage takes part", "bug: a torn promise is taken for that of a new node", "mutation: lost-record-is-a-new-node", "mutation: incarnation-change-ignored", "story: storage/node_comes_back_empty_under_its_old_name"}},
	{"Two coordinators take one number, and nothing else tells their terms apart.",
		[]string{"unsafe: X15 terms of one number are one", "bug: terms of one number are taken for one", "mutation: tie-without-proposer"}},
	{"A leader is told to take no more writes, its position is read, and a commit that waited is acknowledged after that.",
		[]string{"mutation: completion-not-waited-for", "mutation: completion-not-counted", "story: stepdown/client_gives_up_while_its_commit_waits", "lie: MariaDB, a killed wait is reported as done"}},
	{"A leader that waited long enough completes on less than its policy.",
		[]string{"unsafe: X17 the leader completes on less than the policy", "bug: the leader completes with one copy less than the policy", "lie: MariaDB, commits fall back to no acknowledgement"}},
}

// sequences are the shortest known sequences of steps that end badly when a
// rule is missing. The last is no fault.
var sequences = []danger{
	{"Two of four are reached, which suffice; so do the other two.",
		[]string{"trace: reached_set_suffices_and_so_does_the_rest", "mutation: reached-set-is-durable"}},
	{"A step-down is forgotten in a restart, beside a follower that heard of nothing.",
		[]string{"trace: stepped_down_host_restarts_beside_a_follower_that_never_heard", "without: stepped_down_host_restarts_beside_a_follower_that_never_heard"}},
	{"A position is read, an entry is completed with that node, and the node promises.",
		[]string{"story: log/slow_write_ends_after_the_promise", "bug: the position is read before the block"}},
	{"Of two logs the longer one is taken, whose last entry is of an older term.",
		[]string{"story: log/long_tail_of_an_old_term_loses_to_a_short_one_of_a_new", "mutation: longest-log"}},
	{"A leader counts copies of an entry of an older term before one of its own.",
		[]string{"story: log/old_entry_copied_by_a_later_leader_counts_with_its_marker_only", "bug: entries of older terms are counted before the marker"}},
	{"Of two logs the one is taken whose node has promised more.",
		[]string{"trace: promise_of_an_abandoned_attempt_is_no_entry", "without: promise_of_an_abandoned_attempt_is_no_entry"}},
	{"Two coordinators with one number reach different halves.",
		[]string{"story: coordinator/one_number_for_two_rivals", "unsafe: X15 terms of one number are one"}},
	{"A leader is cut off, the positions of the others are read, and it is let go before or after its successor is made.",
		[]string{"story: mechanism/isolated_leader_is_let_go_once_it_promised", "test: . TestG6_AnIsolatedNodeIsReleasedByItsPromiseOnly", "unsafe: X6 an isolation is taken for a promise, and let go"}},
	{"A leader is granted, its coordinator sleeps, and the registry still names the one before.",
		[]string{"story: registry/shortcut_from_an_active_leader_that_was_superseded", "unsafe: X8 the leader is granted before it is active", "mutation: grant-before-activate"}},
	{"The registry names a leader that has not got the log yet, and the next change asks that one alone.",
		[]string{"unsafe: X8 the leader is active before its log is propagated", "mutation: activate-before-durable"}},
	{"A leader is made past the registry, and the next coordinator asks only the one that the registry names.",
		[]string{"unsafe: X7 one coordinator has a registry of its own", "test: . TestALeaderTakenFromAViewThatIsOutOfDateIsFound"}},
	{"Somebody makes the old leader a leader again under its old term.",
		[]string{"story: stepdown/undone_under_the_old_term_is_refused", "unsafe: X3 who stepped down is made leader again under its old term"}},
	{"A coordinator revokes under the old ruleset, although every node that it reached reports the new one.",
		[]string{"story: ruleset/coordinator_that_knows_only_the_old_one", "mutation: markers-ignored"}},
	{"A coordinator revokes under a ruleset that nobody decided, beside a leader under the one before.",
		[]string{"trace: undecided_ruleset_beside_a_later_leader_under_the_old_one", "mutation: draft-replaces-the-old"}},
	{"No fault: an old leader completes, after the grant of the next one, an entry which that one has.",
		[]string{"trace: old_leader_completes_what_the_new_one_has", "story: log/answer_in_flight_while_a_follower_promises"}},
}

// belated are commands that arrive when what they were for is over and do harm
// where whoever carries them out does not look again, and states that nobody
// comes out of who does not look further.
var belated = []danger{
	{"A node is let go and its hold leaves the record; the isolation arrives a second time, and nobody knows that there is anything to let go.",
		[]string{"trace: isolation_arrives_again_after_its_release", "without: isolation_arrives_again_after_its_release"}},
	{"A repair arrives when its source came back empty, and what was completed is exchanged for nothing.",
		[]string{"trace: repair_arrives_when_its_source_is_empty", "without: repair_arrives_when_its_source_is_empty", "test: .. TestASweepRepairsNobodyOnAGuess"}},
	{"A server restarts for a step-down that it answered long ago, and takes the next leadership with it.",
		[]string{"trace: restart_of_a_step_down_comes_late", "without: restart_of_a_step_down_comes_late"}},
	{"A log shows a ruleset that nobody else ever saw, and nobody who could lead is a member of it.",
		[]string{"trace: draft_of_a_dead_leadership_on_one_log", "mutation: nobody-is-disregarded"}},
	{"A node has a marker that nobody else has, its peers do not reach it, and every coordinator does.",
		[]string{"trace: candidate_reaches_no_peer", "mutation: failed-candidate-tried-again"}},
	{"A repair is over and could not say so, and what is as good as any other log counts for nothing.",
		[]string{"trace: floor_is_left_behind_by_a_repair", "without: floor_is_left_behind_by_a_repair"}},
}

// finders say by kind which names there are.
func finders(t *testing.T) map[string]func(name string) bool {
	read := func(pattern string) string {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		var all strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
		return all.String()
	}
	mutations, bugs, lies, traces := read("../../internal/mutants/list_*.go"), read("found_test.go"), read("modelengine_test.go"), read("traces_test.go")
	in := func(text, before, after string) func(string) bool {
		return func(name string) bool { return strings.Contains(text, before+strconv.Quote(name)+after) }
	}
	named := func(scs []scenario) func(string) bool {
		return func(name string) bool {
			return slices.ContainsFunc(scs, func(sc scenario) bool { return sc.name == name })
		}
	}
	return map[string]func(string) bool{
		"unsafe": func(name string) bool {
			return slices.ContainsFunc(mixes(), func(m mix) bool { return m.name == name })
		},
		"story":    named(scenarios()),
		"trace":    named(shortest()),
		"without":  in(traces, "\t\t{", ", \""), // with its rule taken out
		"bug":      in(bugs, "\t\t{", ", bugs{"),
		"lie":      in(lies, "\t\t{", ", "),
		"mutation": in(mutations, "name: ", ", ids:"),
		"test": func(name string) bool {
			dir, fn, _ := strings.Cut(name, " ")
			return regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(fn) + `\(t \*testing\.T\)`).MatchString(read(filepath.Join(dir, "*_test.go")))
		},
	}
}

func TestEveryDangerThatIsKnownIsFoundSomewhere(t *testing.T) {
	t.Parallel()
	find := finders(t)
	used := map[string]bool{}
	for label, list := range map[string][]danger{"X": combinations, "A": sequences, "L": belated} {
		for i, d := range list {
			label := label + strconv.Itoa(i+1)
			if len(d.by) == 0 || !strings.HasSuffix(d.says, ".") {
				t.Errorf("%s says nothing, or is found nowhere", label)
			}
			for _, by := range d.by {
				used[by] = true
				kind, name, _ := strings.Cut(by, ": ")
				if is, ok := find[kind]; !ok || !is(name) {
					t.Errorf("%s: there is no %s", label, by)
				}
			}
			t.Logf("%-3s %s\n\t%s", label, d.says, strings.Join(d.by, "\n\t"))
		}
	}
	if len(combinations) != 17 || len(sequences) != 15 {
		t.Errorf("%d combinations and %d sequences", len(combinations), len(sequences))
	}
	for _, m := range mixes() {
		if !used["unsafe: "+m.name] {
			t.Errorf("%s is in no list", m.name)
		}
	}
	for _, sc := range shortest() {
		if !used["trace: "+sc.name] {
			t.Errorf("%s is in no list", sc.name)
		}
	}
}
