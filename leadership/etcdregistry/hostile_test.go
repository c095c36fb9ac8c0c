package etcdregistry_test

import (
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/hostile"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

// What nobody opened is closed.
func TestG10_NothingPanicsWhateverItIsGiven(t *testing.T) {
	t.Parallel()
	term := leadership.Term{Num: 3, Proposer: "c1"}
	lease := leadership.RouterLease{Router: "r1", Session: "s1", TTL: time.Second}
	hostile.Check(t, hostile.Table{
		Funcs: map[string]any{"Open": func(cluster string, endpoints []string, d time.Duration) error {
			c, err := etcdregistry.Open(cluster, etcdregistry.Config{Endpoints: endpoints, Attempt: d, Patience: d, Recheck: d})
			if err == nil {
				err = c.Close()
			}
			return err
		}},
		Types: map[string]any{
			"Barrier": &etcdregistry.Barrier{}, "Client": &etcdregistry.Client{}, "ConfigError": &etcdregistry.ConfigError{}, "Held": &etcdregistry.Held{},
			"Lock": &etcdregistry.Lock{}, "LockHeldError": &etcdregistry.LockHeldError{}, "LockLostError": &etcdregistry.LockLostError{},
			"NotOwnerError": &etcdregistry.NotOwnerError{}, "RefusedError": &etcdregistry.RefusedError{},
			"Registry":     []any{&etcdregistry.Registry{}, (&etcdregistry.Client{}).Registry(), (&etcdregistry.Held{}).Registry()},
			"RewoundError": &etcdregistry.RewoundError{}, "Secret": new(etcdregistry.Secret), "UnavailableError": &etcdregistry.UnavailableError{}, "UnknownError": &etcdregistry.UnknownError{},
		},
		Values: []any{term, lease, leadership.Record{Cluster: "orders", Mode: leadership.Full}, []string{"http://127.0.0.1:1"}, time.Second},
		Skip:   map[string]string{"Secret.Format": "fmt gives it its State"},
	})
}
