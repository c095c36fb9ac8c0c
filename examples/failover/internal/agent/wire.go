package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
	"github.com/tenure-go/tenure/revoke"
)

// version is that of the wire. An agent takes no call of another.
const version = 1

// Bounds of one message.
const (
	maxRequest = 1 << 20
	maxReply   = 4 << 20
)

const pathCalls = "/tenure/agent/" // + the call

// The calls.
const (
	callStatus   = "status"
	callPulse    = "pulse"
	callDoctor   = "doctor"
	callSetup    = "setup"
	callPromise  = "promise"
	callRead     = "read"
	callDrain    = "drain"
	callStepDown = "step-down"
	callCatchUp  = "catch-up"
	callInstall  = "install"
	callGrant    = "grant"
	callFollow   = "follow"
	callRepair   = "repair"
)

// header is whose call, or answer, it is.
type header struct {
	Version int               `json:"version"`
	Cluster string            `json:"cluster"`
	Node    leadership.NodeID `json:"node"`
	Call    string            `json:"call"`
	// Term is zero for calls that have none: status, pulse, doctor and setup.
	Term leadership.Term `json:"term"`
}

// request is one call.
type request struct {
	header
	// Within is for how long the caller waits, 0 for as long as the connection is
	// there. It is a duration, since the clocks of two machines differ.
	Within time.Duration `json:"within,omitempty"`

	Leader   leadership.NodeID    `json:"leader,omitempty"` // of follow; the donor of catch-up and repair
	Marker   *leadership.Marker   `json:"marker,omitempty"`
	Position *leadership.Position `json:"position,omitempty"`
	For      time.Duration        `json:"for,omitempty"` // of drain
}

// reply is the answer. There may be a result beside an error: a promise holds whose
// position could not be read, a doctor found something and could not read the rest.
type reply struct {
	header
	Testimony  *leadership.Testimony  `json:"testimony,omitempty"`
	Acceptance *leadership.Acceptance `json:"acceptance,omitempty"`
	Drained    *revoke.Drained        `json:"drained,omitempty"`
	Status     *leadership.Status     `json:"status,omitempty"`
	Pulse      *Pulse                 `json:"pulse,omitempty"`
	Findings   []reparent.Finding     `json:"findings,omitempty"`
	Err        *wireError             `json:"error,omitempty"`
}

// positions are those of a reply.
func (r *reply) positions() []*leadership.Position {
	var ps []*leadership.Position
	if t := r.Testimony; t != nil && t.Read != nil {
		ps = append(ps, t.Read)
	}
	if r.Acceptance != nil {
		ps = append(ps, &r.Acceptance.Position)
	}
	if r.Status != nil {
		ps = append(ps, &r.Status.Position)
	}
	return ps
}

// of reports whose reply it is; every part says so for itself.
func (r *reply) of(id leadership.NodeID) bool {
	return (r.Testimony == nil || r.Testimony.Node == id) && (r.Acceptance == nil || r.Acceptance.Node == id) &&
		(r.Status == nil || r.Status.Node == id)
}

// readAll reads up to so many bytes, and no part of more.
func readAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = errTooLarge
	}
	return b, err
}

// unmarshal reads one JSON document without a field that is not known: what is not
// understood may be what matters.
func unmarshal(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}
