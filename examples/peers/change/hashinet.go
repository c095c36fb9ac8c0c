package change

import (
	"errors"
	"io"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/tenure-go/tenure/leadership"
)

var errCallTimeout = errors.New("change: the call was not answered in time")

// hashiTransport carries the messages of hashicorp/raft over the wire, in
// memory as its own InmemTransport does, pipelines included.
type hashiTransport struct {
	n        *hashiNode
	consumer chan hraft.RPC
}

func (t *hashiTransport) Consumer() <-chan hraft.RPC              { return t.consumer }
func (t *hashiTransport) LocalAddr() hraft.ServerAddress          { return hashiAddr(t.n.i) }
func (t *hashiTransport) SetHeartbeatHandler(func(hraft.RPC))     {}
func (t *hashiTransport) DecodePeer(b []byte) hraft.ServerAddress { return hraft.ServerAddress(b) }
func (t *hashiTransport) EncodePeer(_ hraft.ServerID, a hraft.ServerAddress) []byte {
	return []byte(a)
}

// send sends a request; what comes back, or nothing, goes to back.
func (t *hashiTransport) send(target hraft.ServerAddress, args any, back func(hraft.RPCResponse)) {
	c, to := t.n.c, hostOf(leadership.NodeID(target))
	peer := c.nodes[to]
	c.wire.send(t.n.i, to, func() {
		answer := make(chan hraft.RPCResponse, 1)
		select {
		case peer.trans.consumer <- hraft.RPC{Command: args, RespChan: answer}:
		default: // it does not read: as if it were lost
			return
		}
		c.wg.Go(func() {
			select {
			case r := <-answer:
				c.wire.send(to, t.n.i, func() { back(r) })
			case <-c.ctx.Done():
			}
		})
	})
}

// roundTrip sends and waits, for as long as the library's own transport would.
func roundTrip[T any](t *hashiTransport, target hraft.ServerAddress, args any, out *T) error {
	back := make(chan hraft.RPCResponse, 1)
	t.send(target, args, func(r hraft.RPCResponse) { back <- r })
	timer := time.NewTimer(500 * time.Millisecond)
	defer timer.Stop()
	select {
	case r := <-back:
		if r.Error != nil {
			return r.Error
		}
		*out = *r.Response.(*T)
		return nil
	case <-t.n.c.wire.gone[hostOf(leadership.NodeID(target))]:
		return errReset
	case <-timer.C:
		return errCallTimeout
	case <-t.n.c.ctx.Done():
		return errCallTimeout
	}
}

func (t *hashiTransport) AppendEntries(_ hraft.ServerID, target hraft.ServerAddress, args *hraft.AppendEntriesRequest, resp *hraft.AppendEntriesResponse) error {
	return roundTrip(t, target, args, resp)
}

func (t *hashiTransport) RequestVote(_ hraft.ServerID, target hraft.ServerAddress, args *hraft.RequestVoteRequest, resp *hraft.RequestVoteResponse) error {
	return roundTrip(t, target, args, resp)
}

func (t *hashiTransport) RequestPreVote(_ hraft.ServerID, target hraft.ServerAddress, args *hraft.RequestPreVoteRequest, resp *hraft.RequestPreVoteResponse) error {
	return roundTrip(t, target, args, resp)
}

func (t *hashiTransport) TimeoutNow(_ hraft.ServerID, target hraft.ServerAddress, args *hraft.TimeoutNowRequest, resp *hraft.TimeoutNowResponse) error {
	return roundTrip(t, target, args, resp)
}

// InstallSnapshot is never needed: no log is truncated here.
func (t *hashiTransport) InstallSnapshot(hraft.ServerID, hraft.ServerAddress, *hraft.InstallSnapshotRequest, *hraft.InstallSnapshotResponse, io.Reader) error {
	return errors.ErrUnsupported
}

func (t *hashiTransport) AppendEntriesPipeline(_ hraft.ServerID, target hraft.ServerAddress) (hraft.AppendPipeline, error) {
	return &hashiPipeline{t: t, target: target, done: make(chan hraft.AppendFuture, 4096), closed: make(chan struct{})}, nil
}

// hashiPipeline has many requests on their way; the wire keeps their order, and
// the answers', too.
type hashiPipeline struct {
	t      *hashiTransport
	target hraft.ServerAddress
	done   chan hraft.AppendFuture
	once   sync.Once
	closed chan struct{}
}

func (p *hashiPipeline) AppendEntries(args *hraft.AppendEntriesRequest, resp *hraft.AppendEntriesResponse) (hraft.AppendFuture, error) {
	select {
	case <-p.closed:
		return nil, hraft.ErrPipelineShutdown
	default:
	}
	f := &hashiFuture{began: time.Now(), args: args, resp: resp, done: make(chan struct{})}
	p.t.send(p.target, args, func(r hraft.RPCResponse) {
		if f.err = r.Error; f.err == nil {
			*f.resp = *r.Response.(*hraft.AppendEntriesResponse)
		}
		close(f.done)
		select {
		case p.done <- f:
		default:
		}
	})
	return f, nil
}

func (p *hashiPipeline) Consumer() <-chan hraft.AppendFuture { return p.done }

func (p *hashiPipeline) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// hashiFuture is a request on its way. err and resp are written before done is
// closed.
type hashiFuture struct {
	began time.Time
	args  *hraft.AppendEntriesRequest
	resp  *hraft.AppendEntriesResponse
	done  chan struct{}
	err   error
}

func (f *hashiFuture) Error() error                           { <-f.done; return f.err }
func (f *hashiFuture) Start() time.Time                       { return f.began }
func (f *hashiFuture) Request() *hraft.AppendEntriesRequest   { return f.args }
func (f *hashiFuture) Response() *hraft.AppendEntriesResponse { return f.resp }
