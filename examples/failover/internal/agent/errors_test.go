package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/agent"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
	"github.com/tenure-go/tenure/reparent/pgnode"
)

var hidden = strings.NewReplacer(token, "***")

type errWith string

func (e errWith) Error() string { return string(e) }

// refuses and partial are of types that the other side does not know.
type refuses struct{ error }

func (refuses) NotExecuted() bool { return true }

type partial struct{ error }

func (p partial) Unwrap() error   { return p.error }
func (partial) NotExecuted() bool { return false }

func TestEveryErrorProvesOnTheOtherSideWhatItProvedHere(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	c := r.client()
	t6 := leadership.Term{Num: 6, Proposer: "other"}
	l := leadership.Leadership{Leader: "n2", Term: t6}
	stale := &leadership.StaleTermError{Node: "n1", Asked: t5, Promised: t6}
	deep := error(stale)
	for range 30 {
		deep = fmt.Errorf("x: %w", deep)
	}
	many := make([]error, 40)
	for i := range many {
		many[i] = stale
	}
	at, of := position(t, 1), position(t, 2)
	for _, k := range []struct {
		name string
		err  error
		// as are errors that must be found in it, whole; is likewise.
		as   []error
		is   []error
		want bool // is it a proof?
	}{
		{"stale term", stale, []error{stale}, nil, true},
		{"stale term, wrapped twice", fmt.Errorf("pgnode: n1: %w", fmt.Errorf("x: %w", stale)), []error{stale}, nil, true},
		{"stale term behind a partial failure", partial{stale}, []error{stale}, nil, false},
		{"a proof and none", errors.Join(stale, errors.New("disk full")), []error{stale}, nil, false},
		{"two proofs", errors.Join(stale, refuses{errors.New("no")}), []error{stale}, nil, true},
		{"a refusal after a call that may have happened", fmt.Errorf("%w (after %w)", stale, leadership.ErrUnknownOutcome), []error{stale}, []error{leadership.ErrUnknownOutcome}, false},
		{"a refusal of a type of its own", refuses{errors.New("no")}, nil, nil, true},
		{"anything", errors.New("disk full"), nil, nil, false},
		{"too deep", deep, nil, nil, false},
		{"too many", errors.Join(many...), []error{stale}, nil, false},
		{"unknown outcome", leadership.ErrUnknownOutcome, nil, []error{leadership.ErrUnknownOutcome}, false},
		{"the end of a context", fmt.Errorf("wait: %w", context.DeadlineExceeded), nil, []error{context.DeadlineExceeded}, false},
		{"cancelled", fmt.Errorf("wait: %w", context.Canceled), nil, []error{context.Canceled}, false},
		{"ended before anything was touched", &acceptor.CanceledError{Err: context.DeadlineExceeded}, []error{&acceptor.CanceledError{Err: context.DeadlineExceeded}}, []error{context.DeadlineExceeded}, true},
		{"incarnation", &leadership.IncarnationError{Node: "n1", Want: "a", Got: "b"}, []error{&leadership.IncarnationError{Node: "n1", Want: "a", Got: "b"}}, nil, false},
		{"diverged", &leadership.DivergedError{Positions: []leadership.NodePosition{{Node: "n1", Position: at}}}, []error{&leadership.DivergedError{Positions: []leadership.NodePosition{{Node: "n1", Position: at}}}}, nil, false},
		{"not an ancestor", &pgnode.NotAncestorError{Node: "n1", Leader: l, At: at, Of: of}, []error{&pgnode.NotAncestorError{Node: "n1", Leader: l, At: at, Of: of}}, nil, false},
		{"below its floor", &pgnode.RebuildError{Node: "n1", From: l}, []error{&pgnode.RebuildError{Node: "n1", From: l}}, nil, false},
		{"what the server said", &pgnode.ServerError{Node: "n1", What: "promote", Err: &pgconn.PgError{Severity: "FATAL", Code: "53300", Message: "too many"}}, []error{&pgconn.PgError{Severity: "FATAL", Code: "53300", Message: "too many"}}, nil, false},
		{"a server that a higher term ended on its way", &pgnode.ServerError{Node: "n1", What: "promote", Err: stale}, []error{&pgnode.ServerError{Node: "n1", What: "promote", Err: stale}}, nil, false},
		{"a server without a cause", &pgnode.ServerError{Node: "n1", What: "promote"}, []error{&pgnode.ServerError{Node: "n1", What: "promote"}}, nil, false},
		{"a server that refused its agent", &pgnode.ServerError{Node: "n1", What: "status", Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, nil, []error{syscall.ECONNREFUSED}, false},
		{"unreplicated", &pgnode.UnreplicatedError{}, []error{&pgnode.UnreplicatedError{}}, []error{leadership.ErrUnknownOutcome}, false},
		{"exists", &acceptor.ExistsError{Record: acceptor.State{Node: "n1", Incarnation: "i", Promised: t5, Floor: at}}, []error{&acceptor.ExistsError{Record: acceptor.State{Node: "n1", Incarnation: "i", Promised: t5, Floor: at}}}, nil, true},
		{"no record", &acceptor.NoRecordError{Node: "n1", Incarnation: "i"}, []error{&acceptor.NoRecordError{Node: "n1", Incarnation: "i"}}, nil, true},
		{"two leaders", &acceptor.TwoLeadersError{Node: "n1", Have: l, Got: l}, []error{&acceptor.TwoLeadersError{Node: "n1", Have: l, Got: l}}, nil, true},
		{"gate", &acceptor.GateError{Node: "n1", Promised: t6, Accepts: l, Leads: t5, Changing: true}, []error{&acceptor.GateError{Node: "n1", Promised: t6, Accepts: l, Leads: t5, Changing: true}}, nil, true},
		{"argument", &acceptor.ArgumentError{Name: "n", Reason: "r"}, []error{&acceptor.ArgumentError{Name: "n", Reason: "r"}}, nil, true},
		{"unsettled", &acceptor.UnsettledError{Node: "n1", Term: t5, Err: stale}, []error{&acceptor.UnsettledError{Node: "n1", Term: t5, Err: stale}}, []error{leadership.ErrUnknownOutcome}, false},
		{"unconfirmed", &acceptor.UnconfirmedError{Node: "n1", Leadership: l}, []error{&acceptor.UnconfirmedError{Node: "n1", Leadership: l}}, []error{leadership.ErrUnknownOutcome}, false},
		{"pending", &acceptor.PendingError{Node: "n1", Asked: t5, Err: context.Canceled}, []error{&acceptor.PendingError{Node: "n1", Asked: t5, Err: context.Canceled}}, nil, true},
		{"unenforceable", &leadership.UnenforceablePolicyError{Node: "n1", Policy: "p", Err: context.Canceled}, []error{&leadership.UnenforceablePolicyError{Node: "n1", Policy: "p", Err: context.Canceled}}, nil, false},
		{"ineligible", &leadership.IneligibleError{Node: "n1", Reason: "r"}, []error{&leadership.IneligibleError{Node: "n1", Reason: "r"}}, nil, false},
		{"unknown node", &leadership.UnknownNodeError{Node: "n9"}, []error{&leadership.UnknownNodeError{Node: "n9"}}, nil, false},
		{"not ready", &leadership.NotReadyError{Node: "n1", Reason: "r"}, []error{&leadership.NotReadyError{Node: "n1", Reason: "r"}}, nil, false},
		{"corrupt", &leadership.CorruptError{Path: "p", Reason: "r"}, []error{&leadership.CorruptError{Path: "p", Reason: "r"}}, nil, false},
		{"superseded", &leadership.SupersededError{Term: t5, By: t6}, []error{&leadership.SupersededError{Term: t5, By: t6}}, nil, false},
		{"text", &leadership.TextError{What: "w", Text: "t", Reason: "r"}, []error{&leadership.TextError{What: "w", Text: "t", Reason: "r"}}, nil, false},
		{"not set up", &agent.NotSetUpError{Node: "n1"}, []error{&agent.NotSetUpError{Node: "n1"}}, nil, true},
	} {
		r.node.says(func(context.Context, leadership.Term) (leadership.Testimony, error) {
			return leadership.Testimony{}, k.err
		})
		_, err := c.Promise(t.Context(), t5)
		require.Error(t, err, k.name)
		if k.name != "too deep" && k.name != "too many" {
			require.Equal(t, leadership.NotExecuted(k.err), k.want, "%s: the table is wrong", k.name)
		}
		require.Equal(t, k.want, leadership.NotExecuted(err), "%s: %v", k.name, err)
		require.Equal(t, k.err.Error(), err.Error(), k.name)
		for _, want := range k.as {
			require.True(t, holds(err, want), "%s: %#v is not in %#v", k.name, want, err)
		}
		for _, want := range k.is {
			require.ErrorIs(t, err, want, k.name)
		}
		require.NotErrorIs(t, err, io.EOF)
	}
	// The block may hold beside an error.
	r.node.says(func(context.Context, leadership.Term) (leadership.Testimony, error) {
		return leadership.Testimony{Node: "n1", Term: t5, Kind: leadership.Promised}, &acceptor.ReadError{Node: "n1", Term: t5, Err: context.Canceled}
	})
	tm, err := c.Promise(t.Context(), t5)
	require.ErrorAs(t, err, new(*acceptor.ReadError))
	require.False(t, leadership.NotExecuted(err))
	require.Equal(t, leadership.Testimony{Node: "n1", Term: t5, Kind: leadership.Promised}, tm)
}

// holds looks for an error in another's tree.
func holds(err, want error) bool {
	if assert.ObjectsAreEqual(want, err) {
		return true
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return u.Unwrap() != nil && holds(u.Unwrap(), want)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(u.Unwrap(), func(e error) bool { return holds(e, want) })
	}
	return false
}

func TestWhatAnAgentClaimsAndDoesNotShowProvesNothing(t *testing.T) {
	t.Parallel()
	head := `"version":1,"cluster":"orders","node":"n1","call":"promise","term":"5.tool"`
	nested := strings.Repeat(`{"code":"wrap","text":"w","notExecuted":true,"causes":[`, 40) + `{"code":"refused","text":"r","notExecuted":true}` + strings.Repeat("]}", 40)
	for _, k := range []struct {
		name, body string
		code       int
		unknown    bool // an outcome that is not known, for there was no answer
	}{
		{"a code of the future", `{` + head + `,"error":{"code":"promised-not","text":"x","notExecuted":true}}`, 200, false},
		{"no code", `{` + head + `,"error":{"text":"x","notExecuted":true}}`, 200, false},
		{"a proof that the sender takes back", `{` + head + `,"error":{"code":"staleTerm","text":"x","data":{"Node":"n1"}}}`, 200, false},
		{"a proof without its data", `{` + head + `,"error":{"code":"staleTerm","text":"x","notExecuted":true}}`, 200, false},
		{"a proof with the data of another", `{` + head + `,"error":{"code":"gate","text":"x","notExecuted":true,"data":[1]}}`, 200, false},
		{"a wrapper of nothing", `{` + head + `,"error":{"code":"wrap","text":"x","notExecuted":true}}`, 200, false},
		{"a wrapper of less", `{` + head + `,"error":{"code":"wrap","text":"x","notExecuted":true,"causes":[{"code":"failed","text":"y","notExecuted":true}]}}`, 200, false},
		{"a wrapper of nil", `{` + head + `,"error":{"code":"wrap","text":"x","notExecuted":true,"causes":[null]}}`, 200, false},
		{"what failed", `{` + head + `,"error":{"code":"failed","text":"x","notExecuted":true}}`, 200, false},
		{"a refusal that is none", `{` + head + `,"error":{"code":"refused","text":"x"}}`, 200, false},
		{"too deep", `{` + head + `,"error":` + nested + `}`, 200, false},
		{"no testimony", `{` + head + `}`, 200, true},
		{"a testimony of another node", `{` + head + `,"testimony":{"node":"n2","term":"5.tool","kind":"promised","led":"0"}}`, 200, true},
		{"a position that cannot be read", `{` + head + `,"testimony":{"node":"n1","term":"5.tool","kind":"promised","led":"0","read":"5.tool@pg:nonsense"}}`, 200, true},
		{"another cluster", strings.Replace(`{`+head+`,"error":{"code":"refused","text":"x","notExecuted":true}}`, "orders", "other", 1), 200, true},
		{"another node", strings.Replace(`{`+head+`,"error":{"code":"refused","text":"x","notExecuted":true}}`, `"n1"`, `"n2"`, 1), 200, true},
		{"another call", strings.Replace(`{`+head+`,"error":{"code":"refused","text":"x","notExecuted":true}}`, `"promise"`, `"status"`, 1), 200, true},
		{"another term", strings.Replace(`{`+head+`,"error":{"code":"refused","text":"x","notExecuted":true}}`, "5.tool", "4.tool", 1), 200, true},
		{"another version", strings.Replace(`{`+head+`,"error":{"code":"refused","text":"x","notExecuted":true}}`, `"version":1`, `"version":2`, 1), 200, true},
		{"a refusal by another version", `{"version":2,"cluster":"","node":"","call":"","term":"0","error":{"code":"agentRefused","text":"x","notExecuted":true,"data":{"node":"n1","reason":"r"}}}`, 403, true},
		{"a field that is not known", `{` + head + `,"butNotReally":true,"error":{"code":"refused","text":"x","notExecuted":true}}`, 200, true},
		{"more than one document", `{` + head + `,"error":{"code":"refused","text":"x","notExecuted":true}}{}`, 200, true},
		{"half an answer", `{` + head, 200, true},
		{"nothing", ``, 200, true},
		{"a page", `<html>forbidden</html>`, 403, true},
		{"a failure", `{` + head + `,"error":{"code":"refused","text":"x","notExecuted":true}}`, 500, true},
		{"a redirect", `{` + head + `,"error":{"code":"refused","text":"x","notExecuted":true}}`, 307, true},
		{"too large", `{` + head + `,"error":{"code":"refused","text":"` + strings.Repeat("x", 5<<20) + `","notExecuted":true}}`, 200, true},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(k.code)
				_, _ = io.WriteString(w, k.body)
			}))
			c, err := agent.NewClient(agent.ClientConfig{Cluster: "orders", Node: "n1", URL: s.URL, Token: token})
			require.NoError(t, err)
			_, err = c.Promise(t.Context(), t5)
			require.Error(t, err)
			require.False(t, leadership.NotExecuted(err), "%v", err)
			require.Equal(t, k.unknown, errors.Is(err, leadership.ErrUnknownOutcome), "%v", err)
			require.NoError(t, c.Close())
			s.Close()
			require.Equal(t, 1, asked, "a call is made once")
		})
	}
	// The same answer, when it is right, is a proof.
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{`+head+`,"error":{"code":"wrap","text":"w","notExecuted":true,"causes":[{"code":"refused","text":"x","notExecuted":true}]}}`)
	}))
	defer s.Close()
	c, err := agent.NewClient(agent.ClientConfig{Cluster: "orders", Node: "n1", URL: s.URL, Token: token})
	require.NoError(t, err)
	_, err = c.Promise(t.Context(), t5)
	require.True(t, leadership.NotExecuted(err), "%v", err)
}

func FuzzWhatAnAgentAnswersIsNeverTakenForMoreThanItIs(f *testing.F) {
	f.Add(`{"code":"wrap","text":"w","notExecuted":true,"causes":[{"code":"staleTerm","text":"x","notExecuted":true,"data":{"Node":"n1","Asked":"1.a","Promised":"2.a"}}]}`)
	f.Add(`{"code":"server","text":"w","causes":[{"code":"refused","notExecuted":true}]}`)
	f.Add(`{"code":"diverged","data":{"Positions":[{"node":"n1","position":"5.tool@pg:x"}]}}`)
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) {
			t.Skip()
		}
		err := agent.DecodeForTest([]byte(s))
		if err == nil {
			return
		}
		if !strings.Contains(s, "notExecuted") && !strings.Contains(strings.ToLower(s), "notexecuted") && leadership.NotExecuted(err) {
			t.Fatalf("%s became a proof: %v", s, err)
		}
		_ = err.Error()
	})
}
