package buffer

import "fmt"

// SetStep must be called before the first lane is made.
func SetStep(b *Buffer, f func(at string, what uint64)) { b.step = f }

// Fingerprint is the shared state of a lane, read while every goroutine is
// parked.
func Fingerprint(l *Lane) string {
	s := fmt.Sprint(l.mode, l.rec.Version, l.cur.Term, l.quiet != nil, l.q.n, l.running, l.flushing)
	for _, g := range l.gates {
		s += fmt.Sprint(" ", g.term, g.word.Load())
	}
	return s
}
