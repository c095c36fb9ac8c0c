package leadership_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// Taken for a file of no name, a registry that nobody opened would say that the
// cluster has no record, and a barrier that nobody needs to be waited for.
func TestG10_AFileThatNobodyOpenedIsClosed(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	term := leadership.Term{Num: 1, Proposer: "c1"}
	lease := leadership.RouterLease{Router: "r1", Session: "s1", TTL: time.Second}
	var reg leadership.FileRegistry
	var bar leadership.FileBarrier
	for name, call := range map[string]func() error{
		"Load": func() error { _, err := reg.Load(ctx); return err },
		"Swap": func() error {
			_, err := reg.Swap(ctx, 0, leadership.Record{Cluster: "orders", Mode: leadership.Full})
			return err
		},
		"Registry.Wait": func() error { _, err := reg.Wait(ctx, 0); return err },
		"Join":          func() error { _, err := bar.Join(ctx, lease); return err },
		"Ack":           func() error { return bar.Ack(ctx, lease, term) },
		"Leave":         func() error { return bar.Leave(ctx, lease) },
		"Barrier.Wait":  func() error { _, err := bar.Wait(ctx, term); return err },
	} {
		if err := call(); !errors.Is(err, leadership.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}
