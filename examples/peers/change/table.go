package change

import (
	"fmt"
	"math"
	"strings"

	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// group is the heading of the rows.
const group = "Change of leader"

// bar is what a row of the table must reach. A field that is zero asks nothing.
type bar struct {
	id          string
	rtt, p99    float64 // at most, in round trips
	etcd, hashi float64 // at most, as a ratio
}

func (b bar) text() string {
	s := b.id + ":"
	add := func(v float64, format string) {
		if v > 0 {
			s += fmt.Sprintf(format, v)
		}
	}
	add(b.rtt, " <= %.1f RTT,")
	add(b.p99, " p99 <= %.1f,")
	add(b.etcd, " <= %.2fx etcd,")
	add(b.hashi, " <= %.2fx hashicorp,")
	return s[:len(s)-1]
}

// tooLate is from where on the machine, and not the library, may be why a bar in
// round trips is missed: timers are a tenth of a millisecond late or more, and a
// busy processor makes it worse. Simulated time decides such a row, see the tests.
const tooLate = 0.1

// line is one row to be.
type line struct {
	name        string
	ours        string
	etcd, hashi string // "" for none
	of          func(sample) float64
	bar         bar
	// sim is what ours costs in simulated time, which the tests hold it to.
	sim  float64
	note string
}

// What ours costs in round trips when nothing but the network takes time.
const (
	simLedGap        = 0.5
	simSuccessorGap  = 0.5
	simSuccessorCall = 2
	simOutsideGap    = 1
	simOutsideCall   = 2.5
	simFound         = 2
	simSilent        = 7.5
	simReset         = 2.5
)

func (r results) row(s setting, l line) report.Row {
	ours, p99 := r.median(l.ours, l.of), r.p99(l.ours, l.of)
	row := report.Row{
		Group: group, Name: fmt.Sprintf("%s, %v", l.name, s), Ours: ours, Unit: "RTT", Allocs: -1, Ratio: math.NaN(),
		OursNote: fmt.Sprintf("p99 %.1f", p99),
	}
	var notes []string
	if l.sim > 0 {
		notes = append(notes, fmt.Sprintf("in simulated time %.1f", l.sim))
	}
	if l.note != "" {
		notes = append(notes, l.note)
	}
	met := true
	peer := func(shown, name string, most float64) {
		if name == "" {
			return
		}
		v := r.median(name, l.of)
		row.Theirs = append(row.Theirs, report.Theirs{Name: shown, Value: v, Allocs: -1, Note: fmt.Sprintf("p99 %.1f", r.p99(name, l.of))})
		if most > 0 {
			met = met && report.Over(ours, v) <= most
		}
	}
	peer("etcd-io/raft", l.etcd, l.bar.etcd)
	peer("hashicorp/raft", l.hashi, l.bar.hashi)
	if len(row.Theirs) > 0 {
		row.Ratio = report.Over(ours, row.Theirs[0].Value)
	}
	if l.bar.id != "" {
		met = met && (l.bar.rtt == 0 || ours <= l.bar.rtt) && (l.bar.p99 == 0 || p99 <= l.bar.p99)
		row.Bar, row.Met = report.Bar{Text: l.bar.text(), Want: true}, met
	}
	if lateness := r.median(l.ours, late); lateness > tooLate {
		notes = append(notes, fmt.Sprintf("messages took %.0f%% longer than the delay", 100*lateness))
		row.Inconclusive = row.Bar.Want && !met && l.sim <= l.bar.rtt
	}
	row.Note = strings.Join(notes, "; ")
	return row
}

const oneCallEach = "one call of the leader and one of the successor (Node.Retire, Node.TakeOver); what is in flight is answered after the step-down"

// table makes the rows of a setting.
func table(s setting, r results) []report.Row {
	lines := []line{
		{
			name: "planned, led by the leader: longest time without a success", ours: oursLed,
			etcd: etcdPlanned, hashi: hashiPlanned, of: gap, bar: bar{id: "L1", rtt: 1, p99: 1.5, etcd: 0.3, hashi: 0.3}, sim: simLedGap,
		},
		{
			name: "planned, led by the leader: last request taken by the old leader to the first taken by the new", ours: oursLed,
			etcd: etcdPlanned, hashi: hashiPlanned, of: taking, sim: simLedGap,
		},
		{
			name: "planned, led by the leader: from the call to the first success at the new leader", ours: oursLed,
			etcd: etcdPlanned, hashi: hashiPlanned, of: event,
			note: "ours asks every node and brings the successor level first, while the old leader serves",
		},
		{
			name: "planned, led by a coordinator beside the successor: longest time without a success", ours: oursSuccessor,
			etcd: etcdPlanned, hashi: hashiPlanned, of: gap, bar: bar{id: "L2", rtt: 2, etcd: 0.65, hashi: 0.65}, sim: simSuccessorGap,
			note: oneCallEach,
		},
		{
			name: "planned, led by a coordinator beside the successor: from the call to the first success at the new leader", ours: oursSuccessor,
			etcd: etcdPlanned, hashi: hashiPlanned, of: event, bar: bar{id: "L2", rtt: 3}, sim: simSuccessorCall,
			note: "the coordinator knows how the nodes are (Change.Known)",
		},
		{
			name: "planned, led by a coordinator on a host of its own: longest time without a success", ours: oursOutside,
			etcd: etcdPlanned, hashi: hashiPlanned, of: gap, bar: bar{id: "L2", rtt: 2, etcd: 0.65, hashi: 0.65}, sim: simOutsideGap,
			note: oneCallEach,
		},
		{
			name: "planned, led by a coordinator on a host of its own: from the call to the first success at the new leader", ours: oursOutside,
			etcd: etcdPlanned, hashi: hashiPlanned, of: event, bar: bar{id: "L2", rtt: 3}, sim: simOutsideCall,
			note: "the coordinator knows how the nodes are (Change.Known)",
		},
		{
			name: "silent crash, from its detection to the first success", ours: oursSilent,
			etcd: etcdSilent, hashi: hashiSilent, of: found, bar: bar{id: "L4", rtt: 2.5, etcd: 0.6, hashi: 0.35}, sim: simFound,
			note: "detected: the emergency is run; there, the first node becomes a candidate",
		},
		{
			name: "silent crash, failure timeout of 5 RTT included, to the first success", ours: oursSilent,
			etcd: etcdSilent, hashi: hashiSilent, of: event, bar: bar{id: "L5", rtt: 8, p99: 10}, sim: simSilent,
			note: "ours: successors in order; theirs add up to another timeout at random",
		},
		{
			name: "announced crash (connection reset), to the first success", ours: oursReset,
			etcd: etcdReset, of: event, bar: bar{id: "L7", rtt: 3}, sim: simReset,
			note: "etcd-io/raft has no such event: the host calls Campaign, without CheckQuorum and PreVote; hashicorp/raft has no call for it",
		},
	}
	var rows []report.Row
	for _, l := range lines {
		rows = append(rows, r.row(s, l))
	}
	return append(rows, r.errors(s))
}

// errors is the row of client operations that failed in planned changes.
func (r results) errors(s setting) report.Row {
	share := func(name string) string {
		return fmt.Sprintf("%.0f of %.0f under way", r.total(name, failed), r.total(name, func(s sample) float64 { return float64(s.ops) }))
	}
	per := func(name string) float64 { return r.total(name, failed) / float64(max(1, len(r[name]))) }
	ours := per(oursHeld) + per(oursLedHeld)
	return report.Row{
		Group: group, Name: fmt.Sprintf("planned, held by the buffer: operations that a client saw fail, per change, %v", s),
		Ours: ours, Unit: "operations", Allocs: -1, Ratio: math.NaN(),
		Theirs: []report.Theirs{
			{Name: "etcd-io/raft", Value: per(etcdPlanned), Allocs: -1, Note: share(etcdPlanned)},
			{Name: "hashicorp/raft", Value: per(hashiPlanned), Allocs: -1, Note: share(hashiPlanned)},
		},
		Bar: report.Bar{Text: "L3: 0 in every trial", Want: true}, Met: ours == 0,
		Note: fmt.Sprintf("led by a coordinator %s, by the leader %s; without the buffer %s and %s", share(oursHeld), share(oursLedHeld), share(oursOutside), share(oursLed)),
	}
}
