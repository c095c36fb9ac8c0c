// Package board is where the watchers of a cluster tell each other what they see,
// and what they did.
//
// It is advice: a post may be old, and reading it proves nothing. A reader ages
// posts by its own clock, from when it first read them, so that no two clocks are
// compared; only the acts in them carry wall-clock times, since they must outlive
// their watcher.
package board

import (
	"context"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/verdict"
	"github.com/tenure-go/tenure/leadership"
)

// Post is what one watcher has to say. A newer one takes its place.
type Post struct {
	Observer string `json:"observer"`
	// Run tells the runs of one watcher apart, and Seq numbers the posts of one.
	Run string `json:"run"`
	Seq uint64 `json:"seq"`

	Of     leadership.Leadership `json:"of"`
	Saw    verdict.Seen          `json:"saw"`
	For    time.Duration         `json:"for"`
	Missed time.Duration         `json:"missed"`
	// Acts are the changes that this watcher made by itself, oldest first.
	Acts []Act `json:"acts,omitempty"`
}

// Act is one change.
type Act struct {
	At      time.Time       `json:"at"`
	Term    leadership.Term `json:"term"`
	Outcome string          `json:"outcome"`
	Settled bool            `json:"settled"`
}

// Board keeps the newest post of each watcher. Implementations are safe for use by
// several processes. Calls end with their context.
type Board interface {
	// Put replaces the post of p.Observer.
	Put(ctx context.Context, p Post) error
	// All returns every post, also of watchers that are long gone.
	All(ctx context.Context) ([]Post, error)
	Close() error
}

// Reader ages what it reads. It is not safe for concurrent use.
type Reader struct {
	Board Board
	first map[string]seen
}

// seen is when a post was first read.
type seen struct {
	run string
	seq uint64
	at  time.Time
}

// Read returns what each watcher saw last, and what all of them did.
func (r *Reader) Read(ctx context.Context, now time.Time) ([]verdict.Sighting, []verdict.Act, error) {
	posts, err := r.Board.All(ctx)
	if err != nil {
		return nil, nil, err
	}
	var sightings []verdict.Sighting
	var acts []verdict.Act
	first := map[string]seen{}
	for _, p := range posts {
		s, ok := r.first[p.Observer]
		switch {
		case !ok && r.first == nil:
			// Of what was there before this reader, the age is not known: it
			// counts only once it is renewed.
			s = seen{run: p.Run, seq: p.Seq}
		case !ok || s.run != p.Run || s.seq != p.Seq:
			s = seen{run: p.Run, seq: p.Seq, at: now}
		}
		first[p.Observer] = s
		if !s.at.IsZero() {
			sightings = append(sightings, verdict.Sighting{
				Observer: p.Observer, Of: p.Of, Saw: p.Saw, For: p.For, Missed: p.Missed, Age: now.Sub(s.at),
			})
		}
		for _, a := range p.Acts {
			// A clock that was set back must not shorten the calm: an act of the
			// future has just been made.
			acts = append(acts, verdict.Act{Ago: max(time.Since(a.At), 0), Outcome: a.Outcome, Settled: a.Settled})
		}
	}
	r.first = first
	return sightings, acts, nil
}
