package etcdregistry_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/tenure-go/tenure/leadership/etcdregistry"
	"github.com/tenure-go/tenure/reparent"
)

// A guard whose record and barrier are in etcd, and a change under the lock of its
// coordinators. It needs an etcd, so it is compiled and not run.
func Example() {
	ctx := context.Background()
	var certificates *tls.Config
	var nodes []reparent.Node // as mariadbnode, pgnode or a driver of your own make them

	c, err := etcdregistry.Open("orders", etcdregistry.Config{
		Endpoints: []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"},
		TLS:       certificates,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	lock, err := c.NewLock(etcdregistry.LockConfig{Holder: "failover@ops-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = lock.Run(ctx, func(ctx context.Context, h *etcdregistry.Held) error {
		// h.Registry, not c.Registry: its writes take effect only under the lock.
		guard, err := reparent.New("orders", h.Registry(), nodes, reparent.Config{Barrier: c.Barrier()})
		if err != nil {
			return err
		}
		_, err = guard.Run(ctx, reparent.Planned("n2"))
		return err
	})
	fmt.Println(err)
}
