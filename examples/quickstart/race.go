package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// plannedRace is two coordinators that begin a planned change at once: one is
// refused before it touches anything, or finds that it is too late.
func (s *script) plannedRace(ctx context.Context) error {
	_, next, third, err := s.leader(ctx)
	if err != nil {
		return err
	}
	a, err := s.order(ctx, order{Do: leadership.KindPlanned, To: next})
	if err != nil {
		return err
	}
	b, err := s.order(ctx, order{Do: leadership.KindPlanned, To: third})
	if err != nil {
		a.kill()
		return err
	}
	return s.change(ctx, fmt.Sprintf("two planned race, %s and %s", next, third), true, func(ch *change) error {
		return s.race(ch, 0, a, b)
	})
}

// killedRace is two coordinators that find the leader gone at once.
func (s *script) killedRace(ctx context.Context) error {
	lead, _, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	a, err := s.order(ctx, order{Do: leadership.KindEmergency})
	if err != nil {
		return err
	}
	b, err := s.order(ctx, order{Do: leadership.KindEmergency})
	if err != nil {
		a.kill()
		return err
	}
	err = s.change(ctx, fmt.Sprintf("two emergencies race, kill -9 %s", lead), false, func(ch *change) error {
		gone := time.Now().UnixNano()
		s.c.kill(lead)
		if err := sleep(ctx, detect); err != nil {
			return err
		}
		return s.race(ch, gone, a, b)
	})
	if err != nil {
		return err
	}
	return s.bringBack(ctx, lead)
}

// race lets two coordinators begin at once. At least one must get through, and
// the other must have ended in order.
func (s *script) race(ch *change, gone int64, a, b *coordinator) error {
	ms, err := runAll(a, b)
	s.note(ch, gone, a, b)
	if err != nil {
		return err
	}
	var parts []string
	won := false
	for _, m := range ms {
		parts = append(parts, m.By+" "+result(m))
		switch m.Outcome {
		case reparent.Done:
			won = true
		case reparent.NotStarted, reparent.Superseded:
		default:
			err = errors.Join(err, fmt.Errorf("%s: %s\n%s", m.Outcome, m.Error, m.Text))
		}
	}
	if !won {
		err = errors.Join(err, fmt.Errorf("neither got through: %s\n%s\n%s", strings.Join(parts, "; "), ms[0].Text, ms[1].Text))
	}
	ch.result = strings.Join(parts, "; ")
	return err
}
