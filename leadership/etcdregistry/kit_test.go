package etcdregistry_test

import (
	"testing"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
	"github.com/tenure-go/tenure/leadership/leadershiptest"
)

func TestTheRegistryAndTheBarrierKeepTheirContracts(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{Members: 3})
	cfg := etcdregistry.Config{Endpoints: etcd.Endpoints()}
	t.Run("registry", func(t *testing.T) {
		name := names("registry")
		leadershiptest.Registry(t, func(t *testing.T) leadership.Registry {
			c := open(t, name(), cfg)
			return closingRegistry{c.Registry(), c}
		})
	})
	t.Run("barrier", func(t *testing.T) {
		name := names("barrier")
		current := ""
		leadershiptest.Barrier(t, func(t *testing.T) leadership.Barrier {
			current = name()
			c := open(t, current, cfg)
			return closingBarrier{c.Barrier(), c}
		}, func(t *testing.T, _ leadership.Barrier) leadership.Barrier {
			c := open(t, current, cfg)
			return closingBarrier{c.Barrier(), c}
		})
	})
}
