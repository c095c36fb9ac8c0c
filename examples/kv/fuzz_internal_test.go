package kv

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"testing"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

var fuzzTerm = leadership.Term{Num: 7, Proposer: "c1-x"}

// FuzzDecodeAppend: what a follower takes for a leader's message are the very
// bytes of one, and its entries follow one another.
func FuzzDecodeAppend(f *testing.F) {
	entry := replog.Entry{Index: 4, Term: fuzzTerm, Data: []byte("data")}
	marker := replog.Entry{Index: 5, Term: fuzzTerm, Kind: replog.Mark, Data: []byte("{}")}
	for _, r := range []appendRequest{
		{from: leadership.Leadership{Leader: "n1", Term: fuzzTerm}},
		{from: leadership.Leadership{Leader: "n1", Term: fuzzTerm}, prev: replog.At{Index: 3, Term: leadership.Term{Num: 2, Proposer: "a"}}, commit: 2,
			entries: []replog.Entry{entry, marker}},
	} {
		b := r.encode(nil)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(bytes.Clone(b), 0))
	}
	f.Add([]byte("\x82\x00n1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeAppend(b)
		if err != nil {
			return
		}
		if again := r.encode(nil); !bytes.Equal(again, b) {
			t.Fatalf("%q is taken for %q", b, again)
		}
		for i, e := range r.entries {
			if e.Index != r.prev.Index+uint64(i)+1 || r.from.Term.Less(e.Term) {
				t.Fatalf("%q: entry %d is %d of %s", b, i, e.Index, e.Term)
			}
		}
	})
}

// FuzzDecodeCommand: every member must read one command out of one entry, or
// none.
func FuzzDecodeCommand(f *testing.F) {
	for _, c := range []command{
		{op: opPut, client: "me", seq: 3, key: "k", value: []byte("v")},
		{op: opDelete, key: "k"},
	} {
		f.Add(c.encode())
		f.Add(append(c.encode(), 'x'))
	}
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCommand(b)
		if err != nil {
			return
		}
		if again := c.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%q is taken for %q", b, again)
		}
	})
}

func FuzzParsePeers(f *testing.F) {
	for _, s := range []string{"n1=127.0.0.1:1,n2=host:2", "", "n1", "n1=a,n1=b", "=", "n1=a=b", "n 1=a", "n1="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		peers, err := ParsePeers(s)
		if err != nil {
			var bad *ConfigError
			if !errors.As(err, &bad) || peers != nil {
				t.Fatalf("%q: %T, %v", s, err, peers)
			}
			return
		}
		back, err := ParsePeers(FormatPeers(peers))
		if err != nil || !maps.Equal(back, peers) {
			t.Fatalf("%q is read as %v and that as %v, %v", s, peers, back, err)
		}
	})
}

// FuzzNodeReply: an error that came over the wire never proves more than it did
// where it was made.
func FuzzNodeReply(f *testing.F) {
	for _, err := range []error{
		nil,
		&leadership.StaleTermError{Node: "n1", Asked: fuzzTerm, Promised: fuzzTerm},
		&leadership.NotReadyError{Node: "n1", Reason: "no marker"},
		&leadership.DivergedError{Positions: []leadership.NodePosition{{Node: "n1", Position: leadership.Position{Term: fuzzTerm}}}},
		&acceptor.ReadError{Node: "n1", Term: fuzzTerm, Err: errMessage},
		&acceptor.UnsettledError{Node: "n1", Term: fuzzTerm, Err: errMessage},
		&acceptor.GateError{Node: "n1"},
		errors.Join(leadership.ErrUnknownOutcome, &leadership.StaleTermError{Node: "n1", Asked: fuzzTerm, Promised: fuzzTerm}),
		errMessage,
	} {
		b, merr := json.Marshal(nodeReply{Err: toWire(err)})
		if merr != nil {
			f.Fatal(merr)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"error":{"kind":"new"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r nodeReply
		if json.Unmarshal(b, &r) != nil || r.Err == nil {
			return
		}
		err := r.Err.toError("n1")
		if err == nil {
			t.Fatalf("%s: the error got lost", b)
		}
		if leadership.NotExecuted(err) && errors.Is(err, leadership.ErrUnknownOutcome) {
			t.Fatalf("%s is both not executed and unknown: %v", b, err)
		}
		// Sent on, it is the same kind of error, or one that proves less.
		again := toWire(err).toError("n2")
		if leadership.NotExecuted(again) && !leadership.NotExecuted(err) {
			t.Fatalf("%s: %v became the proof %v", b, err, again)
		}
		if leadership.NotExecuted(err) != leadership.NotExecuted(again) || errors.Is(err, leadership.ErrUnknownOutcome) != errors.Is(again, leadership.ErrUnknownOutcome) {
			t.Fatalf("%s: %v became %v", b, err, again)
		}
	})
}

func FuzzLearned(f *testing.F) {
	f.Add("n1", "7.c1-x")
	f.Add("", "0")
	f.Add("n 1", "07.c")
	f.Fuzz(func(t *testing.T, leader, term string) {
		h := http.Header{}
		h.Set(HeaderLeader, leader)
		h.Set(HeaderTerm, term)
		l, ok := Learned(h)
		if ok && (l.Leader.Validate() != nil || l.Term.Validate() != nil || l.Term.String() != term || string(l.Leader) != leader) {
			t.Fatalf("%q %q is taken for %s", leader, term, l)
		}
	})
}
