package pgnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// PgCtl is the Controller of a server on this machine that nothing else starts:
// a service manager that restarts a server when it ends takes it out of a
// Controller's hands. It may be copied.
type PgCtl struct {
	// Data is the data directory. Required.
	Data string
	// Bin is the directory of PostgreSQL's programs; "" is the newest of
	// /usr/lib/postgresql/*/bin, else where $PATH has pg_ctl.
	Bin string
	// Log is the server's log until its own configuration takes over; "" is
	// none. It must not be in Data, where pg_rewind would fail over it.
	Log string
	// Options are those of the postgres command, such as
	// "-c config_file=/etc/postgresql/15/main/postgresql.conf".
	Options string

	_ struct{}
}

var _ Controller = PgCtl{}

// The server does not run as root: when we are, programs run as the owner of the
// data directory.

func (p PgCtl) program(name string) (string, error) {
	if p.Bin != "" {
		return filepath.Join(p.Bin, name), nil
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(dirs) == 0 {
		return exec.LookPath(name)
	}
	slices.SortFunc(dirs, func(a, b string) int { return len(a) - len(b) })
	longest := len(dirs[len(dirs)-1])
	dirs = slices.DeleteFunc(dirs, func(d string) bool { return len(d) < longest })
	return slices.Max(dirs), nil
}

// Run implements Controller.
func (p PgCtl) Run(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	path, err := p.program(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C"}, env...)...)
	cmd.WaitDelay = time.Second
	if err := asOwner(cmd, p.Data); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	defer bound(cmd)()
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s: %w: %s", program, errors.Join(err, context.Cause(ctx)), lastBytes(out.Bytes(), 1000))
	}
	return out.Bytes(), nil
}

func lastBytes(b []byte, n int) []byte { return bytes.TrimSpace(b[max(0, len(b)-n):]) }

// Start implements Controller. It returns before the server accepts connections,
// and not before Running and Stop would find it.
func (p PgCtl) Start(ctx context.Context) error {
	if running, err := p.Running(ctx); err != nil || running {
		return err
	}
	log := p.Log
	if log == "" {
		log = os.DevNull
	}
	args := []string{"start", "-W", "-s", "-D", p.Data, "-l", log}
	if p.Options != "" {
		args = append(args, "-o", p.Options)
	}
	if _, err := p.Run(ctx, nil, "pg_ctl", args...); err != nil {
		return err
	}
	return poll(ctx, 3*time.Millisecond, func() (bool, error) {
		there, err := p.Running(ctx)
		if err != nil || there {
			return there, err
		}
		// Between the fork and its first look at the data directory it is only
		// known by its arguments.
		coming, err := launching(p.Data)
		if err == nil && !coming {
			if there, err = p.Running(ctx); err == nil && !there {
				err = errors.New("postgres ended at once: its log says why")
			}
		}
		return there, err
	})
}

// Running implements Controller.
func (p PgCtl) Running(context.Context) (bool, error) {
	pids, err := family(p.Data)
	return len(pids) > 0, err
}

// Stop implements Controller. pg_ctl looks every 100 ms whether the server has
// ended; this looks more often.
func (p PgCtl) Stop(ctx context.Context, mode StopMode) error {
	pids, err := family(p.Data)
	if err != nil || len(pids) == 0 {
		return err
	}
	if err := tell(p.Data, pids, mode); err != nil {
		return err
	}
	since := time.Now()
	return poll(ctx, 3*time.Millisecond, func() (bool, error) {
		pids, err := family(p.Data)
		if err == nil && mode == StopKill {
			err = tell(p.Data, pids, mode) // one may have been born meanwhile
		}
		if err != nil || len(pids) > 0 {
			return false, err
		}
		// One that nobody has waited for yet still holds its number, and the next
		// server would take it for another one that runs.
		return !lingers(p.Data) || time.Since(since) > 2*time.Second, nil
	})
}
