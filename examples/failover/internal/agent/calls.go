package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/revoke"
)

// looks reports whether the call changes nothing.
func (r request) looks() bool {
	return r.Call == callStatus || r.Call == callPulse || r.Call == callDoctor
}

// check refuses a call without what it needs.
func (r *request) check(c codec) error {
	want := func(ok bool, what string) error {
		if !ok {
			return fmt.Errorf("%s needs %s", r.Call, what)
		}
		return nil
	}
	switch r.Call {
	case callStatus, callPulse, callDoctor, callSetup:
		return want(r.Term.IsZero(), "no term")
	case callPromise, callRead, callDrain, callStepDown, callGrant:
		return r.Term.Validate()
	case callFollow, callRepair:
		return errors.Join(r.Term.Validate(), r.Leader.Validate())
	case callInstall:
		return errors.Join(r.Term.Validate(), want(r.Marker != nil && r.Marker.Term == r.Term, "a marker of its term"))
	case callCatchUp:
		err := errors.Join(r.Leader.Validate(), want(r.Position != nil, "a position"))
		if err == nil {
			err = c.positions(r.Position)
		}
		return err
	}
	return fmt.Errorf("there is no call %q", r.Call)
}

// do makes the call.
func (s *Server) do(ctx context.Context, in request) (out reply, err error) {
	l, err := s.node()
	if err != nil {
		// Nobody was asked for anything.
		return out, &RefusedError{Node: s.cfg.Node, Reason: "its node cannot be opened: " + s.codec.clip(err.Error())}
	}
	n := l.Node
	none := &RefusedError{Node: s.cfg.Node, Reason: "its node cannot " + in.Call}
	testimony := func(t leadership.Testimony, err error) error {
		if err == nil || t.Node != "" {
			out.Testimony = &t
		}
		return err
	}
	acceptance := func(a leadership.Acceptance, err error) error {
		if err == nil {
			out.Acceptance = &a
		}
		return err
	}
	switch in.Call {
	case callStatus:
		st, err := n.Status.Status(ctx)
		if err != nil {
			return out, err
		}
		st.Degraded = s.codec.clip(st.Degraded)
		out.Status = &st
		return out, nil
	case callPulse:
		if l.Pulse == nil {
			return out, none
		}
		p, err := l.Pulse(ctx)
		out.Pulse = &p
		return out, err
	case callDoctor:
		if l.Doctor == nil {
			return out, &NotSetUpError{Node: s.cfg.Node}
		}
		fs, err := l.Doctor(ctx)
		for _, f := range fs {
			f.Subject, f.Risk, f.Remedy = s.codec.clip(f.Subject), s.codec.clip(f.Risk), s.codec.clip(f.Remedy)
			out.Findings = append(out.Findings, f)
		}
		return out, err
	case callSetup:
		if l.Setup == nil {
			return out, none
		}
		return out, l.Setup(ctx)
	case callPromise:
		return out, testimony(n.Promise.Promise(ctx, in.Term))
	case callRead:
		r, ok := n.Promise.(revoke.Reader)
		if !ok {
			return out, none
		}
		return out, testimony(r.Read(ctx, in.Term))
	case callDrain:
		if n.StepDown == nil {
			return out, none
		}
		d, err := n.StepDown.Drain(ctx, in.Term, in.For)
		out.Drained = &d
		return out, err
	case callStepDown:
		if n.StepDown == nil {
			return out, none
		}
		return out, testimony(n.StepDown.StepDown(ctx, in.Term))
	case callFollow:
		if n.Follow == nil {
			return out, none
		}
		return out, acceptance(n.Follow.Follow(ctx, in.Term, in.Leader))
	case callRepair:
		if n.Repair == nil {
			return out, none
		}
		return out, n.Repair.Repair(ctx, in.Term, in.Leader)
	}
	if n.Candidate == nil {
		return out, none
	}
	switch in.Call {
	case callInstall:
		return out, acceptance(n.Candidate.Install(ctx, *in.Marker))
	case callGrant:
		return out, n.Candidate.Grant(ctx, in.Term)
	}
	return out, n.Candidate.CatchUp(ctx, in.Term, in.Leader, *in.Position)
}
