// Package patroni runs three PostgreSQL servers under Patroni, with HAProxy in front of
// them, on loopback.
//
//	c, err := patroni.New(ctx, host, patroni.Config{Etcd: addr, Settings: patroni.Default(), Setup: sql})
//	defer c.Close()
//	err = c.Switchover(ctx)
//
// # Guarantees
//
// Its programs are those that are installed, with the settings that Settings has and
// otherwise their own. Close ends all of them.
//
// # What it does not guarantee
//
// That the leader which Patroni names is one that takes writes.
//
// # Assumptions
//
// One etcd, which stays up. The goroutine that uses a Cluster is locked to its thread.
//
// # State model
//
// Patroni's.
//
// # Failure handling
//
// A cluster that does not come up is an error with the end of the log of a node.
package patroni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenure-go/tenure/examples/compare/internal/child"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/netproxy"
)

// Settings are what differs between the clusters that are compared.
type Settings struct {
	// TTL, LoopWait and RetryTimeout are Patroni's, in seconds.
	TTL, LoopWait, RetryTimeout int
	// Inter is HAProxy's time between two checks, after Fall of which a server is
	// out, and after Rise in.
	Inter      string
	Fall, Rise int
}

// Default is what Patroni and the HAProxy configuration in its repository come with,
// with synchronous_mode on.
func Default() Settings {
	return Settings{TTL: 30, LoopWait: 10, RetryTimeout: 10, Inter: "3s", Fall: 3, Rise: 2}
}

// Tuned is as quick as Patroni lets itself be set.
func Tuned() Settings {
	return Settings{TTL: 20, LoopWait: 1, RetryTimeout: 3, Inter: "250ms", Fall: 2, Rise: 1}
}

func (s Settings) String() string {
	return fmt.Sprintf("ttl %d, loop_wait %d, retry_timeout %d, synchronous_mode on; HAProxy inter %s fall %d rise %d", s.TTL, s.LoopWait, s.RetryTimeout, s.Inter, s.Fall, s.Rise)
}

// Config says what to run.
type Config struct {
	_ struct{}

	// Etcd is the host:port of an etcd. Required.
	Etcd string
	// Settings is one of the above. Required.
	Settings Settings
	// Setup is SQL that is run once on the first leader.
	Setup []string
	// HBA is pg_hba.conf, a rule on each line. Required.
	HBA string
}

// Missing says which program is not installed, nil when all are.
func Missing() error {
	var errs []error
	for _, p := range []string{"patroni", "haproxy"} {
		if _, err := program(p); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// program finds one, also where administrators' programs are.
func program(name string) (string, error) {
	for _, at := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if p, err := exec.LookPath(at); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; make compare installs it from apt", name)
}

// Versions are what the programs say that they are.
func Versions(ctx context.Context) string {
	var all []string
	for _, c := range [][]string{{"patroni", "--version"}, {"haproxy", "-v"}} {
		p, err := program(c[0])
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(ctx, p, c[1:]...).Output()
		if err != nil {
			out = []byte(err.Error())
		}
		line, _, _ := strings.Cut(string(out), "\n")
		all = append(all, strings.TrimSpace(line))
	}
	return strings.Join(all, "; ")
}

// Cluster is three nodes.
type Cluster struct {
	conf  Config
	nodes []*node
	proxy *child.Child
	at    string // where HAProxy listens
}

// node is a server and the Patroni beside it.
type node struct {
	name    string
	srv     *engines.Server
	rest    string // host:port
	conf    string // path
	patroni *child.Child
}

const bound = 90 * time.Second

// New brings a cluster up, with one synchronous standby.
func New(ctx context.Context, host *engines.Host, c Config) (_ *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	k := &Cluster{conf: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	for i := range 3 {
		if err := k.add(ctx, host, fmt.Sprintf("p%d", i+1)); err != nil {
			return nil, err
		}
	}
	first := k.nodes[0]
	if err := k.start(ctx, first); err != nil {
		return nil, err
	}
	if err := k.poll(ctx, "the first leader", func(ctx context.Context) bool { return k.leads(ctx, first) }); err != nil {
		return nil, err
	}
	if err := k.setup(ctx, first); err != nil {
		return nil, err
	}
	for _, n := range k.nodes[1:] {
		if err := k.start(ctx, n); err != nil {
			return nil, err
		}
	}
	if err := k.startProxy(ctx); err != nil {
		return nil, err
	}
	return k, k.Settled(ctx)
}

// add places a node. Its data directory is Patroni's to make.
func (k *Cluster) add(ctx context.Context, host *engines.Host, name string) error {
	srv, err := host.Postgres(ctx, engines.PostgresConfig{Name: name})
	if err != nil {
		return err
	}
	port, err := netproxy.FreePort()
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	n := &node{name: name, srv: srv, rest: fmt.Sprintf("127.0.0.1:%d", port), conf: filepath.Join(srv.Dir(), "patroni.yml")}
	k.nodes = append(k.nodes, n)
	return errors.Join(os.RemoveAll(srv.Data()), os.WriteFile(n.conf, []byte(k.yaml(n)), 0o644))
}

// start starts the Patroni of a node, which starts the server.
func (k *Cluster) start(ctx context.Context, n *node) error {
	path, err := program("patroni")
	if err != nil {
		return err
	}
	// The context of a command would end it; a node ends by Close.
	cmd, err := n.srv.Command(context.WithoutCancel(ctx), path, n.conf)
	if err != nil {
		return err
	}
	cmd.Dir = n.srv.Dir()
	cmd.Env = append(cmd.Environ(), "HOME="+n.srv.Dir())
	n.patroni, err = child.Start(cmd, filepath.Join(k.logs(), n.name+".log"))
	return err
}

// logs is a directory that we may write to.
func (k *Cluster) logs() string { return k.nodes[0].srv.Dir() }

func (k *Cluster) setup(ctx context.Context, n *node) error {
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable", n.srv.Port()))
	if err != nil {
		return err
	}
	for _, q := range k.conf.Setup {
		if _, err = conn.Exec(ctx, q); err != nil {
			break
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

// poll waits until ok.
func (k *Cluster) poll(ctx context.Context, what string, ok func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			err := fmt.Errorf("patroni: waiting for %s: %w", what, context.Cause(ctx))
			for _, n := range k.nodes {
				if n.patroni != nil {
					err = errors.Join(err, fmt.Errorf("%s: %s", n.name, n.patroni.Tail()))
				}
			}
			return err
		}
	}
	return nil
}

// Names are the names of the nodes.
func (k *Cluster) Names() (names []string) {
	for _, n := range k.nodes {
		names = append(names, n.name)
	}
	return names
}

// Addrs are where the servers are, in the order of Names.
func (k *Cluster) Addrs() (addrs []string) {
	for _, n := range k.nodes {
		addrs = append(addrs, n.srv.Addr())
	}
	return addrs
}

// Proxy is where HAProxy listens for whoever wants the leader.
func (k *Cluster) Proxy() string { return k.at }

func (k *Cluster) node(name string) (*node, error) {
	for _, n := range k.nodes {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("patroni: there is no node %q", name)
}

// KillServer ends a server and its children with SIGKILL, and leaves Patroni alone.
func (k *Cluster) KillServer(name string) error {
	n, err := k.node(name)
	if err != nil {
		return err
	}
	return n.srv.Kill()
}

// KillNode ends Patroni, and the server likewise.
func (k *Cluster) KillNode(name string) error {
	n, err := k.node(name)
	if err != nil {
		return err
	}
	return errors.Join(n.patroni.Kill(), n.srv.Kill())
}

// StartNode starts a node that was killed.
func (k *Cluster) StartNode(ctx context.Context, name string) error {
	n, err := k.node(name)
	if err != nil {
		return err
	}
	return k.start(ctx, n)
}

// Freeze stops Patroni and the server with SIGSTOP.
func (k *Cluster) Freeze(name string) error {
	n, err := k.node(name)
	if err != nil {
		return err
	}
	return errors.Join(n.patroni.Signal(syscall.SIGSTOP), n.srv.Freeze())
}

// Thaw lets both go on, the server first.
func (k *Cluster) Thaw(name string) error {
	n, err := k.node(name)
	if err != nil {
		return err
	}
	return errors.Join(n.srv.Thaw(), n.patroni.Signal(syscall.SIGCONT))
}

// Close ends everything.
func (k *Cluster) Close() error {
	errs := []error{k.proxy.Kill()}
	for _, n := range k.nodes {
		errs = append(errs, n.patroni.Kill())
	}
	for _, n := range k.nodes {
		errs = append(errs, n.srv.Close())
	}
	return errors.Join(errs...)
}

// startProxy starts HAProxy with the configuration that Patroni's repository has.
func (k *Cluster) startProxy(ctx context.Context) error {
	path, err := program("haproxy")
	if err != nil {
		return err
	}
	port, err := netproxy.FreePort()
	if err != nil {
		return err
	}
	k.at = fmt.Sprintf("127.0.0.1:%d", port)
	conf := filepath.Join(k.logs(), "haproxy.cfg")
	if err := os.WriteFile(conf, []byte(k.haproxy()), 0o644); err != nil {
		return err
	}
	cmd, err := k.nodes[0].srv.Command(context.WithoutCancel(ctx), path, "-db", "-f", conf)
	if err != nil {
		return err
	}
	if k.proxy, err = child.Start(cmd, filepath.Join(k.logs(), "haproxy.log")); err != nil {
		return err
	}
	return k.poll(ctx, "HAProxy", func(ctx context.Context) bool {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", k.at)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}
