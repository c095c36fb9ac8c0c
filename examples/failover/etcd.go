package main

import (
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/tenure-go/tenure/examples/failover/internal/board"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

// openEtcd opens the registry, the barrier and the board in etcd.
func (cl *cluster) openEtcd() error {
	e := cl.cfg.Registry.Etcd
	password, err := e.Password.Value()
	if err != nil {
		return err
	}
	tlsConf, err := tlsConfig(e.TLS)
	if err != nil {
		return err
	}
	client, err := etcdregistry.Open(cl.cfg.Cluster, etcdregistry.Config{
		Endpoints: e.Endpoints, Prefix: e.Prefix, TLS: tlsConf, Username: e.User, Password: etcdregistry.Secret(password),
	})
	if err != nil {
		return err
	}
	cl.reg = client.Registry()
	cl.closers = append(cl.closers, client.Close)
	if cl.cfg.Barrier.Etcd {
		cl.barrier = client.Barrier()
	}
	cl.board = func() (board.Board, error) {
		return board.OpenEtcd(clientv3.Config{
			Endpoints: e.Endpoints, TLS: tlsConf, Username: e.User, Password: password,
			DialTimeout: time.Duration(cl.cfg.Watch.Timeout), Logger: zap.NewNop(),
		}, e.Prefix, cl.cfg.Cluster)
	}
	return nil
}
