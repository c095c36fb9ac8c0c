package leadership_test

import (
	"testing"
	"testing/synctest"
	"time"

	. "github.com/tenure-go/tenure/leadership"
)

// An ack says that nothing older is in flight. Who has no lease cannot know
// that: its lanes may have passed requests again under another one.
func TestG7_OnlyTheSessionThatHasTheLeaseAcks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b MemoryBarrier
		l := RouterLease{Router: "r1", Session: "one", TTL: time.Second}
		if _, err := b.Join(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		other := l
		other.Session = "two"
		wantAs[*RouterLapsedError](t, b.Ack(t.Context(), other, term(2, "c")))
		wantAs[*RouterLapsedError](t, b.Ack(t.Context(), RouterLease{Router: "r2", Session: "one", TTL: time.Second}, term(2, "c")))
		time.Sleep(l.TTL)
		wantAs[*RouterLapsedError](t, b.Ack(t.Context(), l, term(2, "c")))
		if fresh, err := b.Join(t.Context(), l); err != nil || !fresh {
			t.Fatalf("fresh %v, %v", fresh, err)
		}
		if err := b.Ack(t.Context(), l, term(2, "c")); err != nil {
			t.Fatal(err)
		}
		rc, err := b.Wait(t.Context(), term(2, "c"))
		if err != nil || !rc.AllQuiet() || len(rc.Quiet) != 1 {
			t.Errorf("%s, %v", rc, err)
		}
	})
}
