package kv

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// The headers of the client protocol. Every answer of a member names the
// leadership it knows, so that routers learn of changes from any answer.
const (
	HeaderLeader = "Tenure-Leader"
	HeaderTerm   = "Tenure-Term"
	// HeaderRefusal carries a *leadership.Refusal in its text form, beside
	// status 503: the proof that the request was not executed.
	HeaderRefusal = "Tenure-Refusal"
	// HeaderOutcome is "unknown" beside status 504: the command may be, or
	// may yet be, executed.
	HeaderOutcome = "Tenure-Outcome"
	// HeaderClient and HeaderSeq number the commands of one client, which
	// sends them one after the other with rising numbers: a command that is
	// sent again is applied once.
	HeaderClient = "Tenure-Client"
	HeaderSeq    = "Tenure-Seq"
	// HeaderIndex is the place in the log of a command, or up to which a
	// read saw the log.
	HeaderIndex = "Tenure-Index"
)

// Handler returns the member's HTTP interface: /kv/{key} for clients, /readyz
// and /livez for balancers, /tenure/ for members and coordinators.
func (n *Node) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /kv/{key...}", n.serveClient(n.serveGet))
	mux.HandleFunc("PUT /kv/{key...}", n.serveClient(n.serveWrite(opPut)))
	mux.HandleFunc("DELETE /kv/{key...}", n.serveClient(n.serveWrite(opDelete)))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ls := n.leading(); ls == nil || !ls.granted.Load() || !n.gate.State().Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		if n.Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST "+pathAppend, n.serveAppend)
	mux.HandleFunc("POST "+pathPull, n.servePull)
	mux.HandleFunc("POST "+pathNode+"{call}", n.serveNode)
	return mux
}

// serveClient admits a client's request at the leader's gate, bounds it, and
// answers with the type of the error.
func (n *Node) serveClient(do func(context.Context, *leader, http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), n.cfg.RequestTimeout)
		defer cancel()
		err := func() error {
			ls := n.leading()
			if ls == nil || !ls.open.Load() {
				return n.refusal("not the leader")
			}
			tok, err := n.gate.Enter(lameduck.Single)
			if err != nil {
				return err
			}
			defer tok.Exit()
			return do(ctx, ls, w, r)
		}()
		if err != nil {
			n.fail(w, err)
		}
	}
}

// name tells the leadership that this member knows.
func (n *Node) name(h http.Header) {
	if src := n.store.acc.Status().Source; !src.IsZero() {
		h.Set(HeaderLeader, string(src.Leader))
		h.Set(HeaderTerm, src.Term.String())
	}
}

// errBad marks what a client should not have sent. Nothing was executed.
type errBad struct{ text string }

func (e *errBad) Error() string { return e.text }

func (n *Node) fail(w http.ResponseWriter, err error) {
	n.name(w.Header())
	var refusal *leadership.Refusal
	var bad *errBad
	code := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, leadership.ErrUnknownOutcome):
		w.Header().Set(HeaderOutcome, "unknown")
		code = http.StatusGatewayTimeout
	case errors.As(err, &bad):
		code = http.StatusBadRequest
	case errors.As(err, &refusal):
		if b, err := refusal.MarshalText(); err == nil {
			w.Header().Set(HeaderRefusal, string(b))
		}
	default: // a read that came to no answer: it had no effect
		code = http.StatusGatewayTimeout
	}
	http.Error(w, err.Error(), code)
}

func (n *Node) serveWrite(o op) func(context.Context, *leader, http.ResponseWriter, *http.Request) error {
	return func(ctx context.Context, ls *leader, w http.ResponseWriter, r *http.Request) error {
		c := command{op: o, key: r.PathValue("key"), client: r.Header.Get(HeaderClient)}
		if c.client != "" {
			seq, err := strconv.ParseUint(r.Header.Get(HeaderSeq), 10, 64)
			if err != nil || len(c.client) > 128 {
				return &errBad{"kv: " + HeaderClient + " goes with a number in " + HeaderSeq}
			}
			c.seq = seq
		}
		if o == opPut {
			var err error
			if c.value, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxValue)); err != nil {
				return &errBad{err.Error()}
			}
		}
		p := ls.propose(c.encode())
		select {
		case got := <-p.result:
			switch {
			case got.err != nil:
				return got.err
			case got.outcome == passed:
				// An earlier try of this command may have been applied.
				return &unknownError{"a later command of this client was applied already"}
			}
			n.name(w.Header())
			w.Header().Set(HeaderIndex, strconv.FormatUint(got.index, 10))
			w.WriteHeader(http.StatusNoContent)
			return nil
		case <-ctx.Done():
			return &unknownError{"it was not complete in time"}
		}
	}
}

// unknownError says why an outcome is unknown.
type unknownError struct{ why string }

func (e *unknownError) Error() string { return leadership.ErrUnknownOutcome.Error() + ": " + e.why }

func (e *unknownError) Unwrap() error { return leadership.ErrUnknownOutcome }

// serveGet reads linearizably: the answer is at least as new as everything
// that was complete when the request arrived, and the member was still the
// leader after that.
func (n *Node) serveGet(ctx context.Context, ls *leader, w http.ResponseWriter, r *http.Request) error {
	select {
	case <-ls.ready:
	case <-ls.ctx.Done():
		return n.refusal("the leadership has ended")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	index := n.commit.Load()
	if err := ls.confirm(ctx); err != nil {
		return err
	}
	// The round says that the others supported this leadership after the read
	// began; the bracket says it of this member itself. Without it, a leader
	// that has just stepped down would count as its own supporter.
	c, err := n.store.acc.Complete(ls.own.Term)
	if err != nil {
		return ls.refusal(err)
	}
	v, ok, at := n.machine.get(r.PathValue("key"))
	c.Done()
	if at < index {
		// The completer has moved the commit index and is about to apply. A
		// state newer than index is as good.
		if err := n.apply(); err != nil {
			return err
		}
		v, ok, at = n.machine.get(r.PathValue("key"))
	}
	n.name(w.Header())
	w.Header().Set(HeaderIndex, strconv.FormatUint(at, 10))
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return nil
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(v) // a client that has gone needs no answer
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
}

func reply(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

func (n *Node) serveAppend(w http.ResponseWriter, r *http.Request) {
	b, err := readBody(w, r)
	var req appendRequest
	if err == nil {
		req, err = decodeAppend(b)
	}
	var out appendReply
	if err == nil {
		out, err = n.accept(r.Context(), req)
	}
	out.Err = toWire(err)
	reply(w, out)
}

func (n *Node) servePull(w http.ResponseWriter, r *http.Request) {
	var pos leadership.Position
	b, err := readBody(w, r)
	if err == nil {
		err = pos.UnmarshalText(b)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write(n.donate(pos).encode())
}

// serveNode is the control protocol.
func (n *Node) serveNode(w http.ResponseWriter, r *http.Request) {
	var req nodeRequest
	b, err := readBody(w, r)
	if err == nil {
		err = json.Unmarshal(b, &req)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var out nodeReply
	ctx := r.Context()
	switch call := r.PathValue("call"); call {
	case "status":
		st, e := n.Status(ctx)
		out.Status, err = &st, e
	case "promise", "stepdown", "read":
		do := map[string]func(context.Context, leadership.Term) (leadership.Testimony, error){
			"promise": n.Promise, "stepdown": n.StepDown, "read": n.Read,
		}[call]
		t, e := do(ctx, req.Term)
		if err = e; !t.Term.IsZero() {
			out.Testimony = &t
		}
	case "drain":
		d, e := n.Drain(ctx, req.Term, time.Duration(req.For))
		out.Drained, err = &d, e
	case "follow":
		a, e := n.Follow(ctx, req.Term, req.Leader)
		out.Acceptance, err = &a, e
	case "install":
		if req.Marker == nil {
			http.Error(w, "kv: install without a marker", http.StatusBadRequest)
			return
		}
		a, e := n.Install(ctx, *req.Marker)
		out.Acceptance, err = &a, e
	case "grant":
		err = n.Grant(ctx, req.Term)
	case "catchup":
		var pos leadership.Position
		if req.Position != nil {
			pos = *req.Position
		}
		err = n.CatchUp(ctx, req.Term, req.Leader, pos)
	case "retire":
		if req.Retire == nil {
			http.Error(w, errMessage.Error(), http.StatusBadRequest)
			return
		}
		got, e := n.Retire(ctx, *req.Retire)
		if err = e; e == nil {
			out.Retired = &got
		}
	case "handover", "release", "takeover", "ask", "report":
		if out.Account, err = n.serveHandOver(ctx, call, req); errors.Is(err, errMessage) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	default:
		http.NotFound(w, r)
		return
	}
	out.Err = toWire(err)
	reply(w, out)
}
