package reparenttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

// storeDisk is what survives.
type storeDisk struct {
	incarnation string
	rec         acceptor.State
	have        bool
	torn        bool // the record's only slot holds half a write
	user        any  // what Traits.Promises keeps
	log         []Entry
	applied     int // how much of log is more than a relay log
	// master is whom a server of its own was last pointed at; running says
	// for whom it was.
	master leadership.Leadership
	// checkpoint is the last term whose promotion is in the control file.
	checkpoint leadership.Term
	// adrift: it was told that no rewind is required, and goes on from the
	// end of its own log, whatever that holds.
	adrift bool
	// own are the transactions of statements that were run on this server while
	// it followed: they are in no log but its own, and it can replicate nothing
	// more.
	own int
}

// errOut is what a node answers that lost storage. It may have promised more
// than it knows, and nobody can tell it what: under this name it is no voter
// any more.
var errOut = errors.New("storage was lost: the node must be replaced by a new member")

// acceptorDisk is the acceptor's store on the simulated disk: two slots, of
// which a torn write leaves the older one, or one, of which it leaves nothing.
type acceptorDisk struct{ n *store }

func (d acceptorDisk) Load(context.Context) (acceptor.State, bool, error) {
	k := d.n.disk
	if k.torn && !d.n.bugs.tornOpens {
		return acceptor.State{}, false, &leadership.CorruptError{Path: "promise of " + string(d.n.h.ID), Reason: "half of it is missing"}
	}
	return k.rec, k.have, nil
}

func (d acceptorDisk) Save(ctx context.Context, st acceptor.State) error {
	return d.n.h.WriteTorn(ctx, "promise "+st.Promised.String(), func(torn bool) {
		k := d.n.disk
		switch {
		case d.n.forgets(st):
		case torn && !d.n.OneSlot:
		case torn:
			k.torn = true
			k.rec = acceptor.State{Node: d.n.h.ID, Incarnation: k.incarnation}
		default:
			k.rec, k.have, k.torn = st, true, false
			d.n.history = append(d.n.history, st.Promised)
		}
	})
}

// userDisk is an acceptor's store of the user's own. What it said it saved is
// what the checks take to be on disk: a restart shows whether it was.
type userDisk struct {
	n    *store
	own  acceptor.Store
	last leadership.Term // of the log, which binds like a promise
}

func (u userDisk) Load(ctx context.Context) (acceptor.State, bool, error) {
	st, ok, err := u.own.Load(ctx)
	if err != nil {
		return st, ok, err
	}
	if !ok {
		st = acceptor.State{Node: u.n.h.ID, Incarnation: u.n.disk.incarnation}
	}
	if st.Promised.Less(u.last) {
		st.Promised, st.Source = u.last, leadership.Leadership{}
	}
	u.n.disk.rec = st
	return st, true, nil
}

func (u userDisk) Save(ctx context.Context, st acceptor.State) error {
	err := u.own.Save(ctx, st)
	if err == nil {
		u.n.disk.rec = st
	}
	return err
}

// openDisk finds or makes the disk of a host.
func openDisk(h *Host) *storeDisk {
	d, ok := h.Disk.(*storeDisk)
	if !ok {
		inc := fmt.Sprintf("disk-%d", h.Lost+1)
		d = &storeDisk{incarnation: inc, rec: acceptor.State{Node: h.ID, Incarnation: inc}, have: true}
		h.Disk = d
	}
	return d
}

// open opens the acceptor of a node. A node whose storage is not what it was
// comes up with an acceptor that refuses everything.
func (n *store) open() error {
	d := n.disk
	n.starts()
	if n.h.Lost > 0 && !n.bugs.amnesia {
		n.shutOut()
		return nil
	}
	var last leadership.Term
	if len(d.log) > 0 && !n.bugs.volatilePromise {
		last = d.log[len(d.log)-1].Term
	}
	// Open would write this itself; the scheduler, which restarts nodes,
	// cannot wait for a disk.
	if d.rec.Promised.Less(last) && !d.torn {
		d.rec.Promised, d.rec.Source = last, leadership.Leadership{}
	}
	if d.torn && n.bugs.tornOpens {
		last = leadership.Term{}
	}
	var kept acceptor.Store = acceptorDisk{n}
	if n.Promises != nil {
		kept = userDisk{n, n.Promises(n.h, &d.user), last}
	}
	acc, err := acceptor.Open(context.Background(), kept, n.h.ID, d.incarnation, acceptor.Options{LogTerm: last})
	var corrupt *leadership.CorruptError
	switch {
	case errors.As(err, &corrupt):
		n.shutOut()
		return nil
	case err != nil:
		return err
	}
	n.acc = acc
	return nil
}

func (n *store) shutOut() { n.out, n.acc = true, &acceptor.Acceptor{} }

// write replaces the log from index at on, as one durable write under turn.
// Torn, half of it is there.
func (n *store) write(ctx context.Context, what string, at int, es []Entry) error {
	return n.writes(ctx, what, at, es, 0)
}

// writes is write of entries of which the first so many of the whole log are known
// to be completed. Who waits for one of them is woken when it knows all of that,
// and not in the middle.
func (n *store) writes(ctx context.Context, what string, at int, es []Entry, commit int) error {
	return n.h.WriteTorn(ctx, what+" at "+strconv.Itoa(at), func(torn bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		d := n.disk
		if torn {
			es = es[:len(es)/2]
		}
		if at < len(d.log) {
			d.log = d.log[:at:at] // what is in a log is never written again
		}
		d.log = append(d.log, es...)
		d.applied = min(d.applied, at)
		if n.applies(what) {
			d.applied = len(d.log)
		}
		if !torn {
			n.commit = max(n.commit, min(commit, len(d.log)))
		}
		n.wake()
	})
}

// remember takes the rulesets from the last marker of the log: a server that
// restarts between its installation and its grant knows them from disk.
func (n *store) remember() {
	for _, e := range slices.Backward(n.disk.log) {
		if m := e.Marker; m != nil {
			if rs, rules, err := rulesOf(n.h, m); err == nil && m.Leader == n.h.ID {
				n.installed, n.rulesets, n.rules = m.Term, rs, rules
				n.matched[n.h.ID] = len(n.disk.log)
				n.asked, n.loaded = m.Term, m.Term // a server that starts reads its settings
			}
			return
		}
	}
}
