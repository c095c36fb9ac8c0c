package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

// zombie is a read or a write that was sent straight to a leader that had been
// replaced while it was paused.
type zombie struct {
	value string // of the write; a read's name
	err   error  // nil: it was answered, which must not be
}

const (
	zombieKey = "zombie"
	// probes is how many requests wait at the zombie when it wakes, and how
	// many send one after the other from then on for haunt.
	probes = 8
	haunt  = 400 * time.Millisecond
)

// paused is kill -STOP of the leader, an emergency change without it, and kill
// -CONT: it wakes in the belief that it leads, with requests waiting for it.
func (s *script) paused(ctx context.Context) error {
	lead, _, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	k, err := s.order(ctx, order{Do: leadership.KindEmergency})
	if err != nil {
		return err
	}
	err = s.change(ctx, fmt.Sprintf("emergency, kill -STOP %s, -CONT", lead), false, func(ch *change) error {
		p := s.c.members[lead].cmd.Process
		gone := time.Now().UnixNano()
		if err := pause(p); err != nil {
			k.kill()
			return err
		}
		if err := sleep(ctx, detect); err != nil {
			return errors.Join(err, resume(p))
		}
		m, err := s.run(ch, gone, k)
		if err != nil {
			return errors.Join(err, resume(p))
		}
		n := len(s.zombies)
		if err := s.haunted(ctx, lead, func() error { return resume(p) }); err != nil {
			return err
		}
		ch.end = s.now()
		acked := 0
		for _, z := range s.zombies[n:] {
			if z.err == nil {
				acked++
			}
		}
		ch.result = fmt.Sprintf("%s; zombie answered %d of %d", result(m), acked, len(s.zombies)-n)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = s.do(ctx, nil, order{Do: doSweep})
	return err
}

// haunted sends requests straight to the old leader, wakes it, and goes on
// sending for a moment.
func (s *script) haunted(ctx context.Context, old leadership.NodeID, wake func() error) error {
	client := &kv.Client{URL: "http://" + s.c.peers[old], HTTP: kv.NewHTTPClient()}
	defer client.HTTP.CloseIdleConnections()
	var mu sync.Mutex // guards s.zombies
	var wg sync.WaitGroup
	awake := make(chan struct{})
	// A read that is answered is as bad as a write: the old leader does not
	// know of what the new one has completed.
	try := func(read bool, value string) {
		one, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		var err error
		if read {
			_, _, err = client.Get(one, zombieKey)
		} else {
			_, err = client.Put(one, zombieKey, []byte(value))
		}
		mu.Lock()
		defer mu.Unlock()
		s.zombies = append(s.zombies, zombie{value, err})
	}
	n := len(s.zombies)
	for i := range probes {
		wg.Go(func() {
			try(i%2 == 1, fmt.Sprintf("z%d-%d", n, i)) // waits at the zombie until it wakes
			<-awake
			for j, end := 0, time.Now().Add(haunt); time.Now().Before(end) && ctx.Err() == nil; j++ {
				try((i+j)%2 == 1, fmt.Sprintf("z%d-%d-%d", n, i, j))
				if sleep(ctx, 5*time.Millisecond) != nil {
					return
				}
			}
		})
	}
	err := sleep(ctx, 100*time.Millisecond)
	err = errors.Join(wake(), err)
	close(awake)
	wg.Wait()
	return err
}
