package stepsim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/internal/stepsim"
	"github.com/tenure-go/tenure/leadership"
)

// script lets one action happen as soon as it is possible, after skipping so
// many chances, then the next. Everything else is quiet, but for the picks that
// follow an action.
type script struct {
	plays []play
	after []int
}

type play struct {
	act   stepsim.Action
	skip  int
	picks []int
}

func (s *script) Choose(p stepsim.Point) int {
	if p.Actions == nil {
		if len(s.after) == 0 {
			return 0
		}
		k := s.after[0]
		s.after = s.after[1:]
		return k
	}
	s.after = nil
	if len(s.plays) == 0 {
		return 0
	}
	k := slices.Index(p.Actions, s.plays[0].act)
	if k < 0 {
		return 0
	}
	if s.plays[0].skip > 0 {
		s.plays[0].skip--
		return 0
	}
	s.after = s.plays[0].picks
	s.plays = s.plays[1:]
	return k
}

var everything = stepsim.Faults{Drop: 9, Dup: 9, Late: 9, Crash: 9, Torn: 9, Pause: 9, Cut: 9, Tick: 9, Clock: 9, Lose: 9}

// pair is a client that writes twice to a server with a disk.
type pair struct {
	sim            *stepsim.Sim
	client, server *stepsim.Proc
	disk           []string
	boots          int
	told           []error
}

func (p *pair) write(ctx context.Context, what string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	_, err := stepsim.Call(ctx, p.client, p.server, what, func(ctx context.Context) (int, error) {
		return 0, p.server.Disk(ctx, "write "+what, func(torn bool) {
			if torn {
				what = "half"
			}
			p.disk = append(p.disk, what)
		})
	})
	return err
}

// play runs two writes under a script.
func play2(t *testing.T, prepare func(p *pair), plays ...play) (p *pair) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(&script{plays: plays}, everything)
		defer sim.Close()
		p = &pair{sim: sim, client: sim.Proc("client"), server: sim.Proc("server")}
		p.server.CanCrash, p.server.CanPause, p.server.CanCut, p.server.CanSkew, p.server.CanLose = true, true, true, true, true
		p.server.Boot = func() { p.boots++ }
		p.server.Lose = func() { p.disk = nil }
		if prepare != nil {
			prepare(p)
		}
		if err := sim.Do(200, func() {
			p.told = append(p.told, p.write(context.Background(), "a"), p.write(context.Background(), "b"))
		}); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *pair) trace() string { return strings.Join(p.sim.Trace(0), "\n") }

func TestEachActionDoesWhatItSays(t *testing.T) {
	t.Parallel()
	const ok, lost, down, unknown = "ok", "lost", "down", "unknown"
	class := func(err error) string {
		switch {
		case err == nil:
			return ok
		case errors.Is(err, stepsim.ErrLost):
			return lost
		case errors.Is(err, stepsim.ErrRefused):
			return down
		case errors.Is(err, leadership.ErrUnknownOutcome):
			return unknown
		}
		return err.Error()
	}
	for _, c := range []struct {
		name  string
		plays []play
		told  [2]string
		disk  string
		boots int
	}{
		{"quiet", nil, [2]string{ok, ok}, "a b", 0},
		{"the request is dropped", []play{{act: stepsim.Drop}}, [2]string{unknown, ok}, "b", 0},
		{"the answer is dropped", []play{{act: stepsim.Drop, skip: 1}}, [2]string{unknown, ok}, "a b", 0},
		{"the connection breaks on the answer", []play{{act: stepsim.Drop, skip: 1, picks: []int{1}}}, [2]string{lost, ok}, "a b", 0},
		{"the request comes twice", []play{{act: stepsim.Dup}, {act: stepsim.Release}}, [2]string{ok, ok}, "a a b", 0},
		{"the request comes late", []play{{act: stepsim.Late}, {act: stepsim.Release, skip: 5}}, [2]string{unknown, ok}, "b a", 0},
		{"crash before the request", []play{{act: stepsim.Crash}}, [2]string{down, down}, "", 0},
		{"crash before the write", []play{{act: stepsim.Crash, skip: 1}}, [2]string{lost, down}, "", 0},
		{"crash after the write", []play{{act: stepsim.Crash, skip: 2}}, [2]string{ok, down}, "a", 0},
		{"crash and restart", []play{{act: stepsim.Crash}, {act: stepsim.Restart}}, [2]string{ok, ok}, "a b", 1},
		{"crash in the write", []play{{act: stepsim.Torn}}, [2]string{lost, down}, "half", 0},
		{"the disk is lost", []play{{act: stepsim.Lose, skip: 3}, {act: stepsim.Restart}}, [2]string{ok, ok}, "b", 1},
		{"a pause before the request", []play{{act: stepsim.Pause}, {act: stepsim.Resume, skip: 2}}, [2]string{ok, ok}, "a b", 0},
		{"a pause longer than a call", []play{{act: stepsim.Pause}, {act: stepsim.Resume, skip: 5}}, [2]string{unknown, ok}, "a b", 0},
		{"an answer that was sent before the pause arrives", []play{{act: stepsim.Pause, skip: 2}}, [2]string{ok, unknown}, "a", 0},
		{"the server sends nothing", []play{{act: stepsim.Cut, picks: []int{0}}}, [2]string{unknown, unknown}, "a b", 0},
		{"the server gets nothing", []play{{act: stepsim.Cut, picks: []int{1}}}, [2]string{unknown, unknown}, "", 0},
		{"the server is isolated", []play{{act: stepsim.Cut, picks: []int{2}}}, [2]string{unknown, unknown}, "", 0},
		{"the server is isolated from its peers", []play{{act: stepsim.Cut, picks: []int{3}}}, [2]string{ok, ok}, "a b", 0},
		{"one direction heals", []play{{act: stepsim.Cut, picks: []int{2}}, {act: stepsim.Heal, skip: 2, picks: []int{1}}}, [2]string{unknown, unknown}, "b", 0},
		{"both directions heal", []play{{act: stepsim.Cut, picks: []int{2}}, {act: stepsim.Heal, skip: 2}, {act: stepsim.Heal}}, [2]string{unknown, ok}, "b", 0},
		{"time passes over a call", []play{{act: stepsim.Tick, picks: []int{5}}}, [2]string{unknown, ok}, "a b", 0},
		{"time passes", []play{{act: stepsim.Tick, picks: []int{1}}}, [2]string{ok, ok}, "a b", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := play2(t, nil, c.plays...)
			if got := [2]string{class(p.told[0]), class(p.told[1])}; got != c.told {
				t.Errorf("told %v (%v), want %v", got, p.told, c.told)
			}
			if got := strings.Join(p.disk, " "); got != c.disk {
				t.Errorf("on disk: %q, want %q", got, c.disk)
			}
			if p.boots != c.boots {
				t.Errorf("%d boots, want %d", p.boots, c.boots)
			}
			if t.Failed() {
				t.Log(p.trace())
			}
		})
	}
}

func TestARequestOfAClientNeverComesTwice(t *testing.T) {
	t.Parallel()
	p := play2(t, func(p *pair) { p.client.Client = true }, play{act: stepsim.Dup}, play{act: stepsim.Release})
	if len(p.disk) != 2 {
		t.Errorf("%v\n%s", p.disk, p.trace())
	}
}

func TestAPausedProcessSendsNothingUntilItGoesOn(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
			defer sim.Close()
			a, b := sim.Proc("a"), sim.Proc("b")
			var got []string
			send := func(ctx context.Context, what string) {
				_, _ = stepsim.Call(ctx, a, b, what, func(context.Context) (int, error) { got = append(got, what); return 0, nil })
			}
			a.Background(func(ctx context.Context) { send(ctx, "before") })
			a.Background(func(ctx context.Context) {
				time.Sleep(5 * time.Millisecond)
				send(ctx, "during")
			})
			synctest.Wait()
			a.CanPause = true
			sim.Allow(stepsim.Faults{Pause: 1})
			sim.Use(&script{plays: []play{{act: stepsim.Pause}}})
			until := func(d time.Duration) {
				start := time.Now()
				if err := sim.Run(1000, func() bool { return time.Since(start) > d }); err != nil {
					t.Error(err)
				}
			}
			until(20 * time.Millisecond)
			if fmt.Sprint(got) != "[before]" {
				t.Errorf("while paused: %v", got)
			}
			if dies {
				a.Crash()
			}
			sim.Mend()
			until(20 * time.Millisecond)
			want := "[before during]"
			if dies {
				want = "[before]"
			}
			if fmt.Sprint(got) != want {
				t.Errorf("dies %v: after the pause: %v, want %s", dies, got, want)
			}
		})
	}
}

func TestAHandlerThatOutlivesItsProcessActsInNoLaterLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
		defer sim.Close()
		a, b := sim.Proc("a"), sim.Proc("b")
		b.CanCrash = true
		var wrote, called bool
		var errs []error
		if err := sim.Do(1000, func() {
			_, err := stepsim.Call(context.Background(), a, b, "work", func(ctx context.Context) (int, error) {
				b.Later("reboot", func() { b.Crash(); b.Restart() })
				time.Sleep(10 * time.Millisecond) // deaf to its end
				ctx = context.WithoutCancel(ctx)
				errs = append(errs, b.Disk(ctx, "write", func(bool) { wrote = true }))
				_, err := stepsim.Call(ctx, b, a, "hello", func(context.Context) (int, error) { called = true; return 0, nil })
				errs = append(errs, err)
				return 0, nil
			})
			errs = append(errs, err)
		}); err != nil {
			t.Fatal(err)
		}
		if wrote || called || len(errs) != 3 || !errors.Is(errs[0], stepsim.ErrKilled) || !errors.Is(errs[1], stepsim.ErrKilled) || !errors.Is(errs[2], stepsim.ErrLost) {
			t.Errorf("wrote %v, called %v: %v", wrote, called, errs)
		}
	})
}

func TestAProcessDiesAtItsNthMessage(t *testing.T) {
	t.Parallel()
	// Request, answer, request, answer of the client; then nothing is left.
	for n, want := range []struct {
		disk int
		told string
	}{{0, "dead dead"}, {1, "dead dead"}, {1, "ok dead"}, {2, "ok dead"}, {2, "ok ok"}} {
		p := play2(t, func(p *pair) { p.client.DieAt = n })
		var told []string
		for _, err := range p.told {
			if errors.Is(err, stepsim.ErrKilled) {
				told = append(told, "dead")
			} else {
				told = append(told, "ok")
			}
		}
		if len(p.disk) != want.disk || strings.Join(told, " ") != want.told {
			t.Errorf("dies at %d: disk %v, told %v, want %+v", n, p.disk, told, want)
		}
	}
}

func TestAFinalCrashIsForGood(t *testing.T) {
	t.Parallel()
	p := play2(t, func(p *pair) { p.server.Final = true }, play{act: stepsim.Crash}, play{act: stepsim.Restart})
	if p.boots != 0 || len(p.disk) != 0 {
		t.Errorf("%d boots, disk %v", p.boots, p.disk)
	}
}

func TestAfterIsTheShortestTimeInWhichTheOwnClockGoesSoFar(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			sim := stepsim.New(stepsim.Quiet(), stepsim.Faults{})
			defer sim.Close()
			p := sim.Proc("p")
			own, real := p.Now(), time.Now()
			for range 1 + rng.IntN(4) {
				jump := time.Duration(rng.IntN(200)-100) * time.Millisecond
				ppm := int64(rng.IntN(400_000) - 200_000)
				before := p.Now()
				p.Skew(jump, ppm)
				if got := p.Now().Sub(before); got != jump {
					t.Fatalf("a jump of %v moved the clock by %v", jump, got)
				}
				d := time.Duration(rng.Int64N(int64(30 * time.Second)))
				start := p.Now()
				wait := p.After(d)
				time.Sleep(wait - 1)
				if early := p.Now().Sub(start); wait > 0 && early > d {
					t.Fatalf("%d ppm: After(%v) is %v, of which 1 ns less is %v on its clock", ppm, d, wait, early)
				}
				time.Sleep(1 * time.Nanosecond)
				if got := p.Now().Sub(start); got < d-1 || got > d+2 {
					t.Fatalf("%d ppm: after %v its clock went %v, want %v", ppm, wait, got, d)
				}
				own, real = own.Add(p.Now().Sub(start)+jump), real.Add(wait)
			}
			if !p.Now().Equal(own) || !time.Now().Equal(real) {
				t.Fatalf("its clock shows %v, want %v", p.Now(), own)
			}
		})
	}
}
