package handover_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent/handover"
)

var (
	t1 = leadership.Term{Num: 1, Proposer: "c"}
	t2 = leadership.Term{Num: 2, Proposer: "c"}
	t3 = leadership.Term{Num: 3, Proposer: "c"}
)

// at is the position of a log of n entries of term t1.
func at(n uint64) *leadership.Position {
	return &leadership.Position{Term: t1, Point: leadership.LogPoint{Index: n, Eras: []leadership.Era{{Term: t1, First: 1}}}}
}

func majority(t testing.TB, n int) leadership.Ruleset {
	var nodes []leadership.Node
	for i := range n {
		nodes = append(nodes, leadership.Node{ID: leadership.NodeID(fmt.Sprintf("n%d", i+1))})
	}
	rs, err := leadership.NewRuleset(leadership.Majority(), nodes...)
	require.NoError(t, err)
	return rs
}

// baton is from n1 to n2, of n members.
func baton(t testing.TB, n int) handover.Baton {
	return handover.Baton{
		Term: t2, From: "n1", To: "n2", Mode: leadership.Full,
		Rulesets: []leadership.Ruleset{majority(t, n)}, Within: time.Second,
	}
}

func promised(id leadership.NodeID, t leadership.Term, read *leadership.Position) leadership.Testimony {
	return leadership.Testimony{Node: id, Incarnation: "d1", Term: t, Kind: leadership.Promised, Read: read}
}

func stepDown(read *leadership.Position) leadership.Testimony {
	w := promised("n1", t2, read)
	w.Kind, w.Led = leadership.Demoted, t1
	return w
}

func release(t testing.TB, b handover.Baton, read *leadership.Position) handover.Release {
	r, err := b.Release(stepDown(read))
	require.NoError(t, err)
	return r
}

func accepted(id leadership.NodeID) leadership.Acceptance {
	return leadership.Acceptance{Node: id, Incarnation: "d1", Term: t2, Leader: "n2"}
}

func incoming(t testing.TB) *handover.Incoming {
	in, err := handover.NewIncoming("n2", nil)
	require.NoError(t, err)
	return in
}

// ready is a candidate of three that may propose.
func ready(t testing.TB) *handover.Incoming {
	in := incoming(t)
	require.NoError(t, in.Take(release(t, baton(t, 3), at(5))))
	require.NoError(t, in.Hear(promised("n2", t2, at(5))))
	return in
}

func wantAs[E error](t testing.TB, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a %T", err, err, e)
	}
	return e
}
