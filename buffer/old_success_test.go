package buffer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/leadership"
)

// The leader of before may answer at last when the one of now refuses: that
// ends no outage.
func TestSuccessOfAnOlderLeaderEndsNoOutageOfTheOneOfNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := buffer.New(buffer.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		l := b.Lane("k")
		term := func(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c"} }
		lead := func(version, n uint64) {
			at := leadership.Leadership{Leader: "n1", Term: term(n)}
			l.Observe(leadership.Record{Version: version, Mode: leadership.Full, Fence: at.Term, Active: at, Routed: at, Addr: "a"})
		}
		lead(1, 1)
		old, err := l.Enter(t.Context(), buffer.Request{})
		if err != nil {
			t.Fatal(err)
		}
		// It is held, and then it is the one that tries the same leader again.
		if err := old.Retry(t.Context(), &leadership.Refusal{Term: term(1), Until: term(2)}); err != nil {
			t.Fatal(err)
		}
		if got := old.To().Term; got != term(1) {
			t.Fatalf("it probes %s", got)
		}
		lead(2, 2)
		turn, err := l.Enter(t.Context(), buffer.Request{})
		if err != nil || turn.To().Term != term(2) {
			t.Fatal(turn.To(), err)
		}
		held := make(chan error, 1)
		go func() { held <- turn.Retry(t.Context(), &leadership.Refusal{Term: term(2), Until: term(3)}) }()
		synctest.Wait()
		const age = 5 * time.Millisecond
		time.Sleep(age)
		old.Done(nil)
		if s := l.Snapshot(); s.State != buffer.HoldAll || s.OutageAge != age || s.Refused != term(3) {
			t.Errorf("after %s: %s, outage of %s, refused until %s", age, s.State, s.OutageAge, s.Refused)
		}
		b.Close()
		if err := <-held; err == nil {
			turn.Done(nil)
		}
	})
}
