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
		}
	})
}
