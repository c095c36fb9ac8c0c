package replog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tenure-go/tenure/leadership"
)

var fuzzSalt = []byte("saltsalt")

func fuzzEntry(i, t uint64) Entry {
	return Entry{Index: i, Term: leadership.Term{Num: t, Proposer: "c"}, Data: []byte("data")}
}

// fuzzLog is a file of three frames, with where each begins.
func fuzzLog() (b []byte, starts []int) {
	b = append([]byte(fileMagic), fuzzSalt...)
	for _, fr := range []struct {
		keep    uint64
		entries []Entry
	}{{0, []Entry{fuzzEntry(1, 1), fuzzEntry(2, 1)}}, {2, []Entry{fuzzEntry(3, 2)}}, {2, []Entry{fuzzEntry(3, 3)}}} {
		starts = append(starts, len(b))
		b = appendFrame(b, fuzzSalt, fr.keep, fr.entries)
	}
	return b, starts
}

// FuzzReplay reads a file, and a file of one frame whose checksums match, or
// nothing would ever get past them.
func FuzzReplay(f *testing.F) {
	whole, starts := fuzzLog()
	f.Add(whole)
	for i, s := range starts {
		end := len(whole)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		f.Add(whole[:s])
		f.Add(whole[s+headerSize : end])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkReplay(t, b)
		keep, entries, err := decodePayload(b)
		if err != nil {
			return
		}
		frame := appendFrame(nil, fuzzSalt, keep, entries)
		if !bytes.Equal(frame[headerSize:], b) {
			t.Fatalf("%q is taken for %q", b, frame[headerSize:])
		}
		checkReplay(t, append(append([]byte(fileMagic), fuzzSalt...), frame...))
	})
}

// checkReplay reads a file: it is a log whose entries follow one another, or a
// *leadership.CorruptError.
func checkReplay(t *testing.T, b []byte) *Log {
	t.Helper()
	l := &Log{}
	sound, err := replay("log", b, l)
	if err != nil {
		var corrupt *leadership.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Path != "log" {
			t.Fatalf("%T %v", err, err)
		}
		return nil
	}
	if sound < int64(len(fileMagic)+saltSize) || sound > int64(len(b)) {
		t.Fatalf("%d bytes of %d are sound", sound, len(b))
	}
	var last At
	for _, e := range l.entries {
		if e.Index != last.Index+1 || e.Term.Less(last.Term) {
			t.Fatalf("entry %d of %s after %d of %s", e.Index, e.Term, last.Index, last.Term)
		}
		last = At{Index: e.Index, Term: e.Term}
	}
	return l
}

// FuzzDamagedLog cuts a log off and flips a bit of it. A cut leaves whole frames
// from the start; a flipped bit is noticed, or makes the last frame a torn one.
func FuzzDamagedLog(f *testing.F) {
	whole, starts := fuzzLog()
	f.Add(uint(len(whole)), uint(0), false)
	f.Add(uint(len(whole)-1), uint(0), false)
	for bit := 0; bit < 8*len(whole); bit += 37 {
		f.Add(uint(bit/8), uint(bit), true)
		f.Add(uint(bit/8), uint(bit), false)
	}
	f.Fuzz(func(t *testing.T, cut, bit uint, flip bool) {
		b := bytes.Clone(whole)
		if flip {
			bit %= uint(8 * len(b))
			b[bit/8] ^= 1 << (bit % 8)
			l := checkReplay(t, b)
			if salt := len(fileMagic) + saltSize; l != nil && int(bit/8) >= salt && int(bit/8) < starts[2] {
				t.Fatalf("bit %d in a frame that is not the last was not noticed", bit)
			}
			return
		}
		cut %= uint(len(b) + 1)
		l := checkReplay(t, b[:cut])
		want := 0
		for i, n := range []int{2, 3, 3} {
			end := len(whole)
			if i+1 < len(starts) {
				end = starts[i+1]
			}
			if int(cut) >= end {
				want = n
			}
		}
		if l == nil && cut >= uint(starts[0]) || l != nil && len(l.entries) != want {
			t.Fatalf("cut at %d: %v, want %d entries", cut, l, want)
		}
	})
}
