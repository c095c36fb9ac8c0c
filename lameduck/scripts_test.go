package lameduck_test

import (
	"errors"

	"github.com/tenure-go/tenure/lameduck"
)

// A script is what one worker does in the enumeration of interleavings.
type script = func(w *world, c *lameduck.Cell) func(*task)

// unitScript is Enter, Continue, Exit, Exit of one unit.
func unitScript(w *world, c *lameduck.Cell) func(*task) {
	return func(tk *task) {
		u, err := c.Enter(lameduck.Unit)
		w.Park(tk.Task, "op", 1)
		if err != nil {
			return
		}
		k, err := u.Continue()
		if err == nil {
			tk.inside++
			w.Park(tk.Task, "op", 2)
			tk.inside--
			k.Exit()
		} else {
			var restart *lameduck.RestartUnitError
			if !errors.As(err, &restart) {
				w.Fail("%s: continue: %v", tk.Name, err)
			}
		}
		w.Park(tk.Task, "op", 3)
		u.Exit()
	}
}

// idleScript leaves its unit open and idle.
func idleScript(w *world, c *lameduck.Cell) func(*task) {
	return func(tk *task) {
		u, err := c.Enter(lameduck.Unit)
		w.Park(tk.Task, "op", 1)
		if err != nil {
			return
		}
		w.idle++
		k, err := u.Continue()
		if err == nil {
			tk.inside++
			w.Park(tk.Task, "op", 2)
			tk.inside--
			k.Exit()
		}
	}
}

// nestedScript continues a unit while another request of it runs, which is
// never refused while the drain has not cancelled.
func nestedScript(w *world, c *lameduck.Cell) func(*task) {
	return func(tk *task) {
		u, err := c.Enter(lameduck.Unit)
		if err != nil {
			return
		}
		if k, err := u.Continue(); err == nil {
			tk.inside++
			w.Park(tk.Task, "op", 1)
			inner, err := k.Continue()
			if err != nil {
				w.Fail("%s: refused while its unit runs: %v", tk.Name, err)
			}
			inner.Exit()
			w.Park(tk.Task, "op", 2)
			tk.inside--
			k.Exit()
		}
		w.Park(tk.Task, "op", 3)
		u.Exit()
	}
}

func singleScript(w *world, c *lameduck.Cell) func(*task) {
	return func(tk *task) {
		s, err := c.Enter(lameduck.Single)
		if err != nil {
			return
		}
		tk.inside++
		w.Park(tk.Task, "op", 1)
		tk.inside--
		s.Exit()
	}
}
