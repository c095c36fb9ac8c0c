package leadershiptest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"pgregory.net/rapid"
)

// Disk is an empty place for one record of a node, and what can be done to it.
// Only Open is required; a check whose hook is nil is skipped and says so.
type Disk struct {
	// Open opens the store on what is there now, as a node does that comes up
	// after a power cut: what is only in memory, or not yet synced, must not
	// help it. The store that was opened before is not used again. An error
	// says that what is there cannot be trusted.
	Open func() (acceptor.Store, error)
	// Crash saves s and dies at the n-th moment on the way, n from 0, however
	// the harness makes moments: a killed process, a simulated disk that
	// stops at its n-th write. It may save the same s more than once. It
	// returns false when Save returned nil before that moment came; the kit
	// then asks for no later one.
	Crash func(n int, s acceptor.State) (crashed bool)
	// Corrupt damages the record that is there in the n-th way, n from 0, and
	// returns false when there are not so many. Ways worth having: cut off at
	// each byte, a flipped bit, a field that nobody knows, the format of
	// another version. Nothing is open meanwhile.
	Corrupt func(n int) bool
	// Concurrent says that Load and Save may be called from any goroutine.
	// An Acceptor does not ask for that.
	Concurrent bool
	_          struct{}
}

// Store checks an acceptor's store. disk returns an empty one for each check,
// several times for some, and cleans up by t.Cleanup if need be.
//
// The records that it saves one after the other are those of one node whose
// promise does not fall, as an Acceptor's, so a store may refuse others.
func Store(t *testing.T, disk func(t *testing.T) Disk) {
	t.Helper()
	for _, c := range storeChecks {
		t.Run(c.name, func(t *testing.T) {
			report(t, c.rule, c.check(storeCase{disk: func() Disk { return disk(t) }, tb: t}))
		})
	}
}

// report tells the outcome of a check: nil, an inapplicable, or what is wrong.
func report(t *testing.T, rule string, err error) {
	t.Helper()
	var skip inapplicable
	switch {
	case errors.As(err, &skip):
		t.Skip(string(skip))
	case err != nil:
		t.Errorf("%s: %v", rule, err)
	}
}

// inapplicable says which part the check would need.
type inapplicable string

func (e inapplicable) Error() string { return string(e) }

type storeCase struct {
	disk func() Disk
	tb   rapid.TB
}

var storeChecks = []struct {
	name, rule string
	check      func(storeCase) error
}{
	{"empty", "a store that nothing was saved in says false and no error", storeEmpty},
	{"fields", "every field of a record comes back as it was saved", storeFields},
	{"replace", "Save replaces the whole record, also what is zero now", storeReplace},
	{"limits", "a record that the store cannot keep is refused and not changed", storeLimits},
	{"durable", "when Save has returned nil the record is durable", storeDurable},
	{"model", "Load returns the record of the last Save, whatever came between", storeRandom},
	{"cancel", "a context that ended leaves the old record or the new one, and an error that reports NotExecuted the old one", storeCancel},
	{"crash", "a crash during Save leaves the old record or the new one, never a mix and never nothing", storeCrash},
	{"corrupt", "a record that is there and cannot be trusted is a *leadership.CorruptError, never no record", storeCorrupt},
	{"concurrent", "concurrent calls are linearizable", storeConcurrent},
}

// opened is a disk with the store that is open on it.
type opened struct {
	d Disk
	s acceptor.Store
}

func (c storeCase) open() (*opened, error) {
	o := &opened{d: c.disk()}
	if o.d.Open == nil {
		return nil, errors.New("Disk.Open is nil")
	}
	return o, o.reopen()
}

func (o *opened) reopen() error {
	s, err := o.d.Open()
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if s == nil {
		return errors.New("opening returned no store and no error")
	}
	o.s = s
	return nil
}

func (o *opened) save(s acceptor.State) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := o.s.Save(ctx, s); err != nil {
		return fmt.Errorf("saving %s: %w", stateText(s), err)
	}
	return nil
}

// holds checks that the record is one of want.
func (o *opened) holds(want ...acceptor.State) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, ok, err := o.s.Load(ctx)
	if err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	if !ok {
		return fmt.Errorf("the store says that no record was ever saved, want %s", statesText(want))
	}
	for _, w := range want {
		if len(differing(got, w)) == 0 {
			return nil
		}
	}
	if len(want) == 1 {
		return fmt.Errorf("loading returned %s, want %s: it differs in %v", stateText(got), stateText(want[0]), differing(got, want[0]))
	}
	return fmt.Errorf("loading returned %s, want one of %s", stateText(got), statesText(want))
}

// differing returns the names of the fields in which two records differ. Points
// need not be comparable, so positions are compared by rank and text.
func differing(a, b acceptor.State) []string {
	var names []string
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		x, y := va.Field(i).Interface(), vb.Field(i).Interface()
		same := reflect.DeepEqual(x, y)
		if p, ok := x.(leadership.Position); ok {
			q := y.(leadership.Position)
			same = p.IsZero() == q.IsZero() && p.String() == q.String() && p.Rank(q) == leadership.Same
		}
		if !same {
			names = append(names, va.Type().Field(i).Name)
		}
	}
	return names
}

func stateText(s acceptor.State) string {
	return fmt.Sprintf("{%s %q promised %s source %s floor %s}", s.Node, clip(s.Incarnation), s.Promised, s.Source, clip(s.Floor.String()))
}

func statesText(states []acceptor.State) string {
	text := ""
	for i, s := range states {
		if i > 0 {
			text += " or "
		}
		text += stateText(s)
	}
	return text
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

func storeEmpty(c storeCase) error {
	o, err := c.open()
	if err != nil {
		return err
	}
	for _, when := range []string{"new", "asked again", "opened again"} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		got, ok, err := o.s.Load(ctx)
		cancel()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", when, err)
		case ok:
			return fmt.Errorf("%s, it holds %s", when, stateText(got))
		}
		if when == "asked again" {
			if err := o.reopen(); err != nil {
				return err
			}
		}
	}
	return nil
}

func storeDurable(c storeCase) error {
	o, err := c.open()
	if err != nil {
		return err
	}
	for _, s := range storeHistory() {
		if err := errors.Join(o.save(s), o.reopen()); err != nil {
			return err
		}
		if err := o.holds(s); err != nil {
			return fmt.Errorf("opened again after Save had returned nil: %w", err)
		}
	}
	return nil
}

func storeReplace(c storeCase) error {
	o, err := c.open()
	if err != nil {
		return err
	}
	for i, s := range storeHistory() {
		if err := o.save(s); err != nil {
			return err
		}
		for range 2 {
			if err := o.holds(s); err != nil {
				return fmt.Errorf("after %d records: %w", i+1, err)
			}
		}
	}
	return nil
}

func storeRandom(c storeCase) error {
	rapid.Check(c.tb, func(t *rapid.T) {
		o, err := c.open()
		if err == nil {
			err = storeWalk(t, o)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return nil
}

// storeWalk is one run of what an Acceptor may do to a store.
func storeWalk(t *rapid.T, o *opened) error {
	cur := acceptor.State{Node: "n1", Incarnation: "d1"}
	if err := o.save(cur); err != nil {
		return err
	}
	for range rapid.IntRange(1, 6).Draw(t, "steps") {
		switch rapid.IntRange(0, 4).Draw(t, "step") {
		case 0:
			if err := o.reopen(); err != nil {
				return err
			}
		case 1:
			cur.Promised.Num += rapid.Uint64Range(1, 3).Draw(t, "higher by")
			cur.Promised.Proposer = rapid.StringMatching(`[a-z0-9-]{1,20}`).Draw(t, "by")
			cur.Source = leadership.Leadership{}
		case 2:
			if cur.Source.IsZero() && !cur.Promised.IsZero() {
				cur.Source = leadership.Leadership{Leader: "n2", Term: cur.Promised}
			}
		case 3:
			cur.Floor = leadership.Position{Term: leadership.Term{Num: 1, Proposer: "c"}, Point: leadership.LogPoint{Index: rapid.Uint64().Draw(t, "floor")}}
		case 4:
			cur.Floor = leadership.Position{}
		}
		if err := o.save(cur); err != nil {
			return err
		}
		if err := o.holds(cur); err != nil {
			return err
		}
	}
	return errors.Join(o.reopen(), o.holds(cur))
}
