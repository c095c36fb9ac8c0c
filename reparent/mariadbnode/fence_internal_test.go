package mariadbnode

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// late is a server at which the record is locked for longer than the IO thread that was
// killed is waited for.
type late struct{ saw *[]string }

var errLocked = errors.New("lock wait timeout exceeded")

func (c late) Connect(context.Context) (driver.Conn, error) { return c, nil }
func (c late) Driver() driver.Driver                        { return nil }
func (c late) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (c late) Close() error                                 { return nil }
func (c late) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }

func (c late) QueryContext(_ context.Context, q string, _ []driver.NamedValue) (driver.Rows, error) {
	*c.saw = append(*c.saw, q)
	time.Sleep(killWait + 20*time.Millisecond) // in a synctest bubble
	return nil, errLocked
}

// TestG4_APromiseThatIsLostWithTheWaitForTheIOThreadIsNotTakenForWritten: the promise goes
// with the first question after the KILL, and the wait for the thread may be given up.
func TestG4_APromiseThatIsLostWithTheWaitForTheIOThreadIsNotTakenForWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var saw []string
		db := sql.OpenDB(late{&saw})
		defer func() { _ = db.Close() }()
		n := &Node{db: db}
		n.cfg.Limits.Poll = time.Millisecond
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		s := &session{n: n, conn: conn}
		defer s.close()
		s.later("write the record", "UPDATE tenure.node SET doc = '{}'")
		err = s.killIO(t.Context(), nil)
		require.ErrorIs(t, err, errLocked)
		require.Len(t, saw, 1)
		require.True(t, strings.HasPrefix(saw[0], "UPDATE tenure.node"), saw[0])
		require.True(t, s.failed)
	})
}
