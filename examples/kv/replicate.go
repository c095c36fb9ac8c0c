package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
)

const (
	// appendTimeout bounds one append; a peer that is paused costs its own
	// replicator this long, and nobody else.
	appendTimeout = 2 * time.Second
	// backOff is between tries at a peer that cannot be reached.
	backOff = 25 * time.Millisecond
)

// peer is another member, as its replicator sees it. Only the replicator
// touches it, except for wake.
type peer struct {
	id     leadership.NodeID
	url    string
	member leadership.Member
	counts bool // it is in a ruleset; else it is an observer
	wake   chan struct{}
	next   uint64 // the first index to send
	heard  uint64 // the last confirmation round it answered
	buf    []byte
}

// replicate keeps one peer level until the leadership ends, or the peer says
// that it has promised a higher term: under this one it will never accept
// again.
func (ls *leader) replicate(p *peer) {
	beat := time.NewTicker(ls.n.cfg.Heartbeat)
	defer beat.Stop()
	last := ls.n.store.log.Last().Index
	p.next = min(p.next, last+1)
	for first := true; ls.ctx.Err() == nil; first = false {
		prev, entries := ls.n.store.log.Tail(p.next-1, maxBatch, batchBytes)
		if len(entries) == 0 && !first && p.heard >= ls.wanted() {
			select {
			case <-p.wake:
				continue
			case <-beat.C:
			case <-ls.ctx.Done():
				return
			}
		}
		round := ls.carry()
		reply, err := ls.send(p, prev, entries)
		var stale *leadership.StaleTermError
		switch {
		case errors.As(err, &stale):
			ls.lose(p, stale.Promised)
			return
		case err != nil:
			ls.pause()
		case reply.Mismatch != nil:
			p.next = replog.Common(ls.n.store.log.Position(), *reply.Mismatch) + 1
		default:
			p.next = reply.Matched + 1
			p.heard = round
			ls.hear(p, reply.Matched, round)
		}
	}
}

func (ls *leader) pause() {
	t := time.NewTimer(backOff)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ls.ctx.Done():
	}
}

// send sends one append and waits for the answer.
func (ls *leader) send(p *peer, prev replog.At, entries []replog.Entry) (r appendReply, err error) {
	ctx, cancel := context.WithTimeout(ls.ctx, appendTimeout)
	defer cancel()
	req := appendRequest{from: ls.own, prev: prev, commit: ls.n.commit.Load(), entries: entries}
	p.buf = req.encode(p.buf[:0])
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(p.buf))
	if err != nil {
		return r, err
	}
	resp, err := ls.n.http.Do(post)
	if err != nil {
		// The transport may still be reading the buffer.
		p.buf = nil
		return r, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("kv: answer of %s: %w", p.id, err)
	}
	return r, r.Err.toError(p.id)
}

// hear takes an answer into account: what the peer holds, and that it still
// supported this leadership after round was sent.
func (ls *leader) hear(p *peer, matched, round uint64) {
	if !p.counts {
		return
	}
	ls.mu.Lock()
	ls.levels[p.member] = max(ls.levels[p.member], matched)
	ls.heard[p.member] = max(ls.heard[p.member], round)
	var open []roundWait
	if len(ls.rounds) > 0 {
		confirmed := ls.reached(&ls.heard, ls.inForce(ls.n.commit.Load()))
		for _, w := range ls.rounds {
			if w.round <= confirmed {
				close(w.heard)
			} else {
				open = append(open, w)
			}
		}
		ls.rounds = open
	}
	ls.mu.Unlock()
	poke(ls.done)
}

// lose notes a peer that has promised a higher term. When the peers that are
// left could not complete anything, this leadership is revoked, and its clients
// are told so now instead of when their time runs out.
func (ls *leader) lose(p *peer, promised leadership.Term) {
	if !p.counts {
		return
	}
	ls.mu.Lock()
	ls.refused = ls.refused.With(p.member)
	left := ls.cohort.All().Minus(ls.refused)
	revoked := false
	for _, r := range ls.inForce(ls.n.commit.Load()) {
		revoked = revoked || !r.Durable(ls.self, left)
	}
	ls.mu.Unlock()
	if revoked {
		ls.end(promised)
	}
}

// wanted returns the highest confirmation round that a read asked for.
func (ls *leader) wanted() uint64 {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.asked
}

// carry returns the round that a message sent from now on carries.
func (ls *leader) carry() uint64 {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.sent = max(ls.sent, ls.asked)
	return ls.sent
}

// confirm returns when a durable set has answered a message that was sent
// after confirm was called, which is after the marker was complete: at that time none of them had promised a higher
// term, so nobody else had completed anything. Reads that wait share rounds.
func (ls *leader) confirm(ctx context.Context) error {
	ls.mu.Lock()
	if ls.over != nil {
		defer ls.mu.Unlock()
		return ls.over
	}
	// A round that was sent already may have been answered before this read.
	w := roundWait{round: ls.sent + 1, heard: make(chan struct{})}
	ls.asked = max(ls.asked, w.round)
	alone := ls.durableAlone()
	if !alone {
		ls.rounds = append(ls.rounds, w)
	}
	ls.mu.Unlock()
	if alone {
		return nil
	}
	for _, p := range ls.peers {
		poke(p.wake)
	}
	select {
	case <-w.heard:
		return nil
	case <-ls.ctx.Done():
		return ls.n.refusal("the leadership has ended")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// durableAlone reports whether the leader's own node is a durable set.
func (ls *leader) durableAlone() bool {
	return ls.final[0].Durable(ls.self, leadership.SetOf(ls.self))
}
