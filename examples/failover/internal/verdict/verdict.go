// Package verdict decides from what was seen whether a leader is gone, and
// whether a watcher may replace it. It is functions over plain values: no clock,
// no goroutine, no IO.
//
//	v := verdict.Decide(verdict.Case{Of: active, Sightings: sightings, Replicas: replicas}, rules)
//	if v.Do != "" {
//		// run that kind of change
//	}
//
// # What counts
//
// An observer asks the leader itself. It sees that the leader leads, that it
// answers and holds no grant (it was restarted), that its host refuses the
// connection (the server is down, the host is up), or nothing. A replica says
// whether it hears from the leader over replication. A connection that is said to
// be up proves nothing, since a server that hangs keeps its connections: a
// replica hears only while something arrives.
//
// # When a leader is dead
//
//   - More than half of all observers that there should be have missed it for
//     Rules.Dead, or for Rules.Refused when it said itself that it does not lead,
//     or when its host refuses and every replica that answers has lost it.
//   - Some replica answers. When none does, whoever looks may be the one that
//     is cut off.
//   - Fewer than half of the replicas that answer hear it. Those do not count when
//     the leader itself says that it leads nothing: what they hear is a server
//     that was restarted.
//
// What is old, of another leadership, or of no answer counts for nothing, never
// as a sign of death. When the record cannot be read, nothing is done: a registry
// that is down is no reason to replace a leader that serves.
//
// # When a watcher may act
//
// A dead leader is replaced when no other change is under way (one that has been
// for Rules.Grace was left behind, and is resumed), none was made automatically
// within Rules.Calm, and fewer than Rules.Most within Rules.Window. Changes that
// people ask for do not count: a leader that dies right after a planned change
// is replaced at once.
//
// Acting needs no exactness here. A change of leader is safe whoever asks for it,
// and when two do, one ends superseded; a wrong verdict costs an interruption,
// never data.
package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// State is what is known of the leader.
type State string

// The states.
const (
	Healthy State = "healthy"
	// Suspect: somebody misses it, not long enough or not enough of them.
	Suspect State = "suspect"
	Dead    State = "dead"
	// Unsure: what is seen contradicts itself, or too little is.
	Unsure State = "unsure"
)

// Seen is what an observer saw when it asked the leader.
type Seen string

// What an observer can see.
const (
	Leads   Seen = "leads"
	NoGrant Seen = "answers and does not lead"
	Refused Seen = "its host refuses the connection"
	Silent  Seen = "does not answer"
	// Troubled is an answer that is an error, such as too many connections. The
	// server is up, and whether it leads is not known.
	Troubled Seen = "answers with an error"
)

// Sighting is what one observer saw last.
type Sighting struct {
	Observer string                `json:"observer"`
	Of       leadership.Leadership `json:"of"`
	Saw      Seen                  `json:"saw"`
	// For is how long it has seen just that, and Missed how long ago it last
	// saw it lead, both by its own clock. Missed is 0 while it leads.
	For    time.Duration `json:"for"`
	Missed time.Duration `json:"missed"`
	// Age is how long ago this was seen, by the clock of whoever decides.
	Age time.Duration `json:"age"`
}

// Link is what a replica says about its leader.
type Link string

// The links.
const (
	Hears Link = "hears it"
	// Still: its connection is said to be up, and nothing arrives.
	Still Link = "is connected and hears nothing"
	Lost  Link = "has lost it"
	// NoAnswer: the replica did not answer, so that nothing is known.
	NoAnswer Link = "does not answer"
)

// Replica is what one replica says.
type Replica struct {
	Node leadership.NodeID `json:"node"`
	Link Link              `json:"link"`
}

// Act is a change that a watcher made by itself.
type Act struct {
	Ago     time.Duration `json:"ago"`
	Outcome string        `json:"outcome"`
	// Settled says that somebody led afterwards.
	Settled bool `json:"settled"`
}

// Case is everything that a verdict rests on.
type Case struct {
	// Self is who decides; its own sighting is among the others.
	Self string
	// Of is the leadership that the record names.
	Of leadership.Leadership
	// Unread is why the record, or the other observers' sightings and the acts,
	// could not be read, "" when they were.
	Unread string
	// Intent is the record's, and IntentFor how long it has stood there.
	Intent    leadership.Intent
	IntentFor time.Duration
	Sightings []Sighting
	Replicas  []Replica
	Acts      []Act
}

// Rules are how sure a watcher has to be.
type Rules struct {
	// Observers is how many there should be; below 1 is 1.
	Observers int
	// Stale is how old a sighting may be.
	Stale time.Duration
	// Dead is how long a leader that gives no sign has to be missed, and
	// Refused one that is seen to be down.
	Dead, Refused time.Duration
	// Grace is how long another change may be under way.
	Grace time.Duration
	// Calm is the least time between two automatic changes, Retry after one
	// that left nobody leading, and Most how many there may be in Window.
	Calm, Retry time.Duration
	Most        int
	Window      time.Duration
	// Stagger is how long each watcher leaves it to each one whose name sorts
	// before its own.
	Stagger time.Duration
}

// Verdict is what was decided, and why.
type Verdict struct {
	State State `json:"state"`
	// Do is the kind of change to run, "" for none.
	Do leadership.Kind `json:"do,omitempty"`
	// Reasons are never empty.
	Reasons []string `json:"reasons"`
}

// Decide returns the verdict. It is pure: the order of the lists does not matter.
func Decide(c Case, r Rules) Verdict {
	if c.Unread != "" {
		return Verdict{State: Unsure, Reasons: []string{c.Unread + ": nothing is done without it"}}
	}
	if c.Of.IsZero() {
		return Verdict{State: Unsure, Reasons: []string{"the record names no leader: bootstrap or adopt the cluster"}}
	}
	v := judge(count(c, r), c, r)
	if c.Intent.Phase != leadership.Cleared {
		v.Reasons = append(v.Reasons, fmt.Sprintf("%s has been under way for %s", c.Intent, round(c.IntentFor)))
	}
	if v.State == Dead {
		v.restrain(c, r)
	}
	return v
}

// LeftAlone reports whether another change is under way, by c.Intent and c.IntentFor, that
// will be left alone for longer than it takes to become sure of anything: then nobody need
// be asked anything, which spares the servers of a change what every observer would cost
// them while clients wait for it.
func LeftAlone(c Case, r Rules) (Verdict, bool) {
	if c.Intent.Phase == leadership.Cleared || c.IntentFor >= r.Grace-r.Dead-2*r.Stale {
		return Verdict{}, false
	}
	return Verdict{State: Unsure, Reasons: []string{
		fmt.Sprintf("%s has been under way for %s: it is left alone, and nobody is asked meanwhile", c.Intent, round(c.IntentFor))}}, true
}

// judge says what the leader is, whatever may be done about it.
func judge(t tally, c Case, r Rules) Verdict {
	switch {
	case t.leads >= t.need && len(t.lost) > 0 && len(t.lost) == t.answered:
		return Verdict{State: Suspect, Reasons: append([]string{"it leads, and no replica that answers follows it: refresh brings them back"}, t.reasons...)}
	case t.leads >= t.need:
		return Verdict{State: Healthy, Reasons: t.reasons}
	case t.fresh < t.need:
		return Verdict{State: Unsure, Reasons: append([]string{
			fmt.Sprintf("only %d of %d observers are heard from, and it takes %d", t.fresh, t.observers, t.need)}, t.reasons...)}
	case t.gone(r) < t.need:
		return Verdict{State: Suspect, Reasons: append([]string{
			fmt.Sprintf("%d of %d observers have missed it long enough, and it takes %d", t.gone(r), t.observers, t.need)}, t.reasons...)}
	case t.answered == 0 && len(c.Replicas) > 0:
		return Verdict{State: Unsure, Reasons: append([]string{"no replica answers either: whoever looks may be the one that is cut off"}, t.reasons...)}
	case 2*t.hears >= t.answered && t.hears > 0 && t.resigned < t.need:
		return Verdict{State: Unsure, Reasons: append([]string{
			fmt.Sprintf("%d of the %d replicas that answer hear it: it may be the way to it that is broken", t.hears, t.answered)}, t.reasons...)}
	}
	return Verdict{State: Dead, Reasons: t.reasons}
}

// restrain decides whether anything is done about a dead leader.
func (v *Verdict) restrain(c Case, r Rules) {
	hold := func(format string, args ...any) { v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...)) }
	if c.Intent.Phase != leadership.Cleared && c.IntentFor < r.Grace {
		hold("it is left to that change until %s have passed", round(r.Grace))
		return
	}
	recent := 0
	for _, a := range c.Acts {
		if a.Ago <= r.Window {
			recent++
		}
		if a.Settled && a.Ago < r.Calm {
			hold("the leader was changed automatically %s ago, and is not again before %s have passed", round(a.Ago), round(r.Calm))
			return
		}
		if !a.Settled && a.Ago < r.Retry {
			hold("an automatic change ended %q %s ago; the next attempt is made %s after it", a.Outcome, round(a.Ago), round(r.Retry))
			return
		}
	}
	if recent >= r.Most {
		hold("there were %d automatic changes within %s: a person has to look first", recent, round(r.Window))
		return
	}
	if rank, missed := place(c, r); missed < time.Duration(rank)*r.Stagger {
		hold("it is left to %d other observers for %s", rank, round(time.Duration(rank)*r.Stagger-missed))
		return
	}
	v.Do = leadership.KindEmergency
	if c.Intent.Phase != leadership.Cleared {
		v.Do = leadership.KindResume
	}
}

// place returns how many live observers come before this one, and for how long
// this one has been sure.
func place(c Case, r Rules) (rank int, sure time.Duration) {
	for _, s := range c.Sightings {
		switch {
		case s.Observer == c.Self:
			sure = max(s.Missed-r.bound(s.Saw, true), 0)
		case s.Observer < c.Self && s.Age <= r.Stale && s.Of == c.Of && s.Saw != Leads:
			rank++
		}
	}
	return rank, sure
}

// bound is how long an observer has to have missed the leader.
func (r Rules) bound(saw Seen, allLost bool) time.Duration {
	if saw == NoGrant || saw == Refused && allLost {
		return min(r.Refused, r.Dead)
	}
	return r.Dead
}

// tally is the sightings and the replicas counted.
type tally struct {
	observers, need int
	fresh, leads    int
	resigned        int // observers whom the leader told that it does not lead, for long enough
	missing         []Sighting
	answered, hears int
	lost            []leadership.NodeID
	reasons         []string
}

func count(c Case, r Rules) tally {
	t := tally{observers: max(r.Observers, 1)}
	for _, rep := range sortedReplicas(c.Replicas) {
		if rep.Link != NoAnswer {
			t.answered++
		}
		switch rep.Link {
		case Hears:
			t.hears++
		case Lost:
			t.lost = append(t.lost, rep.Node)
		}
		t.reasons = append(t.reasons, fmt.Sprintf("replica %s %s", rep.Node, rep.Link))
	}
	seen := map[string]bool{}
	var said []string
	for _, s := range sortedSightings(c.Sightings) {
		switch {
		case seen[s.Observer]:
			continue // the newest of an observer came first
		case s.Of != c.Of:
			said = append(said, fmt.Sprintf("observer %s watches %s, not %s", s.Observer, s.Of, c.Of))
		case s.Age > r.Stale:
			said = append(said, fmt.Sprintf("observer %s has said nothing for %s", s.Observer, round(s.Age)))
		case s.Saw == Troubled:
			t.fresh++
			said = append(said, fmt.Sprintf("observer %s: %s %s", s.Observer, c.Of.Leader, s.Saw))
		case s.Saw == Leads:
			t.fresh++
			t.leads++
			said = append(said, fmt.Sprintf("observer %s sees %s lead", s.Observer, c.Of.Leader))
		default:
			t.fresh++
			t.missing = append(t.missing, s)
			if s.Saw == NoGrant && s.For >= r.bound(NoGrant, true) {
				t.resigned++
			}
			said = append(said, fmt.Sprintf("observer %s: %s %s, and was last seen to lead %s ago", s.Observer, c.Of.Leader, s.Saw, round(s.Missed)))
		}
		seen[s.Observer] = true
	}
	t.observers = max(t.observers, t.fresh)
	t.need = t.observers/2 + 1
	t.reasons = append(said, t.reasons...)
	return t
}

// gone is how many observers have missed the leader for long enough.
func (t tally) gone(r Rules) (n int) {
	allLost := t.answered > 0 && len(t.lost) == t.answered
	for _, s := range t.missing {
		if s.Missed >= r.Dead || s.For >= r.bound(s.Saw, allLost) {
			n++
		}
	}
	return n
}

// sortedSightings has the newest of each observer first.
func sortedSightings(in []Sighting) []Sighting {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b Sighting) int {
		// Of two at once, the milder counts.
		return cmp.Or(cmp.Compare(a.Observer, b.Observer), cmp.Compare(a.Age, b.Age), cmp.Compare(a.Missed, b.Missed), cmp.Compare(a.Saw, b.Saw))
	})
	return out
}

func sortedReplicas(in []Replica) []Replica {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b Replica) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}
