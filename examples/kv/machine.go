package kv

import (
	"container/list"
	"sync"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
)

// op is what a command does.
type op byte

const (
	opPut op = iota
	opDelete
)

// command is the data of a request entry.
type command struct {
	op     op
	client string // "" when the request may be applied as often as it arrives
	seq    uint64
	key    string
	value  []byte
}

func (c command) encode() []byte {
	b := make([]byte, 0, len(c.client)+len(c.key)+len(c.value)+16)
	b = append(b, byte(c.op))
	b = replog.AppendBytes(b, []byte(c.client))
	b = appendUvarint(b, c.seq)
	b = replog.AppendBytes(b, []byte(c.key))
	return replog.AppendBytes(b, c.value)
}

func decodeCommand(b []byte) (c command, err error) {
	if len(b) == 0 || op(b[0]) > opDelete {
		return c, errMessage
	}
	c.op = op(b[0])
	client, b, err := replog.CutBytes(b[1:])
	if err != nil {
		return c, err
	}
	if c.seq, b, err = replog.CutUvarint(b); err != nil {
		return c, err
	}
	key, b, err := replog.CutBytes(b)
	if err != nil {
		return c, err
	}
	if c.value, b, err = replog.CutBytes(b); err != nil {
		return c, err
	}
	if len(b) > 0 {
		return c, errMessage
	}
	c.client, c.key = string(client), string(key)
	return c, nil
}

// outcome is what applying a command came to.
type outcome uint8

const (
	applied outcome = iota
	// repeated: the client's command of this number was applied before.
	repeated
	// passed: a later command of this client was applied before this one
	// arrived. This try was not applied; an earlier one may have been.
	passed
)

// maxClients bounds how many clients' last numbers the machine remembers. The
// one that was quiet for longest is forgotten; the rule is a function of the
// log alone, so that every member forgets the same.
const maxClients = 1 << 16

type session struct {
	client string
	seq    uint64
}

// machine is the state machine: complete entries applied in order.
type machine struct {
	mu       sync.Mutex // guards all; taken by whoever applies, and by reads
	applied  uint64
	values   map[string][]byte
	sessions map[string]*list.Element
	recent   *list.List // of session, the most recently used first
}

func newMachine() *machine {
	return &machine{values: map[string][]byte{}, sessions: map[string]*list.Element{}, recent: list.New()}
}

// get returns the value of a key as of the applied index.
func (m *machine) get(key string) (v []byte, ok bool, index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok = m.values[key]
	return v, ok, m.applied
}

// apply applies the log up to commit and tells each the outcome of every
// request, in order, with the machine's mutex held: each must not block.
func (m *machine) apply(l *replog.Log, commit uint64, each func(at replog.At, o outcome)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.applied < commit {
		entries := l.Slice(m.applied, int(min(commit-m.applied, 1024)), 8<<20)
		if len(entries) == 0 {
			return nil
		}
		for _, e := range entries {
			o := applied
			if e.Kind == replog.Request {
				c, err := decodeCommand(e.Data)
				if err != nil {
					return err
				}
				o = m.step(c)
			}
			m.applied = e.Index
			if each != nil {
				each(replog.At{Index: e.Index, Term: e.Term}, o)
			}
		}
	}
	return nil
}

func (m *machine) step(c command) outcome {
	if c.client != "" {
		if o := m.number(c.client, c.seq); o != applied {
			return o
		}
	}
	switch c.op {
	case opPut:
		m.values[c.key] = c.value
	case opDelete:
		delete(m.values, c.key)
	}
	return applied
}

// number notes a client's command, and says whether it is a new one.
func (m *machine) number(client string, seq uint64) outcome {
	el, ok := m.sessions[client]
	if !ok {
		m.sessions[client] = m.recent.PushFront(&session{client, seq})
		if m.recent.Len() > maxClients {
			old := m.recent.Remove(m.recent.Back()).(*session)
			delete(m.sessions, old.client)
		}
		return applied
	}
	m.recent.MoveToFront(el)
	s := el.Value.(*session)
	switch {
	case seq == s.seq:
		return repeated
	case seq < s.seq:
		return passed
	}
	s.seq = seq
	return applied
}
