package leadership

import (
	"testing"
	"time"
)

// FuzzRecordFile: what is read as a record is a valid one that is written and
// read again the same, and nothing makes the decoder panic.
func FuzzRecordFile(f *testing.F) {
	whole, err := encodeRecord(Record{Version: 3, Cluster: "c", Mode: Full, Fence: Term{5, "a"}, Intent: Intent{Term: Term{5, "a"}, Phase: Holding, HoldFor: time.Second}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(fileMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if !r.Equal(Record{}) {
				t.Fatal("a record came with the error")
			}
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		again, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeRecord(again); err != nil || !back.Equal(r) {
			t.Fatalf("%+v comes back as %+v, %v", r, back, err)
		}
	})
}
