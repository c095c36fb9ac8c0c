package kv

import (
	"context"
	"errors"
	"sync"

	"github.com/tenure-go/tenure/establish"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

// incoming is the candidate's side of hand-overs.
type incoming struct {
	mu sync.Mutex // guards Incoming; held for moments
	*handover.Incoming
	news chan struct{} // of capacity one: something was added
}

func (in *incoming) do(f func(*handover.Incoming) error) error {
	in.mu.Lock()
	err := f(in.Incoming)
	in.mu.Unlock()
	poke(in.news)
	return err
}

func (in *incoming) propose(t leadership.Term) (*leadership.Proposal, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.Propose(t)
}

func (in *incoming) installed(t leadership.Term) (*leadership.Installed, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.Installed(t)
}

// asked promises for a hand-over and tells its candidate.
func (n *Node) asked(ctx context.Context, a handover.Ask) error {
	if _, ok := n.cfg.Peers[a.To]; !ok {
		return &leadership.UnknownNodeError{Node: a.To}
	}
	w, err := n.Promise(ctx, a.Term)
	var stale *leadership.StaleTermError
	if errors.As(err, &stale) {
		w, err = leadership.Testimony{Node: n.cfg.ID, Term: stale.Promised, Kind: leadership.Refused}, nil
	}
	if err != nil {
		return err
	}
	return n.insist(ctx, a.To, func(r *Remote) error {
		_, err := r.call(ctx, "report", nodeRequest{Term: a.Term, Testimony: &w})
		return err
	})
}

// reported takes the testimony of another member.
func (n *Node) reported(t leadership.Term, w leadership.Testimony) error {
	return n.incoming.do(func(in *handover.Incoming) error {
		if w.Kind == leadership.Refused {
			in.Refuse(t, w.Node, w.Term)
			return nil
		}
		return in.Hear(w)
	})
}

// TakeOver implements handover.Successor.
func (n *Node) TakeOver(ctx context.Context, relay handover.Relay) (handover.Account, error) {
	return n.succeed(ctx, relay, true)
}

// succeed takes over, whether the coordinator brings the release, with all that the
// member is told, or the leader that has stepped down, and others report.
func (n *Node) succeed(ctx context.Context, relay handover.Relay, told bool) (handover.Account, error) {
	var tail pullReply
	if len(relay.Tail) > 0 {
		var err error
		if tail, err = decodePull(relay.Tail); err != nil {
			return handover.Account{}, errMessage
		}
	}
	if err := n.incoming.do(func(in *handover.Incoming) error { return in.TakeRelay(relay) }); err != nil {
		return handover.Account{}, err
	}
	r := relay.Release
	t := r.Baton.Term
	return n.share(ctx, &n.taking, t, func(ctx context.Context) (handover.Account, error) {
		ctx, cancel := context.WithTimeout(ctx, r.Baton.Within)
		defer cancel()
		err := n.takeOver(ctx, r, tail, told)
		if ls := n.leading(); err != nil && ls != nil && ls.own.Term == t {
			ls.unstage()
		}
		n.incoming.mu.Lock()
		defer n.incoming.mu.Unlock()
		a, told := n.incoming.Account(t)
		return a, errors.Join(err, told)
	})
}

// tookOver joins the take-over of a term, if it was begun.
func (n *Node) tookOver(ctx context.Context, t leadership.Term) (handover.Account, error) {
	n.mu.Lock()
	h := n.taking
	n.mu.Unlock()
	if h == nil || h.term != t {
		return handover.Account{}, errNoRelease
	}
	select {
	case <-h.done:
		return h.account, h.err
	case <-ctx.Done():
		return handover.Account{}, context.Cause(ctx)
	}
}

// errNoRelease proves nothing: it may still come.
var errNoRelease = errors.New("kv: no release of the term has come")

// takeOver is the candidate's half.
func (n *Node) takeOver(ctx context.Context, r handover.Release, tail pullReply, told bool) error {
	t := r.Baton.Term
	defer poke(n.incoming.news) // a later one may have been waiting beside this
	if len(tail.entries) > 0 {
		// What of it cannot be taken is fetched when all is proven.
		_ = n.take(ctx, t, *r.StepDown.Read, tail)
	}
	p, err := n.proposed(ctx, t, told)
	if err != nil {
		return err
	}
	followers := map[leadership.NodeID]establish.Follower{}
	for _, id := range p.Members() {
		if addr, ok := n.cfg.Peers[id]; ok && id != n.cfg.ID {
			followers[id] = NewRemote(id, addr, n.http)
		}
	}
	est, err := establish.NewProposal(map[leadership.NodeID]establish.Candidate{n.cfg.ID: staging{n}}, followers, establish.Options{Retry: backOff})
	if err != nil {
		return err
	}
	ictx, enough := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- est.Install(ictx, p, func(a leadership.Acceptance) {
			// What cannot be counted is missing from the account as well.
			_ = n.incoming.do(func(in *handover.Incoming) error { return in.Accept(a) })
		})
	}()
	in, err := n.durable(ctx, t, ended)
	if err == nil {
		err = est.Grant(ctx, in)
	}
	enough()
	if late := <-ended; err != nil {
		return errors.Join(err, late)
	}
	return nil
}

// durable waits for the proof that the marker is, and leaves in ended what it
// took from there.
func (n *Node) durable(ctx context.Context, t leadership.Term, ended chan error) (*leadership.Installed, error) {
	for {
		in, err := n.incoming.installed(t)
		var short *leadership.NotDurableError
		if err == nil || !errors.As(err, &short) {
			return in, err
		}
		select {
		case <-n.incoming.news:
		case failed := <-ended:
			ended <- failed
			return n.incoming.installed(t)
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		}
	}
}

// proposed promises and waits for the proof that everything older is revoked,
// unless it was told all already: then nobody else will testify.
func (n *Node) proposed(ctx context.Context, t leadership.Term, told bool) (*leadership.Proposal, error) {
	w, err := n.Promise(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := n.incoming.do(func(in *handover.Incoming) error { return in.Hear(w) }); err != nil {
		return nil, err
	}
	for {
		p, err := n.incoming.propose(t)
		var behind *handover.BehindError
		var super *leadership.SupersededError
		switch {
		case err == nil:
			return p, nil
		case errors.As(err, &behind):
			if err := n.level(ctx, t, behind); err != nil {
				return nil, err
			}
			continue
		case told, errors.As(err, &super), errors.As(err, new(*leadership.StaleTermError)), errors.Is(err, handover.ErrBegun):
			return nil, err
		}
		select {
		case <-n.incoming.news:
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		}
	}
}

// level fetches the selected log and testifies again.
func (n *Node) level(ctx context.Context, t leadership.Term, b *handover.BehindError) error {
	var errs []error
	for _, donor := range b.Donors {
		err := n.CatchUp(ctx, t, donor, b.Selection)
		if err == nil {
			w, err := n.Promise(ctx, t)
			if err != nil {
				return err
			}
			return n.incoming.do(func(in *handover.Incoming) error { return in.Hear(w) })
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, b)...)
}

// staging is the member as its own candidate: as soon as its marker is in its
// log it takes requests, which go behind the marker and complete after it.
type staging struct{ *Node }

func (s staging) Install(ctx context.Context, m leadership.Marker) (leadership.Acceptance, error) {
	a, err := s.Node.Install(ctx, m)
	if err != nil {
		return a, err
	}
	return a, s.stage(ctx, m.Term)
}

// stage opens the member to clients of the leadership of t ahead of its grant.
// Nothing is complete, and nothing read, before.
func (n *Node) stage(ctx context.Context, t leadership.Term) error {
	ls := n.leading()
	err := n.store.acc.Stage(ctx, t, func() bool {
		_, durable, _ := n.store.log.Mark(t)
		return durable && ls != nil && ls.own.Term == t
	})
	if err != nil {
		return err
	}
	if err := n.gate.Serve(t); err != nil {
		return err
	}
	ls.open.Store(true)
	return nil
}

// unstage closes a leadership whose grant is not to be expected: what it took
// would wait in vain, and is refused from now on. A coordinator may grant it yet.
func (ls *leader) unstage() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.granted.Load() {
		ls.open.Store(false)
	}
}

// serve opens a leadership that is granted, and reports whether it was already.
func (ls *leader) serve() (already bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.open.Store(true)
	return ls.granted.Swap(true)
}
