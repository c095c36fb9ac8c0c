package board

import (
	"context"
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Etcd is a Board in etcd: a key for each watcher, beside those of the registry.
// They have no lease: a reader knows by itself what is old, and acts must stay.
type Etcd struct {
	client *clientv3.Client
	prefix string
}

// OpenEtcd returns the board of a cluster. prefix is that of the registry. It
// connects when it is first used.
func OpenEtcd(cfg clientv3.Config, prefix, cluster string) (*Etcd, error) {
	c, err := clientv3.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Etcd{client: c, prefix: prefix + cluster + "/watch/"}, nil
}

// Put implements Board.
func (e *Etcd) Put(ctx context.Context, p Post) error {
	if p.Observer == "" {
		return fmt.Errorf("board: a watcher needs a name")
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = e.client.Put(ctx, e.prefix+p.Observer, string(b))
	return err
}

// All implements Board.
func (e *Etcd) All(ctx context.Context) ([]Post, error) {
	resp, err := e.client.Get(ctx, e.prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	var posts []Post
	for _, kv := range resp.Kvs {
		var p Post
		if err := json.Unmarshal(kv.Value, &p); err != nil {
			return nil, fmt.Errorf("board: %s: %w", kv.Key, err)
		}
		posts = append(posts, p)
	}
	return posts, nil
}

// Close implements Board.
func (e *Etcd) Close() error { return e.client.Close() }
