package change

import (
	"context"
	"errors"
	"sync"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// A change that the leader leads, as in examples/kv, with two differences. Members
// that the leader can do without promise before it steps down, see spare. And what
// is in flight at the old leader is answered as soon as a durable set has
// acknowledged it, also when that is after the step-down. Such an entry was
// written before the position in the release was read, and its acknowledgements
// were given before any of those nodes promised: whoever leads next has it. It is
// the late completion that Paxos and Raft allow, of what was taken before: the gate
// is shut.

var (
	errNotLeading = errors.New("change: the node does not lead")
	errBehind     = errors.New("change: the candidate could not be brought level")
)

// notProof is the failure of a hand-over that was begun: it proves nothing.
type notProof struct{ error }

func (e notProof) Unwrap() error { return e.error }

func (notProof) NotExecuted() bool { return false }

// handOver is the leader's half.
func (n *node) handOver(ctx context.Context, b handover.Baton) (handover.Account, error) {
	if err := b.Validate(nil); err != nil {
		return handover.Account{}, err
	}
	switch st := n.acc.Status(); {
	case b.From != n.id:
		return handover.Account{}, &handover.BatonError{Field: "From", Reason: "it is not " + string(n.id)}
	case b.Term.Less(st.Promised):
		return handover.Account{}, &leadership.StaleTermError{Node: n.id, Asked: b.Term, Promised: st.Promised}
	case st.Leads.IsZero() || st.Leads == b.Term:
		return handover.Account{}, errNotLeading
	}
	n.spare(ctx, b)
	down, level, err := n.letGo(ctx, b.Term, b.To)
	if err != nil {
		return handover.Account{}, err
	}
	release, err := b.Release(down)
	if err != nil {
		return handover.Account{}, notProof{err}
	}
	n.mu.Lock()
	tail := gift{prev: n.log.at(level), entries: n.log.entries[level:len(n.log.entries):len(n.log.entries)]}
	n.mu.Unlock()
	to := n.c.nodes[hostOf(b.To)]
	for _, id := range b.Others() {
		other := n.c.nodes[hostOf(id)]
		n.c.wire.send(n.i, other.i, func() { n.c.wg.Go(func() { other.asked(release.Ask()) }) })
	}
	account, err := call(ctx, n.c.wire, &n.c.wg, n.i, to.i, func(ctx context.Context) (handover.Account, error) {
		return to.takeOver(ctx, handover.Relay{Release: release}, tail)
	})
	if err != nil {
		err = notProof{err}
	}
	return account, err
}

// letGo has the leader refuse and promise t. It returns up to where to is known to
// have its log.
func (n *node) letGo(ctx context.Context, t leadership.Term, to leadership.NodeID) (down leadership.Testimony, level int, err error) {
	_, err = n.gate.Drain(ctx, lameduck.Plan{Until: t, Leader: to, Reason: "handing over", Expire: drainGrace})
	var forced *lameduck.ForcedError // what runs is carried on
	if err != nil && !errors.As(err, &forced) {
		return down, 0, err
	}
	n.mu.Lock()
	ls := n.leads
	if ls != nil {
		ls.carried = true
		if m, ok := ls.cohort.Member(to); ok {
			level = ls.levels[m]
		}
	}
	n.mu.Unlock()
	if ls == nil {
		return down, 0, errNotLeading
	}
	if down, err = n.stepDown(ctx, t); err != nil {
		return down, 0, notProof{err}
	}
	return down, level, nil
}

// retire is the leader's part of a change that the coordinator leads. The end of
// its log was sent to the candidate before this is answered, on a network that
// keeps messages in order.
func (n *node) retire(ctx context.Context, r handover.Retirement) (handover.Retired, error) {
	st := n.acc.Status()
	if st.Leads.IsZero() || st.Leads == r.Term {
		return handover.Retired{}, errNotLeading
	}
	down, _, err := n.letGo(ctx, r.Term, r.To)
	return handover.Retired{StepDown: down}, err
}

// spare lets as many others promise as the leader can do without, while it goes on
// serving: with the two leaders they are enough, and nobody waits for a third while
// there is no leader. It costs a round trip in advance, and members that follow
// nobody when the hand-over fails, until a sweep. Who does not answer is asked
// again with the rest.
func (n *node) spare(ctx context.Context, b handover.Baton) {
	ctx, cancel := context.WithTimeout(ctx, b.Drain)
	defer cancel()
	others := b.Others()
	var wg sync.WaitGroup
	for _, id := range others[:max(0, min(len(others), len(n.c.nodes)/2-1))] {
		other := n.c.nodes[hostOf(id)]
		wg.Go(func() {
			_, _ = call(ctx, n.c.wire, &n.c.wg, n.i, other.i, func(context.Context) (struct{}, error) {
				other.asked(handover.Ask{Term: b.Term, From: b.From, To: b.To})
				return struct{}{}, nil
			})
		})
	}
	wg.Wait()
}

// asked promises for a hand-over and tells its candidate.
func (n *node) asked(a handover.Ask) {
	w, err := n.promise(n.c.ctx, a.Term)
	var stale *leadership.StaleTermError
	switch {
	case errors.As(err, &stale):
		w = leadership.Testimony{Node: n.id, Term: stale.Promised, Kind: leadership.Refused}
	case err != nil:
		return
	}
	to := n.c.nodes[hostOf(a.To)]
	n.c.wire.send(n.i, to.i, func() {
		_ = to.incoming.do(func(in *handover.Incoming) error {
			if w.Kind == leadership.Refused {
				in.Refuse(a.Term, w.Node, w.Term)
				return nil
			}
			return in.Hear(w)
		})
	})
}

// incoming is the candidate's side of hand-overs.
type incoming struct {
	mu   sync.Mutex // guards in; held for moments
	in   *handover.Incoming
	news chan struct{} // of capacity one: something was added
}

func (c *incoming) do(f func(*handover.Incoming) error) error {
	c.mu.Lock()
	err := f(c.in)
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default:
	}
	return err
}

// takeOver is the candidate's half, whoever brings the release.
func (n *node) takeOver(ctx context.Context, relay handover.Relay, tail gift) (handover.Account, error) {
	err := n.incoming.do(func(in *handover.Incoming) error { return in.TakeRelay(relay) })
	if err != nil {
		return handover.Account{}, err
	}
	r := relay.Release
	t := r.Baton.Term
	ctx, cancel := context.WithTimeout(ctx, r.Baton.Within)
	defer cancel()
	err = n.established(ctx, r, tail)
	n.incoming.mu.Lock()
	defer n.incoming.mu.Unlock()
	a, told := n.incoming.in.Account(t)
	return a, errors.Join(err, told)
}

func (n *node) established(ctx context.Context, r handover.Release, tail gift) error {
	t := r.Baton.Term
	if len(tail.entries) > 0 {
		// What of it cannot be taken is fetched when all is proven.
		_ = n.accepts(ctx, t, *r.StepDown.Read, tail)
	}
	p, err := n.proposed(ctx, t)
	if err != nil {
		return err
	}
	followers := map[leadership.NodeID]establish.Follower{}
	for _, id := range p.Members() {
		if id != n.id {
			followers[id] = &remote{c: n.c, from: n.i, to: n.c.nodes[hostOf(id)]}
		}
	}
	self := &remote{c: n.c, from: n.i, to: n}
	est, err := establish.NewProposal(map[leadership.NodeID]establish.Candidate{n.id: self}, followers, establish.Options{})
	if err != nil {
		return err
	}
	ictx, enough := context.WithCancel(ctx)
	ended := make(chan error, 1)
	n.c.wg.Go(func() {
		ended <- est.Install(ictx, p, func(a leadership.Acceptance) {
			// What cannot be counted is missing from the account as well.
			_ = n.incoming.do(func(in *handover.Incoming) error { return in.Accept(a) })
		})
	})
	in, err := n.durable(ctx, t)
	if err == nil {
		err = est.Grant(ctx, in)
	}
	enough()
	if late := <-ended; err != nil {
		return errors.Join(err, late)
	}
	return nil
}

// proposed promises and waits for the proof that everything older is revoked.
func (n *node) proposed(ctx context.Context, t leadership.Term) (*leadership.Proposal, error) {
	if err := n.testify(ctx, t); err != nil {
		return nil, err
	}
	var p *leadership.Proposal
	err := n.until(ctx, func(in *handover.Incoming) (bool, error) {
		var err error
		p, err = in.Propose(t)
		var revoked *leadership.NotRevokedError
		var found *leadership.NotDiscoveredError
		return errors.As(err, &revoked) || errors.As(err, &found), err
	})
	var behind *handover.BehindError
	if !errors.As(err, &behind) {
		return p, err
	}
	for _, donor := range behind.Donors {
		if n.catchUp(ctx, t, hostOf(donor), behind.Selection) == nil {
			if err := n.testify(ctx, t); err != nil {
				return nil, err
			}
			n.incoming.mu.Lock()
			defer n.incoming.mu.Unlock()
			return n.incoming.in.Propose(t)
		}
	}
	return nil, errors.Join(errBehind, err)
}

// testify promises t and counts that.
func (n *node) testify(ctx context.Context, t leadership.Term) error {
	w, err := n.promise(ctx, t)
	if err != nil {
		return err
	}
	return n.incoming.do(func(in *handover.Incoming) error { return in.Hear(w) })
}

// durable waits for the proof that the marker is.
func (n *node) durable(ctx context.Context, t leadership.Term) (got *leadership.Installed, err error) {
	err = n.until(ctx, func(in *handover.Incoming) (bool, error) {
		var err error
		got, err = in.Installed(t)
		var short *leadership.NotDurableError
		return errors.As(err, &short), err
	})
	return got, err
}

// until asks again whenever something was added, for as long as f says that more
// would help.
func (n *node) until(ctx context.Context, f func(*handover.Incoming) (again bool, err error)) error {
	for {
		n.incoming.mu.Lock()
		again, err := f(n.incoming.in)
		n.incoming.mu.Unlock()
		if !again || err == nil {
			return err
		}
		select {
		case <-n.incoming.news:
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// carry answers what a leadership that has handed over had in flight: what a
// durable set acknowledged to it, and what its successor has completed. mu is
// held.
func (n *node) carry() {
	ls := n.handed
	if ls == nil {
		return
	}
	upTo := max(n.commit, n.reached(ls))
	for i, done := range ls.waiting {
		if i > upTo {
			continue
		}
		delete(ls.waiting, i)
		if i > len(n.log.entries) || n.log.entries[i-1].term != ls.own.Term {
			done <- leadership.ErrUnknownOutcome // another took its place
			continue
		}
		done <- nil
	}
	if len(ls.waiting) == 0 {
		n.handed = nil
	}
}
