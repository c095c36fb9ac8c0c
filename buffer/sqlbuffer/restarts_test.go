package sqlbuffer_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// spoil makes every statement at n break its connection, until it is mended.
func (n *server) spoil() (mend func()) {
	var f fault
	f = func(context.Context, *session, func() error) error {
		n.fail("exec", f)
		return errReset
	}
	n.fail("exec", f)
	return func() { n.set(func() { n.faults["exec"] = nil }) }
}

func TestG9_AUnitThatBreaksEveryConnectionIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		name           string
		patience, want time.Duration
	}{
		{"by default", 0, 10 * time.Second},
		{"as configured", 2 * time.Second, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := setup{cfg: sqlbuffer.Config{Patience: c.patience}, buf: buffer.Config{MaxAge: time.Second}}
			each(t, s, func(t *testing.T, w *world) {
				mend := w.n1.spoil()
				start := time.Now()
				err := w.unit(t.Context(), "a")
				took := time.Since(start)
				require.GreaterOrEqual(t, took, c.want)
				require.Less(t, took, c.want+100*time.Millisecond)
				restart := requireRestart(t, err)
				require.Equal(t, lead("n1", 1), restart.Leadership)
				require.True(t, leadership.NotExecuted(err), "%v", err)
				require.ErrorContains(t, err, errReset.Error())
				w.honest(err, "a")
				require.Zero(t, w.n1.count("commit"))
				mend()
				w.serves()
			})
		})
	}
}

func TestALaterLeadershipIsAnotherChanceForAUnit(t *testing.T) {
	const patience = 2 * time.Second
	each(t, setup{cfg: sqlbuffer.Config{Patience: patience}}, func(t *testing.T, w *world) {
		lose := func(n *server, ctx context.Context, tx *sql.Tx) error {
			n.fail("exec", with(errReset))
			_, err := tx.ExecContext(ctx, "put ?", "lost")
			return err
		}
		runs := 0
		err := sqlbuffer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
			switch runs++; runs {
			case 1:
				return lose(w.n1, ctx, tx)
			case 2: // is superseded, long after the first restart
				time.Sleep(2 * patience)
				w.force("n2", 2)
			case 3:
				return lose(w.n2, ctx, tx)
			case 4:
				time.Sleep(patience / 2)
				return lose(w.n2, ctx, tx)
			}
			_, err := tx.ExecContext(ctx, "put ?", "a")
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 5, runs)
		require.Equal(t, []string{"a"}, w.n2.has())
		require.Empty(t, w.n1.has())
	})
}
