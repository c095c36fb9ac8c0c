package leadership_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tenure-go/tenure/leadership"
)

// A coordinator announces its attempt. One that comes second is told of it, and
// nothing was written.
func ExampleUpdate() {
	ctx := context.Background()
	registry := &leadership.MemoryRegistry{}
	rules, _ := leadership.NewRuleset(leadership.Majority(),
		leadership.Node{ID: "n1"}, leadership.Node{ID: "n2"}, leadership.Node{ID: "n3"})
	_, err := leadership.Update(ctx, registry, func(r leadership.Record) (leadership.Record, error) {
		return r.Create("orders", leadership.Full, rules)
	})
	fmt.Println("created:", err)

	begin := func(num uint64, by string) error {
		_, err := leadership.Update(ctx, registry, func(r leadership.Record) (leadership.Record, error) {
			return r.Begin(leadership.Intent{Term: leadership.Term{Num: num, Proposer: by}, By: by, Kind: leadership.KindPlanned, To: "n2"}, false)
		})
		return err
	}
	fmt.Println("c1:", begin(1, "c1"))
	fmt.Println("c2:", begin(2, "c2"))
	// Output:
	// created: <nil>
	// c1: <nil>
	// c2: leadership: busy: planned change to n2 by c1 at term 1.c1, preparing (resume it, or force this one)
}

// An established leadership becomes active with the proof that it is, and only
// then is routed. What is not a proof is refused.
func ExampleRecord_Activate() {
	rules, _ := leadership.NewRuleset(leadership.Any(), leadership.Node{ID: "n1"})
	record, _ := leadership.Record{}.Create("orders", leadership.Full, rules)
	_, err := record.Activate(&leadership.Installed{})
	fmt.Println(err)

	record, err = record.Activate(establishAlone(rules, leadership.Term{Num: 1, Proposer: "c1"}))
	fmt.Println(record.Active, err)
	record, err = record.Route(record.Active, "10.0.0.1:7000")
	fmt.Println(record.Routed, record.Addr, err)
	// Output:
	// leadership: this value was not minted by the step that must precede it
	// n1@1.c1 <nil>
	// n1@1.c1 10.0.0.1:7000 <nil>
}

// establishAlone goes the way from testimony to proof for a cluster of n1 alone.
func establishAlone(rules leadership.Ruleset, term leadership.Term) *leadership.Installed {
	round, _ := leadership.NewRound(leadership.RoundConfig{Term: term, Rulesets: []leadership.Ruleset{rules}})
	_ = round.Add(leadership.Testimony{Node: "n1", Term: term, Kind: leadership.Promised, Read: &leadership.Position{}})
	revocation, _ := round.Revocation()
	proposal, _ := revocation.Propose("n1", nil)
	_ = proposal.Add(leadership.Acceptance{Node: "n1", Term: term, Leader: "n1"})
	installed, _ := proposal.Installed()
	return installed
}

// What a router does with a request while n1 hands over to n2, and when the
// coordinator dies half way.
func ExampleRecord_Decide() {
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	next := leadership.Term{Num: 2, Proposer: "c1"}
	record := leadership.Record{Version: 1, Active: n1, Routed: n1}
	show := func(what string, held time.Duration) {
		d := record.Decide(held, leadership.Term{})
		fmt.Printf("%s: %s %s\n", what, d.Verdict, d.To)
	}
	show("no change", 0)
	record.Intent = leadership.Intent{Term: next, To: "n2", Phase: leadership.Preparing, HoldFor: 5 * time.Second}
	show("preparing", 0)
	record.Intent.Phase = leadership.Holding
	show("holding", time.Second)
	show("held too long", 6*time.Second)
	record.Active = leadership.Leadership{Leader: "n2", Term: next}
	show("active", time.Second)
	record.Routed, record.Intent = record.Active, leadership.Intent{}
	show("routed", time.Second)
	// Output:
	// no change: send n1@1.c1
	// preparing: send n1@1.c1
	// holding: hold n1@1.c1
	// held too long: probe n1@1.c1
	// active: probe n2@2.c1
	// routed: send n2@2.c1
}

// The processes of one machine share a registry in a file. A record that another
// process has written meanwhile is not overwritten.
func ExampleOpenFileRegistry() {
	dir, err := os.MkdirTemp("", "registry")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "orders.json")
	one, err := leadership.OpenFileRegistry(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer one.Close()
	other, err := leadership.OpenFileRegistry(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer other.Close()

	ctx := context.Background()
	first, err := one.Swap(ctx, 0, leadership.Record{Cluster: "orders", Mode: leadership.Full})
	fmt.Println("version", first.Version, err)
	_, err = other.Swap(ctx, 0, leadership.Record{Cluster: "orders", Mode: leadership.Full})
	var conflict *leadership.ConflictError
	fmt.Println("conflict:", errors.As(err, &conflict))
	seen, err := other.Wait(ctx, 0) // for any version above 0
	fmt.Println("version", seen.Version, seen.Cluster, err)
	// Output:
	// version 1 <nil>
	// conflict: true
	// version 1 orders <nil>
}

// Routers of one machine say at a barrier in a file when they are quiet.
func ExampleOpenFileBarrier() {
	dir, err := os.MkdirTemp("", "barrier")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	router, err := leadership.OpenFileBarrier(filepath.Join(dir, "barrier"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer router.Close()
	coordinator, err := leadership.OpenFileBarrier(filepath.Join(dir, "barrier")) // another process
	if err != nil {
		fmt.Println(err)
		return
	}
	defer coordinator.Close()

	ctx, change := context.Background(), leadership.Term{Num: 8, Proposer: "c1"}
	lease := leadership.RouterLease{Router: "api-1", Session: "boot-77", TTL: 10 * time.Second}
	_, err = router.Join(ctx, lease)
	fmt.Println("joined:", err)
	fmt.Println("acked:", router.Ack(ctx, lease, change)) // nothing below term 8 is in flight
	call, err := coordinator.Wait(ctx, change)
	fmt.Println(call, err)
	fmt.Println("left:", router.Leave(ctx, lease))
	// Output:
	// joined: <nil>
	// acked: <nil>
	// quiet for 8.c1: api-1 <nil>
	// left: <nil>
}
