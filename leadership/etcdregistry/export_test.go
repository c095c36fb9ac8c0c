package etcdregistry

import (
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Overdue returns a function that marks all seats as they stand now as lapsed, as a
// Wait does to which they are overdue.
func Overdue(ctx context.Context, t testing.TB, b *Barrier) func() error {
	t.Helper()
	resp, err := b.c.get(ctx, "test", b.base, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	var seats []placed
	for _, kv := range resp.Kvs {
		p, err := decodeSeat(b.base, kv)
		if err != nil {
			t.Fatal(err)
		}
		seats = append(seats, p)
	}
	return func() error { return b.bury(ctx, seats) }
}
