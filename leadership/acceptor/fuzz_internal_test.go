package acceptor

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

// FuzzDecode takes a file only if it would write the very same bytes. Each
// input is tried as it is and under a checksum that matches, or nothing would
// ever get past that.
func FuzzDecode(f *testing.F) {
	term := leadership.Term{Num: 7, Proposer: "c1"}
	for _, s := range []State{
		{Node: "n1", Incarnation: "d1"},
		{Node: "n1", Incarnation: "d1", Promised: term, Source: leadership.Leadership{Leader: "n2", Term: term},
			Floor: leadership.Position{Term: term, Point: leadership.LogPoint{Index: 3}}},
	} {
		b, err := encode(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		_, body, _ := bytes.Cut(b, []byte("\n"))
		f.Add(body)
		f.Add(bytes.Replace(body, []byte(`"node"`), []byte(`"Node"`), 1))
		f.Add(bytes.Replace(body, []byte("{"), []byte(`{"new": 1,`), 1))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed := append(fmt.Appendf(nil, "%s%08x\n", fileMagic, crc32.ChecksumIEEE(b)), b...)
		for _, in := range [][]byte{b, sealed} {
			s, err := decode(in)
			if err != nil {
				continue
			}
			if err := s.Validate(); err != nil {
				t.Errorf("%q: %v", in, err)
			}
			if out, err := encode(s); err != nil || !bytes.Equal(in, out) {
				t.Errorf("%q was taken for %q (%v)", in, out, err)
			}
			for _, cut := range []int{0, len(fileMagic), len(in) / 2, len(in) - 1} {
				if _, err := decode(in[:cut]); err == nil {
					t.Errorf("%q, cut at %d, is still a record", in, cut)
				}
			}
		}
	})
}

// FuzzState: a record that is valid is written and comes back as it was.
func FuzzState(f *testing.F) {
	f.Add("n1", "d1", uint64(7), "c1", "n2", "7.c1@log:12/7.c1:3")
	f.Add("n1", "\"a\\b\"\n\x00<&>\u2028", uint64(leadership.MaxTermNum), "z", "n1", "7.c@gtid:0-1-5")
	f.Add("", "", uint64(0), "", "", "empty")
	f.Add("n1", "\xff", uint64(0), "c", "n 2", "7.c@gtid:\xff")
	f.Fuzz(func(t *testing.T, node, incarnation string, num uint64, by, leader, floor string) {
		s := State{Node: leadership.NodeID(node), Incarnation: incarnation, Promised: leadership.Term{Num: num, Proposer: by}}
		if leader != "" {
			s.Source = leadership.Leadership{Leader: leadership.NodeID(leader), Term: s.Promised}
		}
		if s.Floor.UnmarshalText([]byte(floor)) != nil || s.Validate() != nil {
			return
		}
		b, err := encode(s)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if back, err := decode(b); err != nil || !back.equal(s) {
			t.Fatalf("%+v comes back as %+v, %v", s, back, err)
		}
	})
}
