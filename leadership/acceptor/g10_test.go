package acceptor_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func TestG10_BadInputTouchesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &memStore{}
	a := newNode(t, s)
	w := func(context.Context) error { t.Error("wrote"); return nil }
	gone, cancel := context.WithCancel(ctx)
	cancel()
	var none acceptor.Acceptor
	var zero leadership.Term
	calls := map[string]func() error{
		"recruit, zero term":     func() error { _, err := a.Recruit(ctx, zero, nil); return err },
		"step-down, zero term":   func() error { _, err := a.StepDown(ctx, zero, nil); return err },
		"read, zero term":        func() error { _, err := a.Read(ctx, zero, at(1, 1)); return err },
		"read, nil":              func() error { _, err := a.Read(ctx, term(1), nil); return err },
		"follow nobody":          func() error { return a.Follow(ctx, leadership.Leadership{}) },
		"follow itself":          func() error { return a.Follow(ctx, lead("n1", 3)) },
		"follow a bad name":      func() error { return a.Follow(ctx, lead("/", 3)) },
		"install nobody":         func() error { return a.Install(ctx, leadership.Leadership{}, w) },
		"install another":        func() error { return a.Install(ctx, lead("n2", 3), w) },
		"install, nil write":     func() error { return a.Install(ctx, lead("n1", 3), nil) },
		"grant, zero term":       func() error { return a.Grant(ctx, zero, yes) },
		"grant, nil check":       func() error { return a.Grant(ctx, term(3), nil) },
		"confirm, zero token":    func() error { return a.Confirm(acceptor.Token{}) },
		"admit nobody":           func() error { _, err := a.Admit(leadership.Leadership{}); return err },
		"complete, zero term":    func() error { _, err := a.Complete(zero); return err },
		"recruit, cancelled":     func() error { _, err := a.Recruit(gone, term(3), nil); return err },
		"follow, cancelled":      func() error { return a.Follow(gone, lead("n2", 3)) },
		"install, cancelled":     func() error { return a.Install(gone, lead("n1", 3), w) },
		"floor, cancelled":       func() error { return a.SetFloor(gone, pos(1, 1)) },
		"create, cancelled":      func() error { _, err := acceptor.Create(gone, &memStore{}, "n1", "d1"); return err },
		"create, nil store":      func() error { _, err := acceptor.Create(ctx, nil, "n1", "d1"); return err },
		"create, no name":        func() error { _, err := acceptor.Create(ctx, s, "", "d1"); return err },
		"create, no incarnation": func() error { _, err := acceptor.Create(ctx, &memStore{}, "n1", ""); return err },
		"open, no incarnation":   func() error { _, err := acceptor.Open(ctx, s, "n1", "", acceptor.Options{}); return err },
		"create, long incarnation": func() error {
			_, err := acceptor.Create(ctx, &memStore{}, "n1", strings.Repeat("i", 257))
			return err
		},
		"open, odd incarnation": func() error { _, err := acceptor.Open(ctx, s, "n1", "\xff", acceptor.Options{}); return err },
		"open, bad log term": func() error {
			_, err := acceptor.Open(ctx, s, "n1", "d1", acceptor.Options{LogTerm: leadership.Term{Num: 1}})
			return err
		},
		"not open: recruit":  func() error { _, err := none.Recruit(ctx, term(1), nil); return err },
		"not open: read":     func() error { _, err := none.Read(ctx, term(1), at(1, 1)); return err },
		"not open: grant":    func() error { return none.Grant(ctx, term(1), yes) },
		"not open: admit":    func() error { _, err := none.Admit(lead("n2", 1)); return err },
		"not open: confirm":  func() error { return none.Confirm(acceptor.Token{}) },
		"not open: complete": func() error { _, err := none.Complete(term(1)); return err },
	}
	for name, call := range calls {
		if call() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if st := a.Status(); s.saves != 1 || !st.Promised.IsZero() || st.Changing || none.Status() != (acceptor.Status{}) {
		t.Errorf("touched: %d saves, %+v", s.saves, st)
	}
	acceptor.Completion{}.Done()
}
