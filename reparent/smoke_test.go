package reparent_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

func TestAPlannedChangeOnTheQuietScheduleMovesTheLeaderOfEveryKindOfNode(t *testing.T) {
	for name, tr := range map[string]traits{"log": logTraits, "mariadb": mariadbTraits, "postgres": pgTraits} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(1, faults{})
				defer s.close()
				c := newCluster(s, repeat(tr, 3), leadership.Majority())
				if err := c.bootstrap(); err != nil {
					t.Fatalf("%v\n%s", err, s.tail(60))
				}
				p := s.proc("c1")
				var rep *reparent.Report
				err := c.do(func() {
					if err := c.write(context.Background(), p, "n1"); err != nil {
						t.Errorf("write: %v", err)
					}
					rep, _ = c.guard(p, nil).Run(context.Background(), reparent.Planned("n2"))
					if err := c.write(context.Background(), p, "n2"); err != nil {
						t.Errorf("write: %v", err)
					}
				})
				if err != nil {
					t.Fatalf("%v\n%s", err, s.tail(60))
				}
				t.Log(rep)
				if rep.Outcome != reparent.Done || c.leaderOf() != "n2" {
					t.Fatalf("leader %s\n%s", c.leaderOf(), s.tail(60))
				}
				if err := c.verify("n2"); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
