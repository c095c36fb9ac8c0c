package leadership

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/durable"
)

// FuzzRecordFile: what is read as a record is a valid one, and the very bytes
// that would be written for it. Each input is tried as it is and under a
// checksum that matches, or nothing would ever get past that.
func FuzzRecordFile(f *testing.F) {
	at := Term{5, "a"}
	for _, r := range []Record{
		{Version: 1, Cluster: "c", Mode: Full},
		{Version: 3, Cluster: "c", Mode: Full, Fence: at, Intent: Intent{Term: at, Phase: Holding, HoldFor: time.Second}, Drafted: at},
		{
			Version: 9, Cluster: "orders", Mode: Shortcut, Fence: at, Active: Leadership{"n1", at}, Routed: Leadership{"n1", Term{4, "b"}}, Addr: "10.0.0.1:80",
			Ruleset: Ruleset{Version: 2, Members: []Node{{ID: "n1", Zone: "z", Weight: 2}, {ID: "n2", Ineligible: true}}, Policy: "majority"},
			Held:    []Isolation{{"n2", at, "ops"}}, Barred: []Bar{{"n3", "disk", at, "burnt \"down\"", "me"}},
		},
	} {
		whole, err := encodeRecord(r)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := bytes.Cut(whole, []byte("\n"))
		f.Add(whole)
		f.Add(whole[:len(whole)-1])
		f.Add(body)
		f.Add(bytes.Replace(body, []byte(`"mode"`), []byte(`"Mode"`), 1))
		f.Add(bytes.Replace(body, []byte("{"), []byte(`{"new": 1,`), 1))
	}
	f.Add([]byte(fileMagic))
	reg := &FileRegistry{}
	reg.path = "record"
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, in := range [][]byte{b, durable.Frame(fileMagic, b)} {
			r, err := reg.decode(in)
			if err != nil {
				var corrupt *CorruptError
				if !r.Equal(Record{}) || !errors.As(err, &corrupt) || corrupt.Path != reg.path {
					t.Fatalf("a record came with the error %v", err)
				}
				continue
			}
			if err := r.Validate(); err != nil || r.Version == 0 {
				t.Fatalf("version %d: %v", r.Version, err)
			}
			if again, err := encodeRecord(r); err != nil || !bytes.Equal(again, in) {
				t.Fatalf("%q was taken for %q (%v)", in, again, err)
			}
			for _, cut := range []int{0, len(fileMagic), len(in) / 2, len(in) - 1} {
				if _, err := reg.decode(in[:cut]); err == nil {
					t.Fatalf("%q, cut at %d, is still a record", in, cut)
				}
			}
		}
	})
}

// FuzzRecord: a record is written only if it comes back as it was.
func FuzzRecord(f *testing.F) {
	f.Add("orders", uint64(7), "c1-x4q", "n1", "10.0.0.1:80", "at-least(2)", int64(time.Second), 3)
	f.Add("", uint64(0), "", "", "", "", int64(0), 0)
	f.Add("a\xffb", uint64(7), "c", "n1", "10.0.0.1:80", "majority", int64(0), 1)
	f.Add("orders", uint64(7), "NO PROPOSER", "n1", "10.0.0.1:80", "majority", int64(0), 1)
	f.Add("a\xffb\u2028", uint64(1)<<63, "C", "n 1", "\x00", "\"", int64(-1), -1)
	f.Fuzz(func(t *testing.T, cluster string, num uint64, by, node, addr, policy string, hold int64, weight int) {
		at := Term{num, by}
		r := Record{
			Version: 1 + num, Cluster: cluster, Mode: Full, Fence: at,
			Active: Leadership{NodeID(node), at}, Routed: Leadership{NodeID(node), at}, Addr: addr,
			Intent: Intent{Term: at, By: by, Kind: Kind(policy), From: NodeID(node), HoldFor: time.Duration(hold)},
			Held:   []Isolation{{NodeID(node), at, by}}, Drafted: at,
			Barred: []Bar{{NodeID(node), cluster, at, addr, by}},
		}
		if node != "" {
			r.Ruleset = Ruleset{Version: num, Members: []Node{{ID: NodeID(node), Zone: addr, Weight: weight}}, Policy: policy}
		}
		if r.Validate() != nil {
			return // no registry takes it
		}
		b, err := encodeRecord(r)
		if err != nil {
			if !NotExecuted(err) {
				t.Fatalf("%T %v does not say that nothing was written", err, err)
			}
			return
		}
		if back, err := decodeRecord(b); err != nil || !back.Equal(r) {
			t.Fatalf("%+v comes back as %+v, %v", r, back, err)
		}
	})
}
