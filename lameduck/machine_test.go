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

// machine drives a gate and its child beside the model of them.
type machine struct {
	m     *model
	gates [2]*lameduck.Gate
	cells [4]interface {
		Enter(lameduck.Kind) (lameduck.Token, error)
	}
	cancel [2]context.CancelFunc
	out    [2]chan error
}

func newMachine(t *rapid.T) *machine {
	m := &model{last: time.Now()}
	m.gates[0].term = term(1)
	g, err := lameduck.New(lameduck.Options{Term: term(1)})
	if err != nil {
		t.Fatal(err)
	}
	ch := g.Child("child")
	s := &machine{m: m, gates: [2]*lameduck.Gate{g, ch}}
	s.cells[0], s.cells[1], s.cells[2], s.cells[3] = g, g.Cell(), ch, ch.Cell()
	return s
}

func (s *machine) close() {
	for i, cancel := range s.cancel {
		if cancel != nil {
			cancel()
			if s.out[i] != nil {
				<-s.out[i]
			}
		}
	}
}

func pick[T any](t *rapid.T, from []T) int {
	if len(from) == 0 {
		t.Skip("none")
	}
	return rapid.IntRange(0, len(from)-1).Draw(t, "which")
}

func (s *machine) gate(t *rapid.T) int { return rapid.IntRange(0, 1).Draw(t, "gate") }

func (s *machine) enter(t *rapid.T, k lameduck.Kind) (tok lameduck.Token, at int, ok bool) {
	i := rapid.IntRange(0, len(s.cells)-1).Draw(t, "cell")
	at = i / 2
	tok, err := s.cells[i].Enter(k)
	if (err == nil) != s.m.admits(at, k) {
		t.Fatalf("enter %s in %s: %v", k, s.m.phase(at), err)
	}
	if err != nil && !leadership.NotExecuted(err) {
		t.Fatalf("a refusal proves nothing: %v", err)
	}
	return tok, at, err == nil
}

func (s *machine) single(t *rapid.T) {
	if tok, at, ok := s.enter(t, lameduck.Single); ok {
		s.m.singles = append(s.m.singles, modelSingle{tok, at})
	}
}

func (s *machine) stream(t *rapid.T) {
	if tok, at, ok := s.enter(t, lameduck.Stream); ok {
		s.m.streams = append(s.m.streams, modelStream{tok, at, s.m.gates[at].announced})
	}
}

func (s *machine) unit(t *rapid.T) {
	if tok, at, ok := s.enter(t, lameduck.Unit); ok {
		s.m.units = append(s.m.units, &modelUnit{tok: tok, at: at})
	}
}

func (s *machine) proceed(t *rapid.T) {
	u := s.m.units[pick(t, s.m.units)]
	tok, err := u.tok.Continue()
	var restart *lameduck.RestartUnitError
	switch {
	case u.cut != errors.Is(err, leadership.ErrUnknownOutcome),
		u.ended != errors.As(err, &restart),
		!u.cut && !u.ended && err != nil:
		t.Fatalf("continue in %s (ended %v, cut %v): %v", s.m.phase(u.at), u.ended, u.cut, err)
	case err == nil:
		u.conts = append(u.conts, tok)
	}
}

func (s *machine) exitSingle(t *rapid.T) {
	i := pick(t, s.m.singles)
	dup := s.m.singles[i].tok
	dup.Exit()
	dup.Exit()
	s.m.singles = append(s.m.singles[:i], s.m.singles[i+1:]...)
}

func (s *machine) exitStream(t *rapid.T) {
	i := pick(t, s.m.streams)
	dup := s.m.streams[i].tok
	dup.Exit()
	s.m.streams[i].tok.Exit()
	s.m.streams = append(s.m.streams[:i], s.m.streams[i+1:]...)
}

func (s *machine) exitContinuation(t *rapid.T) {
	u := s.m.units[pick(t, s.m.units)]
	i := pick(t, u.conts)
	u.conts[i].Exit()
	u.conts = append(u.conts[:i], u.conts[i+1:]...)
}

func (s *machine) exitUnit(t *rapid.T) {
	i := pick(t, s.m.units)
	u := s.m.units[i]
	for j := range u.conts {
		u.conts[j].Exit()
	}
	dup := u.tok
	u.tok.Exit()
	dup.Exit()
	s.m.units = append(s.m.units[:i], s.m.units[i+1:]...)
}

func (s *machine) drain(t *rapid.T) {
	i := s.gate(t)
	dur := rapid.SampledFrom([]time.Duration{0, time.Second, 3 * time.Second})
	p := lameduck.Plan{Announce: dur.Draw(t, "announce"), Units: dur.Draw(t, "units"), All: dur.Draw(t, "all"),
		Cancel: dur.Draw(t, "cancel"), Expire: dur.Draw(t, "expire"), Hold: rapid.Bool().Draw(t, "hold")}
	spread := dur.Draw(t, "spread") * 3 / 4
	g, mg := s.gates[i], &s.m.gates[i]
	if contradicts := spread > 0 && spread >= p.Announce+p.Units+p.All; contradicts {
		p.Spread = spread
		if _, err := g.Drain(context.Background(), p); !errors.As(err, new(*lameduck.PlanError)) {
			t.Fatalf("a spread of %v in %+v: %v", spread, p, err)
		}
		return
	}
	p.Spread = spread
	if mg.draining || mg.phase.Ended() {
		if _, err := g.Drain(context.Background(), p); err == nil || errors.Is(err, lameduck.ErrDraining) != mg.draining {
			t.Fatalf("drained twice, in %s: %v", mg.phase, err)
		}
		return
	}
	mg.begin(p, time.Now())
	if s.cancel[i] != nil {
		s.cancel[i]()
	}
	var ctx context.Context
	ctx, s.cancel[i] = context.WithCancel(context.Background())
	out := make(chan error, 1)
	s.out[i] = out
	go func() {
		_, err := g.Drain(ctx, p)
		out <- err
	}()
}

func (s *machine) breakOff(t *rapid.T) {
	i := s.gate(t)
	if s.cancel[i] == nil {
		t.Skip("never drained")
	}
	s.cancel[i]()
	s.m.gates[i].breakOff(time.Now())
}

func (s *machine) resume(t *rapid.T) {
	i := s.gate(t)
	mg := &s.m.gates[i]
	if err := s.gates[i].Resume(); errors.Is(err, lameduck.ErrTooLate) != mg.phase.Ended() {
		t.Fatalf("resume in %s: %v", mg.phase, err)
	}
	if !mg.phase.Ended() {
		mg.open()
	}
}

func (s *machine) serve(t *rapid.T) {
	i := s.gate(t)
	mg, served := &s.m.gates[i], s.m.term(i)
	n := term(rapid.Uint64Range(max(served.Num, 2)-1, served.Num+2).Draw(t, "term"))
	ok := served.Less(n) && !n.Less(mg.sealed)
	if err := s.gates[i].Serve(n); (err == nil) != ok {
		t.Fatalf("serve %s over %s, sealed by %s: %v", n, served, mg.sealed, err)
	}
	if ok {
		mg.open()
		mg.term = n
	}
}

func (s *machine) seal(t *rapid.T) {
	i := s.gate(t)
	mg, served := &s.m.gates[i], s.m.term(i)
	n := term(served.Num + rapid.Uint64Range(0, 2).Draw(t, "above"))
	ok := mg.phase.Ended() && served.Less(n) && !n.Less(mg.sealed)
	if err := s.gates[i].Seal(n); (err == nil) != ok {
		t.Fatalf("seal %s in %s: %v", n, mg.phase, err)
	}
	if ok {
		mg.sealed, mg.expire = n, time.Time{}
	}
}

func (s *machine) sleep(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 25).Draw(t, "tenths")) * 100 * time.Millisecond)
}

// check compares everything that can be seen from outside.
func (s *machine) check(t *rapid.T) {
	synctest.Wait()
	s.m.settle(time.Now())
	for i, g := range s.gates {
		mg, phase := &s.m.gates[i], s.m.phase(i)
		if st := g.State(); st.Phase != phase || st.Term != s.m.term(i) || st.Sealed != mg.sealed ||
			st.Ready() != (phase == lameduck.Serving) || (st.Refusal == nil) != s.m.admits(i, lameduck.Unit) {
			t.Fatalf("gate %d %+v, model %s at %s sealed by %s", i, st, phase, s.m.term(i), mg.sealed)
		}
		if n := g.InFlight(); n != s.m.counts(i) {
			t.Fatalf("gate %d counts %+v, model %+v in %s", i, n, s.m.counts(i), phase)
		}
		if s.out[i] != nil && !mg.draining {
			<-s.out[i]
			s.out[i] = nil
		}
	}
	for i := range s.m.streams {
		st := &s.m.streams[i]
		must, may := s.m.told(*st, time.Now())
		if n := told([]<-chan struct{}{st.tok.Draining()}) == 1; must && !n || n && !may {
			t.Fatalf("stream told %v, must %v, may %v", n, must, may)
		}
	}
}

func TestAGateBehavesLikeASequentialModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			s := newMachine(t)
			defer s.close()
			t.Repeat(map[string]func(*rapid.T){
				"single": s.single, "stream": s.stream, "unit": s.unit, "continue": s.proceed,
				"exit": s.exitSingle, "exitStream": s.exitStream, "exitContinuation": s.exitContinuation, "exitUnit": s.exitUnit,
				"drain": s.drain, "breakOff": s.breakOff, "resume": s.resume, "serve": s.serve, "seal": s.seal,
				"time": s.sleep, "": s.check,
			})
		})
	})
}
