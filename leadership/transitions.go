package leadership

import (
	"fmt"
	"slices"
)

// Create returns the first record of a cluster. It returns a
// *TransitionError when a record exists already, the cluster has no name, the
// mode is unknown, or rs is given and cannot be used.
func (r Record) Create(cluster string, mode Mode, rs Ruleset) (Record, error) {
	const step = "create the record"
	switch {
	case r.Version != 0:
		return r, &TransitionError{step, "cluster " + r.Cluster + " exists already"}
	case cluster == "":
		return r, &TransitionError{step, "the cluster has no name"}
	}
	if mode == "" {
		mode = Full
	}
	return r.checked(Record{Cluster: cluster, Mode: mode, Ruleset: rs.clone()})
}

// Begin announces an attempt: Fence becomes i.Term and the intent is recorded
// with its phase (Preparing unless it says Holding); that of a KindRuleset is
// noted as Drafted, too. It returns a
// *SupersededError when the fence is at or above i.Term, a *BusyError when
// another change is under way and force is false, or a *TermError. Beginning
// again what is begun changes nothing, so that a write whose outcome was
// unknown is settled by doing it again.
func (r Record) Begin(i Intent, force bool) (Record, error) {
	if err := i.Term.Validate(); err != nil {
		return r, err
	}
	if i.Phase == Cleared {
		i.Phase = Preparing
	}
	if r.Intent.Term == i.Term && r.Fence == i.Term && r.Intent.By == i.By && r.Intent.Phase != Cleared {
		return r, nil
	}
	if i.Term.Compare(r.Fence) <= 0 {
		return r, &SupersededError{Term: i.Term, By: r.Fence}
	}
	if r.Intent.Phase != Cleared && !force {
		return r, &BusyError{Intent: r.Intent}
	}
	n := r.clone()
	n.Fence, n.Intent = i.Term, i
	if i.Kind == KindRuleset {
		n.Drafted = i.Term
	}
	return r.checked(n)
}

// checked returns next if it is valid, else r as it is.
func (r Record) checked(next Record) (Record, error) {
	if err := next.Validate(); err != nil {
		return r, err
	}
	return next, nil
}

// Advance moves the intent of term t to Holding. A router that loads the
// record from here on holds. It returns a *SupersededError when another attempt
// has begun, a *TransitionError when no intent of t is recorded.
func (r Record) Advance(t Term) (Record, error) {
	if err := r.mine(t, "advance"); err != nil {
		return r, err
	}
	n := r.clone()
	n.Intent.Phase = Holding
	return n, nil
}

// mine returns nil when term t is the newest attempt and its intent stands.
func (r Record) mine(t Term, step string) error {
	switch {
	case t.Less(r.Fence):
		return &SupersededError{Term: t, By: r.Fence}
	case r.Intent.Term != t || r.Intent.Phase == Cleared:
		return &TransitionError{step, "no intent of term " + t.String() + " is recorded"}
	}
	return nil
}

// Activate records that in is established: its marker is durable under every
// ruleset in force. Only an Installed can be activated, and one that was
// minted: that is the order "install durably, then activate, then grant". In
// Shortcut mode both its neighbours break: activated before it is durable, a change
// that asks the recorded leader only may miss the log; granted before it is
// activated, one may revoke the wrong leader and make two. In Full mode every
// change tests all potential leaders whatever the record says, so the order there is
// for routers and calm, and a grant may come first: while the registry is down, and
// in a change that the leader leads itself.
//
// It returns a *SupersededError when a newer attempt was announced, and in
// Shortcut mode when in's term is not the one the fence stands at. In Full
// mode an attempt that began while the registry was down may raise the fence.
// Activating the active leadership again changes nothing.
func (r Record) Activate(in *Installed) (Record, error) {
	if in == nil || in.proposal == nil {
		return r, ErrNotMinted
	}
	l := in.Leadership()
	switch {
	case r.Active == l:
		return r, nil
	case l.Term.Less(r.Fence):
		return r, &SupersededError{Term: l.Term, By: r.Fence}
	case r.Mode == Shortcut && r.Fence != l.Term:
		return r, &TransitionError{"activate " + l.String(), "in shortcut mode the attempt must have begun in the registry; its fence is at " + r.Fence.String()}
	case !r.Active.Term.Less(l.Term):
		return r, &TransitionError{"activate " + l.String(), "term " + r.Active.Term.String() + " is active already"}
	}
	n := r.clone()
	n.Fence, n.Active, n.Ruleset, n.Drafted = l.Term, l, in.Marker().Ruleset, Term{}
	return r.checked(n)
}

// Granted is Activate for a leadership that was granted while the record could not
// be written, in Full mode. An attempt that announced itself since does not end it:
// it may have come to nothing, and then the record would name a leader that is none.
// It returns a *SupersededError when a newer leadership is active; else as Activate.
func (r Record) Granted(in *Installed) (Record, error) {
	if in == nil || in.proposal == nil || r.Mode != Full {
		return r.Activate(in)
	}
	l := in.Leadership()
	switch {
	case l.Term.Less(r.Active.Term):
		return r, &SupersededError{Term: l.Term, By: r.Active.Term}
	case l.Term == r.Active.Term, !l.Term.Less(r.Fence):
		return r.Activate(in)
	}
	n := r.clone()
	n.Active, n.Ruleset = l, in.Marker().Ruleset
	if !l.Term.Less(n.Drafted) { // a change that began since may have come further
		n.Drafted = Term{}
	}
	return r.checked(n)
}

// Route sends clients to the active leadership l at addr, and ends its intent
// and those below it. It returns a *SupersededError when a newer leadership is
// active, a *TransitionError when l is not the active one. Only the term decides:
// a route never goes back.
func (r Record) Route(l Leadership, addr string) (Record, error) {
	switch {
	case l.Term.Less(r.Active.Term):
		return r, &SupersededError{Term: l.Term, By: r.Active.Term}
	case r.Active != l || l.IsZero():
		return r, &TransitionError{"route " + l.String(), "active is " + r.Active.String()}
	}
	n := r.clone()
	n.Routed, n.Addr = l, addr
	if n.Intent.Term.Compare(l.Term) <= 0 {
		n.Intent = Intent{}
	}
	return n, nil
}

// Abandon ends the intent of term t: nothing was promised under it, or
// someone leads again. The fence stays. Abandoning what is not there changes
// nothing; it never touches another's intent.
func (r Record) Abandon(t Term) Record {
	if r.Intent.Term != t || r.Intent.Phase == Cleared {
		return r
	}
	n := r.clone()
	n.Intent = Intent{}
	return n
}

// Hold records an isolation before it is made. It returns a *SupersededError
// when a newer attempt was announced, or isolated the node: a resumed coordinator
// must not shoot the new leader, nor make a lower promise enough to let a node go
// that the newer attempt counts as blocked; a *NodeIDError or a *TermError.
func (r Record) Hold(h Isolation) (Record, error) {
	if err := h.Node.Validate(); err != nil {
		return r, err
	}
	if err := h.Term.Validate(); err != nil {
		return r, err
	}
	if h.Term.Less(r.Fence) {
		return r, &SupersededError{Term: h.Term, By: r.Fence}
	}
	for _, o := range r.Held {
		if o.Node == h.Node && h.Term.Less(o.Term) {
			return r, &SupersededError{Term: h.Term, By: o.Term}
		}
	}
	n := r.clone()
	n.Held = append(slices.DeleteFunc(n.Held, func(o Isolation) bool { return o.Node == h.Node }), h)
	return n, nil
}

// Release removes the hold on a node that was converted. The testimony must be a
// stable promise of that node at or above the newest established term and the
// term it was isolated for, whose attempt may be counting on it still; else it is
// a *TransitionError, since a node let go without it is a second leader as soon
// as one follower never heard of the new term.
func (r Record) Release(t Testimony) (Record, error) {
	step := "release " + string(t.Node)
	if !t.Kind.stable() || t.Held {
		return r, &TransitionError{step, "it is not converted: its testimony is " + t.Kind.String() + ", not a promise"}
	}
	if t.Term.Less(r.Active.Term) {
		return r, &TransitionError{step, fmt.Sprintf("it promised %s, below the active term %s", t.Term, r.Active.Term)}
	}
	for _, h := range r.Held {
		if h.Node == t.Node && t.Term.Less(h.Term) {
			return r, &TransitionError{step, fmt.Sprintf("it promised %s, below the term %s that isolated it", t.Term, h.Term)}
		}
	}
	n := r.clone()
	n.Held = slices.DeleteFunc(n.Held, func(o Isolation) bool { return o.Node == t.Node })
	return n, nil
}

// Bar records that an incarnation of a node was declared gone, in place of what
// was recorded of it at a lower term; one of a higher term stands. It returns a
// *NodeIDError or a *TermError.
func (r Record) Bar(b Bar) (Record, error) {
	if err := b.Node.Validate(); err != nil {
		return r, err
	}
	if err := b.Term.Validate(); err != nil {
		return r, err // it would bar nothing
	}
	for _, o := range r.Barred {
		if o.Node == b.Node && o.Incarnation == b.Incarnation && b.Term.Less(o.Term) {
			return r, nil
		}
	}
	n := r.clone()
	n.Barred = append(slices.DeleteFunc(n.Barred, func(o Bar) bool {
		return o.Node == b.Node && o.Incarnation == b.Incarnation
	}), b)
	return n, nil
}
