package revoke

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/internal/nils"
	"github.com/tenure-go/tenure/leadership"
)

// Concurrent runs mechanisms at the same time. Together makes one; the zero
// Concurrent has none, and Revoke returns ErrNilMechanism.
type Concurrent struct{ all []Revoker }

// Together returns a Revoker that runs all of rs at once and ends when the
// last has ended. Their errors are joined. It returns ErrNilMechanism for no
// Revoker, or a nil one.
func Together(rs ...Revoker) (*Concurrent, error) {
	if len(rs) == 0 {
		return nil, ErrNilMechanism
	}
	for _, r := range rs {
		if nils.Is(r) {
			return nil, ErrNilMechanism
		}
	}
	return &Concurrent{all: append([]Revoker(nil), rs...)}, nil
}

// Revoke implements Revoker.
func (c *Concurrent) Revoke(ctx context.Context, ask Ask, report func(leadership.Testimony)) error {
	if err := begin(ctx, ask, report); err != nil {
		return err
	}
	if c == nil || len(c.all) == 0 {
		return ErrNilMechanism
	}
	errs := make([]error, len(c.all))
	var wg sync.WaitGroup
	for i, r := range c.all {
		wg.Go(func() { errs[i] = r.Revoke(ctx, ask, report) })
	}
	wg.Wait()
	return join(errs)
}

// Stage is one step of a Sequence.
type Stage struct {
	Revoker Revoker
	// Bound is how long the next stage waits for this one; 0: until it has
	// finished. A stage whose bound has passed goes on beside the next: no
	// mechanism is ever broken off.
	Bound time.Duration
	// Must makes a failure of this stage the end of the sequence: a planned
	// change whose leader could not step down in order must not go on to
	// fence followers. The next stage then waits for its end, whatever Bound
	// says.
	Must bool
}

// Sequence runs mechanisms one after the other. Then makes one; the zero Sequence
// has none, and Revoke returns ErrNilMechanism.
type Sequence struct{ stages []Stage }

// Then returns a Revoker that begins each stage when the one before has
// finished or its bound has passed, unless what was reported suffices by then
// (Ask.Enough). It returns ErrNilMechanism for no stage or a nil Revoker, a
// *TargetError for a negative bound.
func Then(stages ...Stage) (*Sequence, error) {
	if len(stages) == 0 {
		return nil, ErrNilMechanism
	}
	for _, s := range stages {
		if nils.Is(s.Revoker) {
			return nil, ErrNilMechanism
		}
		if s.Bound < 0 {
			return nil, &TargetError{Reason: "the bound of a stage is negative"}
		}
	}
	return &Sequence{stages: append([]Stage(nil), stages...)}, nil
}

// StageError says which stage of a sequence failed.
type StageError struct {
	Stage int // from 0
	Must  bool
	Err   error
}

func (e *StageError) Error() string {
	if e.Must {
		return fmt.Sprintf("stage %d, which must succeed: %v", e.Stage+1, e.Err)
	}
	return fmt.Sprintf("stage %d: %v", e.Stage+1, e.Err)
}

// Unwrap returns the stage's own error.
func (e *StageError) Unwrap() error { return e.Err }

// Revoke implements Revoker.
func (s *Sequence) Revoke(ctx context.Context, ask Ask, report func(leadership.Testimony)) error {
	if err := begin(ctx, ask, report); err != nil {
		return err
	}
	if s == nil || len(s.stages) == 0 {
		return ErrNilMechanism
	}
	errs := make([]error, len(s.stages))
	begun := 0 // what was not begun is no part that was carried out
	var wg sync.WaitGroup
	for i, st := range s.stages {
		if i > 0 && ask.enough() {
			break
		}
		begun++
		if ctx.Err() != nil {
			errs[i] = &StageError{Stage: i, Must: st.Must, Err: context.Cause(ctx)}
			break
		}
		done := make(chan struct{})
		wg.Go(func() {
			defer close(done)
			if err := st.Revoker.Revoke(ctx, ask, report); err != nil {
				errs[i] = &StageError{Stage: i, Must: st.Must, Err: err}
			}
		})
		if st.Must || st.Bound == 0 {
			<-done
		} else {
			t := time.NewTimer(st.Bound)
			select {
			case <-done:
			case <-t.C:
			}
			t.Stop()
		}
		if st.Must && errs[i] != nil {
			break
		}
	}
	wg.Wait()
	return join(errs[:begun])
}
