package etcdregistry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

// A router follows the record. These examples need an etcd, so they are compiled and
// not run.
func ExampleClient_Registry() {
	cert, err := tls.LoadX509KeyPair("router.crt", "router.key")
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := etcdregistry.Open("orders", etcdregistry.Config{
		Endpoints: []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"},
		TLS:       &tls.Config{Certificates: []tls.Certificate{cert}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	var seen uint64
	for {
		rec, err := c.Registry().Wait(ctx, seen)
		var rewound *etcdregistry.RewoundError
		switch {
		case errors.As(err, &rewound):
			fmt.Println(err) // start again, with what the restored etcd has
			return
		case err != nil:
			fmt.Println("still following the last record:", err)
			time.Sleep(time.Second)
			continue
		}
		seen = rec.Version
		fmt.Println("requests go to", rec.Routed.Leader, "at", rec.Addr)
	}
}

// A coordinator changes the record while it has the lock. What it writes after it lost
// the lock, without having noticed, etcd refuses.
func ExampleLock_Run() {
	c, err := etcdregistry.Open("orders", etcdregistry.Config{
		Endpoints: []string{"https://10.0.0.1:2379"},
		Username:  "failover", Password: etcdregistry.Secret(os.Getenv("ETCD_PASSWORD")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	lock, err := c.NewLock(etcdregistry.LockConfig{Holder: "failover@ops-1", Wait: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = lock.Run(context.Background(), func(ctx context.Context, h *etcdregistry.Held) error {
		term, err := h.Term("ops-1")
		if err != nil {
			return err
		}
		_, err = leadership.Update(ctx, h.Registry(), func(r leadership.Record) (leadership.Record, error) {
			return r.Begin(leadership.Intent{Term: term, By: "ops-1", Kind: leadership.KindPlanned, To: "n2"}, false)
		})
		return err
	})
	var held *etcdregistry.LockHeldError
	if errors.As(err, &held) {
		fmt.Println("wait for", held.Holder)
	}
}

// A router says when it is quiet, on whichever machine it is.
func ExampleClient_Barrier() {
	c, err := etcdregistry.Open("orders", etcdregistry.Config{Endpoints: []string{"10.0.0.1:2379"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, barrier := context.Background(), c.Barrier() // one for the process
	router := leadership.RouterLease{Router: "api-1", Session: "boot-77", TTL: 2 * time.Second}
	if _, err := barrier.Join(ctx, router); err != nil {
		fmt.Println(err)
		return
	}
	// buffer.Buffer.Join does this, and what follows, for a whole router.
	fmt.Println(barrier.Ack(ctx, router, leadership.Term{Num: 8, Proposer: "c1"}))
}
