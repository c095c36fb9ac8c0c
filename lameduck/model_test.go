package lameduck_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// modelUnit is a unit as the model sees it.
type modelUnit struct {
	tok        lameduck.Token
	conts      []lameduck.Token
	ended, cut bool
}

// model is a gate as one would write it without concurrency.
type model struct {
	phase    lameduck.Phase
	term     leadership.Term
	sealed   leadership.Term
	plan     lameduck.Plan
	draining bool
	until    time.Time // of the phase
	last     time.Time // up to when the phases are settled
	expire   time.Time
	singles  []lameduck.Token
	streams  []lameduck.Token
	units    []*modelUnit
}

func (m *model) counts() (n lameduck.Counts) {
	n.Active, n.Streams = len(m.singles), len(m.streams)
	for _, u := range m.units {
		n.Active += len(u.conts)
		if !u.ended && !u.cut {
			n.Units++
		}
	}
	return n
}

func (m *model) stopUnits() {
	for _, u := range m.units {
		if !u.ended && !u.cut {
			u.cut = len(u.conts) > 0
			u.ended = !u.cut
		}
	}
}

// settle moves the phases that are due at now.
func (m *model) settle(now time.Time) {
	for m.draining {
		// Only sleeping takes time and it changes no count, so what waits
		// for a count ends when that was last looked at.
		late := !now.Before(m.until)
		n := m.counts()
		from := m.last
		if waits := m.phase == lameduck.Announced || m.phase == lameduck.DrainUnits && n.Units > 0 ||
			m.phase >= lameduck.DrainAll && n.Active > 0; late && waits {
			from = m.until
		}
		m.last = from
		switch {
		case m.phase == lameduck.Announced && late:
			m.next(from)
		case m.phase == lameduck.DrainUnits && (late || n.Units == 0):
			m.next(from)
		case m.phase == lameduck.DrainAll && n.Active == 0, m.phase == lameduck.Cancelled && (late || n.Active == 0):
			m.stopUnits()
			m.phase, m.draining = lameduck.Drained, false
			if n.Active > 0 {
				m.phase = lameduck.Forced
			}
			if m.plan.Expire > 0 {
				m.expire = from.Add(m.plan.Expire)
			}
		case m.phase == lameduck.DrainAll && late:
			m.stopUnits()
			m.phase, m.until = lameduck.Cancelled, from.Add(m.plan.Cancel)
		default:
			m.last = now
			return
		}
	}
	m.last = now
	if m.phase.Ended() && !m.expire.IsZero() && !now.Before(m.expire) {
		m.open()
	}
}

// next enters the next phase before DrainAll that has a cap, or DrainAll.
func (m *model) next(from time.Time) {
	switch {
	case m.phase < lameduck.Announced && m.plan.Announce > 0:
		m.phase, m.until = lameduck.Announced, from.Add(m.plan.Announce)
	case m.phase < lameduck.DrainUnits && m.plan.Units > 0:
		m.phase, m.until = lameduck.DrainUnits, from.Add(m.plan.Units)
	default:
		m.phase, m.until = lameduck.DrainAll, from.Add(m.plan.All)
	}
}

func (m *model) open() {
	m.phase, m.draining, m.expire, m.sealed = lameduck.Serving, false, time.Time{}, leadership.Term{}
}

func (m *model) admits(k lameduck.Kind) bool {
	return m.phase < lameduck.DrainUnits || m.phase == lameduck.DrainUnits && k == lameduck.Single
}

func pick[T any](t *rapid.T, from []T) int {
	if len(from) == 0 {
		t.Skip("none")
	}
	return rapid.IntRange(0, len(from)-1).Draw(t, "which")
}

func TestAGateBehavesLikeASequentialModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := &model{term: term(1), last: time.Now()}
			g, err := lameduck.New(lameduck.Options{Term: m.term})
			if err != nil {
				t.Fatal(err)
			}
			cells := []interface {
				Enter(lameduck.Kind) (lameduck.Token, error)
			}{g, g.Cell(), g.Child("child")}
			ctx, cancel := context.WithCancel(context.Background())
			defer func() { cancel() }()
			var out chan error
			enter := func(t *rapid.T, k lameduck.Kind) (lameduck.Token, bool) {
				tok, err := cells[rapid.IntRange(0, len(cells)-1).Draw(t, "cell")].Enter(k)
				if (err == nil) != m.admits(k) {
					t.Fatalf("enter %s in %s: %v", k, m.phase, err)
				}
				if err != nil && !leadership.NotExecuted(err) {
					t.Fatalf("a refusal proves nothing: %v", err)
				}
				return tok, err == nil
			}
			dur := rapid.SampledFrom([]time.Duration{0, time.Second, 3 * time.Second})
			t.Repeat(map[string]func(*rapid.T){
				"single": func(t *rapid.T) {
					if tok, ok := enter(t, lameduck.Single); ok {
						m.singles = append(m.singles, tok)
					}
				},
				"stream": func(t *rapid.T) {
					if tok, ok := enter(t, lameduck.Stream); ok {
						m.streams = append(m.streams, tok)
					}
				},
				"unit": func(t *rapid.T) {
					if tok, ok := enter(t, lameduck.Unit); ok {
						m.units = append(m.units, &modelUnit{tok: tok})
					}
				},
				"continue": func(t *rapid.T) {
					u := m.units[pick(t, m.units)]
					tok, err := u.tok.Continue()
					var restart *lameduck.RestartUnitError
					switch {
					case u.cut != errors.Is(err, leadership.ErrUnknownOutcome),
						u.ended != errors.As(err, &restart),
						!u.cut && !u.ended && err != nil:
						t.Fatalf("continue in %s (ended %v, cut %v): %v", m.phase, u.ended, u.cut, err)
					case err == nil:
						u.conts = append(u.conts, tok)
					}
				},
				"exit": func(t *rapid.T) {
					i := pick(t, m.singles)
					dup := m.singles[i]
					dup.Exit()
					dup.Exit()
					m.singles = append(m.singles[:i], m.singles[i+1:]...)
				},
				"exitStream": func(t *rapid.T) {
					i := pick(t, m.streams)
					dup := m.streams[i]
					dup.Exit()
					m.streams[i].Exit()
					m.streams = append(m.streams[:i], m.streams[i+1:]...)
				},
				"exitContinuation": func(t *rapid.T) {
					u := m.units[pick(t, m.units)]
					i := pick(t, u.conts)
					u.conts[i].Exit()
					u.conts = append(u.conts[:i], u.conts[i+1:]...)
				},
				"exitUnit": func(t *rapid.T) {
					i := pick(t, m.units)
					u := m.units[i]
					for j := range u.conts {
						u.conts[j].Exit()
					}
					dup := u.tok
					u.tok.Exit()
					dup.Exit()
					m.units = append(m.units[:i], m.units[i+1:]...)
				},
				"drain": func(t *rapid.T) {
					p := lameduck.Plan{Announce: dur.Draw(t, "announce"), Units: dur.Draw(t, "units"),
						All: dur.Draw(t, "all"), Cancel: dur.Draw(t, "cancel"), Expire: dur.Draw(t, "expire")}
					if m.draining || m.phase.Ended() {
						if _, err := g.Drain(ctx, p); err == nil {
							t.Fatalf("drained twice, in %s", m.phase)
						}
						return
					}
					m.plan, m.draining = p, true
					m.next(time.Now())
					cancel()
					ctx, cancel = context.WithCancel(context.Background())
					out = make(chan error, 1)
					go func() {
						_, err := g.Drain(ctx, p)
						out <- err
					}()
				},
				"breakOff": func(*rapid.T) {
					cancel()
					if m.draining {
						m.open()
					}
				},
				"resume": func(t *rapid.T) {
					if err := g.Resume(); errors.Is(err, lameduck.ErrTooLate) != m.phase.Ended() {
						t.Fatalf("resume in %s: %v", m.phase, err)
					}
					if !m.phase.Ended() {
						m.open()
					}
				},
				"serve": func(t *rapid.T) {
					n := term(rapid.Uint64Range(max(m.term.Num, 2)-1, m.term.Num+2).Draw(t, "term"))
					ok := m.term.Less(n) && !n.Less(m.sealed)
					if err := g.Serve(n); (err == nil) != ok {
						t.Fatalf("serve %s over %s, sealed by %s: %v", n, m.term, m.sealed, err)
					}
					if ok {
						m.open()
						m.term = n
					}
				},
				"seal": func(t *rapid.T) {
					n := term(m.term.Num + rapid.Uint64Range(0, 2).Draw(t, "above"))
					ok := m.phase.Ended() && m.term.Less(n) && !n.Less(m.sealed)
					if err := g.Seal(n); (err == nil) != ok {
						t.Fatalf("seal %s in %s: %v", n, m.phase, err)
					}
					if ok {
						m.sealed, m.expire = n, time.Time{}
					}
				},
				"time": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 25).Draw(t, "tenths")) * 100 * time.Millisecond)
				},
				"": func(t *rapid.T) {
					synctest.Wait()
					m.settle(time.Now())
					if s := g.State(); s.Phase != m.phase || s.Term != m.term || s.Sealed != m.sealed || s.Ready() != (m.phase == lameduck.Serving) {
						t.Fatalf("gate %+v, model %s at %s sealed by %s", s, m.phase, m.term, m.sealed)
					}
					if n := g.InFlight(); n != m.counts() {
						t.Fatalf("gate counts %+v, model %+v in %s", n, m.counts(), m.phase)
					}
					if out != nil && !m.draining {
						<-out
						out = nil
					}
				},
			})
		})
	})
}
