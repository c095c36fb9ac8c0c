package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// EtcdConfig describes an etcd cluster.
type EtcdConfig struct {
	_ struct{}

	// Name is the prefix of the members' names; "" is "e".
	Name string
	// Members is how many there are, 1 when it is 0.
	Members int
	// Scheme is that of the client addresses: "http" when it is "", or "https",
	// for which Flags give the certificates.
	Scheme string
	// Flags are added to the command line of each member after those of the
	// harness, so that they win.
	Flags []string
}

// EtcdCluster is an etcd cluster. Its members are Servers, to be killed, frozen
// and started again one by one.
type EtcdCluster struct {
	host    *Host
	conf    EtcdConfig
	members []*Server
	cluster string // guarded by the members' turns: written before any is started
}

// Etcd makes an etcd cluster and starts it: heartbeats every 50 ms, an election
// after 500 ms. A missing binary is a *NotFound.
func (h *Host) Etcd(ctx context.Context, c EtcdConfig) (*EtcdCluster, error) {
	if c.Members == 0 {
		c.Members = 1
	}
	if c.Name == "" {
		c.Name = "e"
	}
	if c.Scheme == "" {
		c.Scheme = "http"
	}
	if c.Members < 0 || c.Scheme != "http" && c.Scheme != "https" {
		return nil, fmt.Errorf("engines: etcd: %d members by %q", c.Members, c.Scheme)
	}
	var err error
	for range portTries {
		var e *EtcdCluster
		if e, err = h.etcd(ctx, c); err == nil {
			return e, nil
		}
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return nil, err
}

// etcd is one attempt: all members know all ports before the first one starts,
// so a port that was taken meanwhile spoils the cluster.
func (h *Host) etcd(ctx context.Context, c EtcdConfig) (*EtcdCluster, error) {
	e := &EtcdCluster{host: h, conf: c}
	for i := range c.Members {
		s, err := h.create(ctx, fmt.Sprintf("%s%d", c.Name, i+1), kind{
			engine: Etcd, ports: 2, binary: "etcd", args: e.args,
			probe: etcdListens, stop: syscall.SIGTERM, death: syscall.SIGKILL,
			prepare: func(*Server) error { return nil },
			fill: func(_ context.Context, s *Server) error {
				if err := os.Mkdir(s.Data(), 0o700); err != nil {
					return fmt.Errorf("engines: %w", err)
				}
				return own(s.Data(), s.user)
			},
		})
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		s.mu.Lock()
		s.ran = true // the others are told its ports
		s.mu.Unlock()
		e.members = append(e.members, s)
	}
	var peers []string
	for _, s := range e.members {
		peers = append(peers, s.name+"="+e.peerURL(s))
	}
	e.cluster = strings.Join(peers, ",")
	if err := e.startAll(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *EtcdCluster) startAll(ctx context.Context) error {
	errs := make([]error, len(e.members))
	var starting sync.WaitGroup
	for i, s := range e.members {
		starting.Go(func() { errs[i] = s.Start(ctx) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return e.Await(ctx)
}

func (e *EtcdCluster) clientURL(s *Server) string { return e.conf.Scheme + "://" + s.Addr() }

func (e *EtcdCluster) peerURL(s *Server) string {
	return fmt.Sprintf("http://127.0.0.1:%d", s.portAt(1))
}

func (e *EtcdCluster) args(s *Server) []string {
	client, peer := e.clientURL(s), e.peerURL(s)
	return append([]string{
		"--name", s.name, "--data-dir", s.Data() + "/etcd", "--logger", "zap", "--log-outputs", "stderr",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", e.cluster, "--initial-cluster-state", "new",
		"--initial-cluster-token", e.host.dir, "--heartbeat-interval", "50", "--election-timeout", "500",
	}, e.conf.Flags...)
}

// etcdListens waits for the port only: a gRPC client whose first dial is refused
// waits a second before the next. A member without a quorum listens too.
func etcdListens(ctx context.Context, addr string) error {
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Members returns the members, which may be killed, frozen and started again.
func (e *EtcdCluster) Members() []*Server { return append([]*Server(nil), e.members...) }

// Endpoints returns the URLs of all members for clients.
func (e *EtcdCluster) Endpoints() []string {
	var urls []string
	for _, s := range e.members {
		urls = append(urls, e.clientURL(s))
	}
	return urls
}

const healthBound = 30 * time.Second

// Await returns when a member that serves plain HTTP reports a healthy cluster.
// With https it returns at once, for only a client with certificates could ask.
// The bound is 30 s, or ctx.
func (e *EtcdCluster) Await(ctx context.Context) error {
	if e.conf.Scheme != "http" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthBound)
	defer cancel()
	var last error
	for {
		for _, s := range e.members {
			if last = healthy(ctx, e.clientURL(s)); last == nil {
				return nil
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("engines: etcd is not healthy: %w, last %w", err, last)
		}
	}
}

func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(b), `"true"`) {
		return fmt.Errorf("%s: %s", resp.Status, b)
	}
	return nil
}

// Close kills all members and removes their directories.
func (e *EtcdCluster) Close() error {
	var errs []error
	for _, s := range e.members {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
