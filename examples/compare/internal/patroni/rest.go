package patroni

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// member is what Patroni says of a node.
type member struct {
	Name, Role, State string
	Lag               any // a number, or "unknown"
}

// call asks a node's REST interface.
func (k *Cluster) call(ctx context.Context, n *node, method, path string, bound time.Duration, body any) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	var in bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&in).Encode(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.rest+path, &in)
	if err != nil {
		return 0, nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, b, err
}

func (k *Cluster) leads(ctx context.Context, n *node) bool {
	code, _, err := k.call(ctx, n, http.MethodGet, "/primary", 2*time.Second, nil)
	return err == nil && code == http.StatusOK
}

// members is the cluster as the first node that answers sees it, but for those.
func (k *Cluster) members(ctx context.Context, but ...string) (all []member) {
next:
	for _, n := range k.nodes {
		for _, b := range but {
			if n.name == b {
				continue next
			}
		}
		code, b, err := k.call(ctx, n, http.MethodGet, "/cluster", 2*time.Second, nil)
		if err != nil || code != http.StatusOK {
			continue
		}
		var c struct{ Members []member }
		if json.Unmarshal(b, &c) == nil {
			return c.Members
		}
	}
	return nil
}

// Leader is who leads and takes writes, when somebody does other than those.
func (k *Cluster) Leader(ctx context.Context, but ...string) (lead string, err error) {
	err = k.poll(ctx, "a leader", func(ctx context.Context) bool {
		for _, m := range k.members(ctx, but...) {
			n, err := k.node(m.Name)
			if err != nil || m.Role != "leader" {
				continue
			}
			for _, b := range but {
				if m.Name == b {
					return false
				}
			}
			lead = m.Name
			return k.leads(ctx, n)
		}
		return false
	})
	return lead, err
}

// Settled waits until one leads, one is its synchronous standby, and all three have
// everything.
func (k *Cluster) Settled(ctx context.Context) error {
	return k.poll(ctx, "three members, one of them synchronous", func(ctx context.Context) bool {
		lead, sync, up := 0, 0, 0
		for _, m := range k.members(ctx) {
			if m.State == "running" || m.State == "streaming" {
				up++
			}
			switch m.Role {
			case "leader":
				lead++
			case "sync_standby":
				sync++
			}
			if lag, ok := m.Lag.(float64); m.Role != "leader" && (!ok || lag > 0) {
				return false
			}
		}
		return lead == 1 && sync == 1 && up == len(k.nodes)
	})
}

// Switchover hands the leadership to the synchronous standby, and returns when Patroni
// says that it has it.
func (k *Cluster) Switchover(ctx context.Context) error {
	var from, to string
	for _, m := range k.members(ctx) {
		switch m.Role {
		case "leader":
			from = m.Name
		case "sync_standby":
			to = m.Name
		}
	}
	n, err := k.node(from)
	if err != nil {
		return err
	}
	code, b, err := k.call(ctx, n, http.MethodPost, "/switchover", bound, map[string]string{"leader": from, "candidate": to})
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("patroni: switchover: %d: %s", code, b)
	}
	return nil
}
