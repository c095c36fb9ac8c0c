package reparenttest

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/internal/stepsim"
)

func TestScenario(t *testing.T) {
	all := kinds()
	all["reads by a lease"] = Store(Traits{LocalReads: true})
	all["writes by a lease"] = Store(Traits{Leased: true})
	for name, h := range all {
		t.Run(name, func(t *testing.T) {
			Scenarios(t, h, Everything(), Options{})
		})
	}
}

// elsewhere says why a situation has no story: what it is about is not in the
// simulation; and which test of a real server it is.
var elsewhere = map[string]struct{ why, test string }{
	"S13": {"privileges inside a server", "../mariadbnode TestAPrivilegedWriterIsFoundBeforeAStepDown"},
}

func TestEverySituationHasAStoryOrAReason(t *testing.T) {
	t.Parallel()
	by := map[string][]string{}
	for _, sc := range scenarios() {
		if len(sc.covers) == 0 {
			t.Errorf("%s covers nothing", sc.name)
		}
		for _, c := range sc.covers {
			by[c] = append(by[c], sc.name)
		}
	}
	var all []string
	for i := range 44 {
		all = append(all, strconv.Itoa(i+1))
	}
	for i := range 22 {
		all = append(all, "S"+strconv.Itoa(i+1))
	}
	find := finders(t)["test"]
	for _, c := range all {
		switch no := elsewhere[c]; {
		case len(by[c]) > 0 && no.why != "":
			t.Errorf("%s has stories %v and a reason to have none: %s", c, by[c], no.why)
		case len(by[c]) > 0:
			t.Logf("%-3s %v", c, by[c])
		case no.why != "" && find(no.test):
			t.Logf("%-3s no story: %s: %s", c, no.why, no.test)
		default:
			t.Errorf("%s has no story", c)
		}
	}
}

// A story is worth what it catches: each of these fails when the rule that it
// is about is taken out of the nodes.
func TestStoriesFailWithoutTheRuleThatTheyAreAbout(t *testing.T) {
	t.Parallel()
	stories := map[string]scenario{}
	for _, sc := range scenarios() {
		stories[sc.name] = sc
	}
	for _, c := range []struct {
		story string
		b     bugs
		l     lies
	}{
		{story: "log/follower_restarts_around_its_promise", b: bugs{volatilePromise: true}},
		{story: "log/follower_restarts_around_its_promise", b: bugs{volatileFence: true}},
		{story: "stepdown/node_dies_at_every_point_and_leads_no_more", b: bugs{resumes: true}},
		{story: "partition/leader_sleeps_through_a_change_with_answers_queued", b: bugs{noTermCheck: true}},
		{story: "partition/leader_sleeps_through_a_change_with_answers_queued", b: bugs{lateRefusal: true}},
		{story: "log/slow_write_ends_after_the_promise", b: bugs{earlyRead: true}},
		{story: "policy/three_of_four_is_revoked_by_two", b: bugs{anyAck: true}},
		{story: "log/late_copy_of_everything_from_an_old_change", b: bugs{falseAccept: true}},
		{story: "partition/leader_with_a_set_that_is_not_durable", b: bugs{staleRead: true}},
		{story: "storage/torn_promise_keeps_the_gate_shut", b: bugs{tornOpens: true}},
		{story: "storage/node_comes_back_empty_under_its_old_name", b: bugs{amnesia: true}},
		{story: "log/late_grant_under_a_lower_term", b: bugs{selfGrant: true}},
		{story: "coordinator/last_message_arrives_again_much_later", b: bugs{lowPromise: true}},
		{story: "coordinator/a_duel_settles", b: bugs{tie: true}},
		{story: "client/cannot_tell_and_asks_the_next_leader", b: bugs{twice: true}},
		{story: "log/slow_write_ends_after_the_promise", b: bugs{ackEarly: true}},
		{story: "log/long_tail_of_an_old_term_loses_to_a_short_one_of_a_new", b: bugs{cutsBack: true}},
		{story: "stepdown/client_gives_up_while_its_commit_waits", b: bugs{earlyCommit: true}},
		{story: "storage/voter_restored_from_a_backup", b: bugs{amnesia: true}},
		{story: "lease/clocks_at_their_bound", b: bugs{leaseNoMargin: true}},
		{story: "lease/renewal_is_late", b: bugs{leaseFromReply: true}},
		{story: "baton/two_at_one_leader", b: bugs{declines: true}},
		{story: "baton/two_at_one_leader", b: bugs{earlyRelease: true}},
		{story: "engine/promoted_before_its_setting_is_in_force", l: lies{unloaded: true}},
		{story: "engine/wait_of_a_commit_is_ended", l: lies{killQuery: true}},
	} {
		t.Run(c.story, func(t *testing.T) {
			sc, ok := stories[c.story]
			if !ok {
				t.Fatal("there is no such story")
			}
			traits := Traits{OneSlot: true, bugs: c.b, lies: c.l}
			traits.Opens = c.l.unloaded
			traits.LocalReads = strings.HasPrefix(c.story, "lease/")
			ways := uint64(max(1, sc.variants))
			for seed := range ways + 40 {
				var how stepsim.Chooser = stepsim.Quiet()
				if seed >= ways {
					how = stepsim.Seed(seed, restless)
				}
				h := Store(traits)
				h.localReads = h.localReads && !c.b.leaseNoMargin // the coordinator adds none either
				got := sc.once(t, h, Everything(), seed%ways, seed >= ways, how, false)
				if got.err != nil {
					t.Logf("%v (seed %d)", got.err, seed)
					return
				}
			}
			t.Error("it passes")
		})
	}
}

// Leases rest on a bound of how wrong clocks are: with clocks beyond it, the same
// story ends badly.
func TestLeasesEndBadlyBeyondTheBoundOfTheClocks(t *testing.T) {
	t.Parallel()
	for variant := range uint64(2) {
		sc := clockStory(10*leaseRate, nil)
		got := sc.once(t, Store(Traits{LocalReads: true}), Everything(), variant, false, stepsim.Quiet(), false)
		slow := variant == 0 // the leader's clock is
		var v *Violation
		if found := errors.As(got.err, &v) && v.Name == "I18"; found != slow {
			t.Errorf("the leader's clock is slow: %t, and the story ends: %v", slow, got.err)
		}
	}
}
