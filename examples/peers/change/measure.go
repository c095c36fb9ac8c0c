package change

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tenure-go/tenure/examples/peers/internal/report"
)

// side is a library, in one of the ways in which it can be run.
type side struct {
	name string
	// open starts a cluster of n.
	open func(ctx context.Context, delay time.Duration, n int) (cluster, error)
	// crash: the leader is killed; announce: its connections are reset. Else
	// the leadership is handed over.
	crash, announce bool
}

// The sides, by the names that rows ask for them.
const (
	oursLed       = "planned, led by the leader"
	oursLedHeld   = "planned, led by the leader and held by the buffer"
	oursOutside   = "planned, coordinator on a host of its own"
	oursSuccessor = "planned, coordinator beside the successor"
	oursHeld      = "planned, held by the buffer"
	oursSilent    = "silent crash"
	oursReset     = "announced crash"
	etcdPlanned   = "etcd planned"
	etcdSilent    = "etcd silent crash"
	etcdReset     = "etcd announced crash"
	hashiPlanned  = "hashicorp planned"
	hashiSilent   = "hashicorp silent crash"
)

func sides() []side {
	type opener = func(context.Context, time.Duration, int) (cluster, error)
	ours := func(hold bool, at coordinator, timeout int) opener {
		return func(ctx context.Context, d time.Duration, n int) (cluster, error) {
			return newTenure(ctx, d, n, hold, at, timeout)
		}
	}
	etcd := func(campaign bool, timeout int) opener {
		return func(ctx context.Context, d time.Duration, n int) (cluster, error) {
			return newEtcd(ctx, d, n, campaign, timeout)
		}
	}
	hashi := func(timeout int) opener {
		return func(ctx context.Context, d time.Duration, n int) (cluster, error) {
			return newHashi(ctx, d, n, timeout)
		}
	}
	return []side{
		{name: oursLed, open: ours(false, atLeader, plannedTimeout)},
		{name: etcdPlanned, open: etcd(false, plannedTimeout)},
		{name: oursSuccessor, open: ours(false, atSuccessor, plannedTimeout)},
		{name: hashiPlanned, open: hashi(plannedTimeout)},
		{name: oursOutside, open: ours(false, outside, plannedTimeout)},
		{name: oursLedHeld, open: ours(true, atLeader, plannedTimeout)},
		{name: oursHeld, open: ours(true, outside, plannedTimeout)},
		{name: oursSilent, open: ours(false, outside, crashTimeout), crash: true},
		{name: etcdSilent, open: etcd(false, crashTimeout), crash: true},
		{name: hashiSilent, open: hashi(crashTimeout), crash: true},
		{name: oursReset, open: ours(false, outside, crashTimeout), crash: true, announce: true},
		{name: etcdReset, open: etcd(true, crashTimeout), crash: true, announce: true},
	}
}

// setting is the size of a cluster and the delay of its network.
type setting struct {
	nodes int
	delay time.Duration
}

func (s setting) String() string { return fmt.Sprintf("%d nodes, %v", s.nodes, s.delay) }

func settings() []setting {
	return []setting{{3, time.Millisecond}, {5, time.Millisecond}, {3, 10 * time.Millisecond}, {5, 10 * time.Millisecond}}
}

// Measure changes the leader of clusters of 3 and 5 in this process, with one-way
// delays of 1 and 10 ms on every message, planned and after a crash, on Tenure,
// etcd-io/raft and hashicorp/raft, and returns the rows. Quick runs every trial
// once, the slow ones at the same time.
func Measure(ctx context.Context, o report.Options) ([]report.Row, error) {
	o = o.Filled()
	var rows []report.Row
	for _, s := range settings() {
		got, err := measure(ctx, o, s)
		if err != nil {
			return nil, fmt.Errorf("change of leader, %v: %w", s, err)
		}
		rows = append(rows, table(s, got)...)
	}
	return rows, nil
}

// results are the samples of a setting, by side.
type results map[string][]sample

// changesPerCluster is how often a cluster hands over in one trial.
const changesPerCluster = 3

func measure(ctx context.Context, o report.Options, s setting) (results, error) {
	out := results{}
	var mu sync.Mutex // guards out and failed
	var failed error
	one := func(sd side) {
		changes := changesPerCluster
		if o.Quick {
			changes = 1
		}
		ss, err := insist(ctx, o.Log, sd, s, changes)
		mu.Lock()
		defer mu.Unlock()
		out[sd.name] = append(out[sd.name], ss...)
		if failed == nil {
			failed = err
		}
	}
	for range o.Rounds {
		var wg sync.WaitGroup
		for _, sd := range sides() {
			if o.Quick && s.delay >= 10*time.Millisecond {
				wg.Go(func() { one(sd) })
				continue
			}
			if one(sd); failed != nil {
				return nil, failed
			}
		}
		wg.Wait()
	}
	return out, failed
}

// tries is how often a trial is begun that another process of the machine, or
// the library itself, disturbed: timeouts are as short as 10 ms. A transfer of
// hashicorp/raft that times out does so several times in a row.
const tries = 20

func insist(ctx context.Context, log *slog.Logger, sd side, s setting, changes int) ([]sample, error) {
	for try := 1; ; try++ {
		ss, err := trial(ctx, sd, s, changes)
		if err == nil || try == tries || ctx.Err() != nil || errors.As(err, new(*lostError)) {
			if err != nil {
				err = fmt.Errorf("%s: %w", sd.name, err)
			}
			return ss, err
		}
		log.Info("a trial was disturbed", "side", sd.name, "setting", s.String(), "error", err)
	}
}

func trial(ctx context.Context, sd side, s setting, changes int) (ss []sample, err error) {
	c, err := sd.open(ctx, s.delay, s.nodes)
	if err != nil {
		return nil, err
	}
	if sd.crash {
		var one sample
		one, err = crashed(ctx, c, sd.announce)
		ss = []sample{one}
	} else {
		ss, err = planned(ctx, c, s.nodes, changes)
	}
	for i := range ss {
		ss[i].late = c.wireOf().lateness()
	}
	if closing := c.close(); err == nil {
		err = closing
	}
	return ss, err
}

func gap(s sample) float64    { return s.gap }
func taking(s sample) float64 { return s.taking }
func event(s sample) float64  { return s.event }
func found(s sample) float64  { return s.found }
func late(s sample) float64   { return s.late }
func failed(s sample) float64 { return float64(s.refused + s.unknown) }

// all returns one figure of every sample of a side, sorted.
func (r results) all(name string, of func(sample) float64) []float64 {
	var vs []float64
	for _, s := range r[name] {
		if v := of(s); !math.IsNaN(v) {
			vs = append(vs, v)
		}
	}
	slices.Sort(vs)
	return vs
}

func (r results) median(name string, of func(sample) float64) float64 {
	vs := r.all(name, of)
	if len(vs) == 0 {
		return math.NaN()
	}
	return (vs[(len(vs)-1)/2] + vs[len(vs)/2]) / 2
}

// p99 is the highest of up to a hundred samples.
func (r results) p99(name string, of func(sample) float64) float64 {
	vs := r.all(name, of)
	if len(vs) == 0 {
		return math.NaN()
	}
	return vs[min(len(vs)-1, int(math.Ceil(0.99*float64(len(vs))))-1)]
}

// total sums a figure over the samples of a side.
func (r results) total(name string, of func(sample) float64) (sum float64) {
	for _, v := range r.all(name, of) {
		sum += v
	}
	return sum
}
