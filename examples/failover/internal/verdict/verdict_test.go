package verdict_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/leadership"
)

var (
	term  = leadership.Term{Num: 4, Proposer: "ops"}
	of    = leadership.Leadership{Leader: "n1", Term: term}
	rules = verdict.Rules{
		Observers: 3, Stale: 2 * time.Second, Dead: 6 * time.Second, Refused: 2 * time.Second, Grace: time.Minute,
		Calm: 10 * time.Minute, Retry: 10 * time.Second, Most: 3, Window: time.Hour, Stagger: time.Second,
	}
)

func sees(name string, saw verdict.Seen, missed time.Duration) verdict.Sighting {
	s := verdict.Sighting{Observer: name, Of: of, Saw: saw, For: missed, Missed: missed}
	if saw == verdict.Leads {
		s.For, s.Missed = time.Hour, 0
	}
	return s
}

func seen(ss ...verdict.Sighting) []verdict.Sighting { return ss }

func replicas(links ...verdict.Link) (rs []verdict.Replica) {
	for i, l := range links {
		rs = append(rs, verdict.Replica{Node: leadership.NodeID("n" + string(rune('2'+i))), Link: l})
	}
	return rs
}

func gone(saw verdict.Seen, d time.Duration) []verdict.Sighting {
	return seen(sees("w1", saw, d), sees("w2", saw, d), sees("w3", saw, d))
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const long = 8 * time.Second
	two := replicas(verdict.Lost, verdict.Lost)
	change := leadership.Intent{Term: leadership.Term{Num: 5, Proposer: "c1"}, By: "c1", Kind: leadership.KindPlanned, To: "n2", Phase: leadership.Holding}
	for _, c := range []struct {
		name  string
		c     verdict.Case
		state verdict.State
		do    leadership.Kind
		says  string
	}{
		{"everybody sees it lead", verdict.Case{Sightings: gone(verdict.Leads, 0), Replicas: replicas(verdict.Hears, verdict.Hears)}, verdict.Healthy, "", "sees n1 lead"},
		{"nobody leads yet", verdict.Case{Of: leadership.Leadership{Leader: "-"}}, verdict.Unsure, "", "bootstrap"},
		{"the registry is down", verdict.Case{Unread: "the record cannot be read", Sightings: gone(verdict.Silent, long), Replicas: two}, verdict.Unsure, "", "cannot be read"},
		{"all miss it, and the replicas lost it", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: two}, verdict.Dead, leadership.KindEmergency, "does not answer"},
		{"all miss it, not long enough", verdict.Case{Sightings: gone(verdict.Silent, 5*time.Second), Replicas: two}, verdict.Suspect, "", "0 of 3"},
		{"its host refuses and the replicas lost it", verdict.Case{Sightings: gone(verdict.Refused, 2*time.Second), Replicas: two}, verdict.Dead, leadership.KindEmergency, "refuses"},
		{"its host refuses and a replica is connected", verdict.Case{Sightings: gone(verdict.Refused, 3*time.Second), Replicas: replicas(verdict.Lost, verdict.Still)}, verdict.Suspect, "", "refuses"},
		{"it was restarted and its replicas are back", verdict.Case{Sightings: gone(verdict.NoGrant, 2*time.Second), Replicas: replicas(verdict.Hears, verdict.Hears)}, verdict.Dead, leadership.KindEmergency, "does not lead"},
		{"it hangs: its replicas are connected and hear nothing", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: replicas(verdict.Still, verdict.Still)}, verdict.Dead, leadership.KindEmergency, "hears nothing"},
		{"every replica hears it", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: replicas(verdict.Hears, verdict.Hears)}, verdict.Unsure, "", "2 of the 2 replicas"},
		{"one of two replicas hears it", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: replicas(verdict.Hears, verdict.Lost)}, verdict.Unsure, "", "1 of the 2 replicas"},
		{"the only replica that answers hears it", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: replicas(verdict.Hears, verdict.NoAnswer)}, verdict.Unsure, "", "1 of the 1 replicas"},
		{"one of three replicas hears it", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: replicas(verdict.Hears, verdict.Lost, verdict.Lost)}, verdict.Dead, leadership.KindEmergency, ""},
		{"no replica answers", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: replicas(verdict.NoAnswer, verdict.NoAnswer)}, verdict.Unsure, "", "cut off"},
		{"one observer of three misses it", verdict.Case{Sightings: seen(sees("w1", verdict.Silent, long), sees("w2", verdict.Leads, 0), sees("w3", verdict.Leads, 0)), Replicas: two}, verdict.Suspect, "", "no replica that answers follows it"},
		{"two of three miss it", verdict.Case{Sightings: seen(sees("w1", verdict.Silent, long), sees("w2", verdict.Silent, long), sees("w3", verdict.Leads, 0)), Replicas: two}, verdict.Dead, leadership.KindEmergency, ""},
		{"two are not heard from", verdict.Case{Sightings: seen(sees("w1", verdict.Silent, long)), Replicas: two}, verdict.Unsure, "", "only 1 of 3 observers"},
		{"the others watch another term", verdict.Case{Sightings: seen(sees("w1", verdict.Silent, long),
			verdict.Sighting{Observer: "w2", Of: leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 3, Proposer: "ops"}}, Saw: verdict.Silent, Missed: long}), Replicas: two}, verdict.Unsure, "", "watches n1@3.ops"},
		{"the others are stale", verdict.Case{Sightings: seen(sees("w1", verdict.Silent, long),
			verdict.Sighting{Observer: "w2", Of: of, Saw: verdict.Silent, Missed: long, Age: 3 * time.Second}), Replicas: two}, verdict.Unsure, "", "has said nothing for 3s"},
		{"it is out of connections", verdict.Case{Sightings: gone(verdict.Troubled, long), Replicas: two}, verdict.Suspect, "", "answers with an error"},
		{"it leads and nobody follows", verdict.Case{Sightings: gone(verdict.Leads, 0), Replicas: two}, verdict.Suspect, "", "refresh"},
		{"a change is under way", verdict.Case{Sightings: gone(verdict.NoGrant, long), Replicas: two, Intent: change, IntentFor: 20 * time.Second}, verdict.Dead, "", "left to that change"},
		{"a change was left behind", verdict.Case{Sightings: gone(verdict.NoGrant, long), Replicas: two, Intent: change, IntentFor: 61 * time.Second}, verdict.Dead, leadership.KindResume, "under way for 1m1s"},
		{"a change is under way and it leads", verdict.Case{Sightings: gone(verdict.Leads, 0), Intent: change, IntentFor: time.Hour}, verdict.Healthy, "", "under way"},
		{"it was changed a moment ago", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: two, Acts: []verdict.Act{{Ago: time.Minute, Settled: true}}}, verdict.Dead, "", "not again before 10m"},
		{"it was changed a while ago", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: two, Acts: []verdict.Act{{Ago: 10 * time.Minute, Settled: true}}}, verdict.Dead, leadership.KindEmergency, ""},
		{"the last attempt has just failed", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: two, Acts: []verdict.Act{{Ago: 9 * time.Second, Outcome: "incomplete"}}}, verdict.Dead, "", `ended "incomplete"`},
		{"the last attempt failed", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: two, Acts: []verdict.Act{{Ago: 10 * time.Second, Outcome: "incomplete"}}}, verdict.Dead, leadership.KindEmergency, ""},
		{"it happens again and again", verdict.Case{Sightings: gone(verdict.Silent, long), Replicas: two,
			Acts: []verdict.Act{{Ago: 50 * time.Minute, Settled: true}, {Ago: 40 * time.Minute, Settled: true}, {Ago: 30 * time.Minute, Settled: true}}}, verdict.Dead, "", "a person has to look"},
		{"another goes first", verdict.Case{Self: "w3", Sightings: gone(verdict.Silent, 7*time.Second), Replicas: two}, verdict.Dead, "", "left to 2 other observers"},
		{"the others had their time", verdict.Case{Self: "w3", Sightings: gone(verdict.Silent, long), Replicas: two}, verdict.Dead, leadership.KindEmergency, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			switch {
			case c.c.Of.Leader == "-":
				c.c.Of = leadership.Leadership{}
			default:
				c.c.Of = of
			}
			if c.c.Self == "" {
				c.c.Self = "w1"
			}
			v := verdict.Decide(c.c, rules)
			require.Equal(t, c.state, v.State, "%v", v.Reasons)
			require.Equal(t, c.do, v.Do, "%v", v.Reasons)
			require.Contains(t, strings.Join(v.Reasons, "\n"), c.says)
		})
	}
}

func TestWhatIsLeftAloneWouldNotBeActedOn(t *testing.T) {
	t.Parallel()
	change := leadership.Intent{Term: leadership.Term{Num: 5, Proposer: "c1"}, By: "c1", Kind: leadership.KindPlanned, To: "n2", Phase: leadership.Holding}
	c := verdict.Case{Self: "w1", Of: of, Sightings: gone(verdict.Refused, time.Hour), Replicas: replicas(verdict.Lost, verdict.Lost)}
	_, alone := verdict.LeftAlone(c, rules)
	require.False(t, alone, "there is no change")
	c.Intent = change
	for _, d := range []time.Duration{0, time.Second, 49 * time.Second} {
		c.IntentFor = d
		v, alone := verdict.LeftAlone(c, rules)
		require.True(t, alone, "%s", d)
		require.Equal(t, verdict.Unsure, v.State)
		require.Contains(t, v.Reasons[0], "under way")
		require.Empty(t, verdict.Decide(c, rules).Do, "%s", d)
	}
	// In time to be sure of a dead leader when the change is taken for abandoned.
	c.IntentFor = rules.Grace - rules.Dead - 2*rules.Stale
	_, alone = verdict.LeftAlone(c, rules)
	require.False(t, alone)
}

func TestHalfOfTheObserversAreNotMostOfThem(t *testing.T) {
	t.Parallel()
	for observers, enough := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3} {
		r := rules
		r.Observers = observers
		for n := range observers {
			c := verdict.Case{Self: "w0", Of: of, Replicas: replicas(verdict.Lost, verdict.Lost)}
			for i := range observers {
				saw := verdict.Leads
				if i <= n {
					saw = verdict.Silent
				}
				c.Sightings = append(c.Sightings, sees(fmt.Sprintf("w%d", i), saw, 8*time.Second))
			}
			require.Equal(t, n+1 >= enough, verdict.Decide(c, r).Do != "", "%d of %d miss it", n+1, observers)
			c.Sightings = c.Sightings[:n+1]
			require.Equal(t, n+1 >= enough, verdict.Decide(c, r).Do != "", "%d of %d miss it, the others say nothing", n+1, observers)
		}
	}
}

func ExampleDecide() {
	leader := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 4, Proposer: "ops"}}
	v := verdict.Decide(verdict.Case{
		Self: "w1", Of: leader,
		Sightings: []verdict.Sighting{{Observer: "w1", Of: leader, Saw: verdict.Silent, For: 9 * time.Second, Missed: 9 * time.Second}},
		Replicas:  []verdict.Replica{{Node: "n2", Link: verdict.Hears}, {Node: "n3", Link: verdict.Lost}},
	}, verdict.Rules{Observers: 1, Stale: time.Second, Dead: 6 * time.Second, Refused: 2 * time.Second, Most: 1, Window: time.Hour})
	fmt.Println(v.State, v.Do == "")
	fmt.Println(v.Reasons[0])
	// Output:
	// unsure true
	// 1 of the 2 replicas that answer hear it: it may be the way to it that is broken
}

// genCase draws a case around what the verdict turns on.
func genCase(t *rapid.T) verdict.Case {
	durations := rapid.SampledFrom([]time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 6 * time.Second, 9 * time.Second, time.Hour})
	kinds := rapid.SampledFrom([]verdict.Seen{verdict.Leads, verdict.NoGrant, verdict.Refused, verdict.Silent, verdict.Troubled})
	links := rapid.SampledFrom([]verdict.Link{verdict.Hears, verdict.Still, verdict.Lost, verdict.NoAnswer})
	c := verdict.Case{Self: "w1", Of: of}
	for i := range rapid.IntRange(0, 5).Draw(t, "observers") {
		s := verdict.Sighting{Observer: "w" + string(rune('1'+i)), Of: of, Saw: kinds.Draw(t, "saw"), Age: rapid.SampledFrom([]time.Duration{0, time.Second, 3 * time.Second}).Draw(t, "age")}
		if s.Saw != verdict.Leads {
			s.Missed = durations.Draw(t, "missed")
			s.For = min(durations.Draw(t, "for"), s.Missed)
		}
		if rapid.IntRange(0, 9).Draw(t, "other term") == 0 {
			s.Of.Term.Num--
		}
		c.Sightings = append(c.Sightings, s)
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "replicas") {
		c.Replicas = append(c.Replicas, verdict.Replica{Node: leadership.NodeID("n" + string(rune('2'+i))), Link: links.Draw(t, "link")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "acts") {
		c.Acts = append(c.Acts, verdict.Act{Ago: rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 20 * time.Minute, 2 * time.Hour}).Draw(t, "ago"), Settled: rapid.Bool().Draw(t, "settled")})
	}
	if rapid.IntRange(0, 4).Draw(t, "intent") == 0 {
		c.Intent = leadership.Intent{Term: leadership.Term{Num: 5, Proposer: "x"}, Kind: leadership.KindPlanned, Phase: leadership.Holding}
		c.IntentFor = durations.Draw(t, "intent for")
	}
	if rapid.IntRange(0, 9).Draw(t, "unread") == 0 {
		c.Unread = "the record cannot be read"
	}
	return c
}

func genRules(t *rapid.T) verdict.Rules {
	r := rules
	r.Observers = rapid.IntRange(0, 5).Draw(t, "expected observers")
	return r
}

// current is whose sighting counts.
func current(c verdict.Case, r verdict.Rules) (ss []verdict.Sighting) {
	for _, s := range c.Sightings {
		if s.Of == c.Of && s.Age <= r.Stale {
			ss = append(ss, s)
		}
	}
	return ss
}

func TestNothingIsDoneAgainstWhatMostSee(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, r := genCase(t), genRules(t)
		v := verdict.Decide(c, r)
		if len(v.Reasons) == 0 && len(c.Sightings)+len(c.Replicas) > 0 {
			t.Fatalf("no reasons for %s", v.State)
		}
		if v.Do == "" {
			return
		}
		ss := current(c, r)
		expected := max(r.Observers, 1, len(ss))
		leads, missing, resigned := 0, 0, 0
		for _, s := range ss {
			switch {
			case s.Saw == verdict.Leads:
				leads++
			case s.Saw != verdict.Troubled && s.Missed >= r.Refused:
				missing++
			}
			if s.Saw == verdict.NoGrant && s.For >= r.Refused {
				resigned++
			}
		}
		answered, hears := 0, 0
		for _, rep := range c.Replicas {
			if rep.Link != verdict.NoAnswer {
				answered++
			}
			if rep.Link == verdict.Hears {
				hears++
			}
		}
		switch {
		case v.State != verdict.Dead:
			t.Fatalf("%s, and yet %s", v.State, v.Do)
		case c.Unread != "":
			t.Fatal("it acts although the record cannot be read")
		case 2*leads >= expected:
			t.Fatalf("it acts although %d of %d observers see it lead", leads, expected)
		case 2*missing <= expected:
			t.Fatalf("it acts although only %d of %d observers miss it", missing, expected)
		case len(c.Replicas) > 0 && answered == 0:
			t.Fatal("it acts although no replica answers")
		case hears > 0 && 2*hears >= answered && 2*resigned <= expected:
			t.Fatalf("it acts although %d of %d replicas hear it", hears, answered)
		case c.Intent.Phase != leadership.Cleared && (c.IntentFor < r.Grace || v.Do != leadership.KindResume):
			t.Fatalf("it acts on a change that is %s old with %s", c.IntentFor, v.Do)
		}
		recent := 0
		for _, a := range c.Acts {
			if a.Settled && a.Ago < r.Calm || a.Ago < r.Retry {
				t.Fatalf("it acts %s after the last time", a.Ago)
			}
			if a.Ago <= r.Window {
				recent++
			}
		}
		if recent >= r.Most {
			t.Fatalf("it acts after %d automatic changes", recent)
		}
	})
}

func TestWhatDoesNotCountChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, r := genCase(t), genRules(t)
		v := verdict.Decide(c, r)

		// Sightings that are old or of another term.
		d := c
		d.Sightings = current(c, r)
		w := verdict.Decide(d, r)
		require.Equal(t, v.State, w.State)
		require.Equal(t, v.Do, w.Do)

		// The order in which things were found out.
		d = c
		d.Sightings, d.Replicas, d.Acts = shuffled(c.Sightings), shuffled(c.Replicas), c.Acts
		require.Equal(t, v, verdict.Decide(d, r))
	})
}

func shuffled[T any](in []T) []T {
	out := append([]T(nil), in...)
	rnd := rand.New(rand.NewPCG(1, uint64(len(in))))
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func TestSeeingItLeadNeverBringsAChangeAbout(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, r := genCase(t), genRules(t)
		if verdict.Decide(c, r).Do != "" || len(c.Sightings) == 0 {
			return
		}
		d := c
		d.Sightings = append([]verdict.Sighting(nil), c.Sightings...)
		i := rapid.IntRange(0, len(d.Sightings)-1).Draw(t, "who")
		// The observer itself sees it lead, now; whoever decides keeps its place.
		if d.Sightings[i].Observer != c.Self && d.Sightings[i].Age == 0 && d.Sightings[i].Of == of && d.Sightings[i].Observer > c.Self {
			d.Sightings[i].Saw, d.Sightings[i].Missed = verdict.Leads, 0
			if v := verdict.Decide(d, r); v.Do != "" {
				t.Fatalf("%s because %s sees it lead: %v", v.Do, d.Sightings[i].Observer, v.Reasons)
			}
		}
		d = c
		d.Replicas = append([]verdict.Replica{{Node: "n9", Link: verdict.Hears}}, c.Replicas...)
		anyAnswer := false
		for _, rep := range c.Replicas {
			anyAnswer = anyAnswer || rep.Link != verdict.NoAnswer
		}
		if v := verdict.Decide(d, r); v.Do != "" && anyAnswer {
			t.Fatalf("%s because one more replica hears it: %v", v.Do, v.Reasons)
		}
	})
}
