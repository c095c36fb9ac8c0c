// Package stage puts up three real servers of an engine on loopback with a
// configuration of the tool for them, for the demo and for tests.
//
//	s, err := stage.New(ctx, host, stage.Options{Engine: config.MariaDBEngine, Dir: dir})
//	// failover setup all -config s.Config
//	// failover adopt -to n1 -config s.Config, or bootstrap
//	l, err := load.Start(ctx, s.Load(4))
//
// The accounts are the least privileged ones that the node packages document, with
// passwords, which are in files.
package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/load"
	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
)

// Options say what to put up.
type Options struct {
	// Engine is one of the configuration's. Required.
	Engine string
	// Dir is where the configuration, the registry and the passwords go. It must
	// exist and be empty. Required.
	Dir string
	// Registry is the section registry of the configuration, in YAML, when it is
	// not a file in Dir. Barrier likewise.
	Registry, Barrier string
	// Etcd are the endpoints of an etcd that has the registry and the barrier
	// instead, for the load too.
	Etcd []string
	// Agents has an agent beside each server, of the engine postgres, for which
	// Start and stop are the caller's affair: Config knows their URLs and no more,
	// and Beside is what each of them reads.
	Agents bool
	// More is put at the end of the configuration.
	More string
}

// The passwords: any text that must be seen nowhere.
const (
	AdminPassword       = "adm1n'Secret\\9"
	ReplicationPassword = "repl1ca-Secret"
	AppPassword         = "app-Secret"
)

// cluster is the name of every stage's cluster.
const cluster = "demo"

// Stage is three servers.
type Stage struct {
	Options
	IDs     []leadership.NodeID
	agents  string
	Servers map[leadership.NodeID]*engines.Server
	// Config is the path of the tool's configuration, and Beside that of agents'.
	Config, Beside string
	// Agents are the URLs of the agents.
	URLs map[leadership.NodeID]string
}

// cast is what differs between engines.
type cast struct {
	server func(ctx context.Context, host *engines.Host, i int) (*engines.Server, error)
	// section is the engine's in the configuration, node that of a node.
	section string
	node    func(s *Stage, srv *engines.Server, id leadership.NodeID) (string, error)
	// comeBack does what a service manager does for a server that was killed.
	comeBack func(context.Context, *engines.Server) error
	insert   string
	rows     func(ctx context.Context, addr string) ([]int64, error)
}

func (o Options) cast() (cast, error) {
	switch o.Engine {
	case config.MariaDBEngine:
		return mariadbCast(), nil
	case config.PostgresEngine:
		return postgresCast(), nil
	}
	return cast{}, fmt.Errorf("stage: there is no engine %q", o.Engine)
}

// New starts the servers and writes the configuration. The servers end with the
// host.
func New(ctx context.Context, host *engines.Host, o Options) (*Stage, error) {
	c, err := o.cast()
	if err != nil {
		return nil, err
	}
	s := &Stage{Options: o, Servers: map[leadership.NodeID]*engines.Server{}, Config: filepath.Join(o.Dir, "failover.yaml"), Beside: filepath.Join(o.Dir, "agent.yaml")}
	var wg sync.WaitGroup
	servers, errs := make([]*engines.Server, 3), make([]error, 3)
	for i := range servers {
		s.IDs = append(s.IDs, leadership.NodeID(fmt.Sprintf("n%d", i+1)))
		wg.Go(func() {
			if servers[i], errs[i] = c.server(ctx, host, i); errs[i] == nil {
				errs[i] = servers[i].Start(ctx)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, id := range s.IDs {
		s.Servers[id] = servers[i]
	}
	return s, s.write(c)
}

// write writes the passwords and the configuration.
func (s *Stage) write(c cast) error {
	for name, pw := range map[string]string{"admin": AdminPassword, "replication": ReplicationPassword, "app": AppPassword} {
		if err := os.WriteFile(s.secret(name), []byte(pw+"\n"), 0o600); err != nil {
			return err
		}
	}
	registry, barrier := s.Registry, s.Barrier
	if len(s.Etcd) > 0 {
		registry, barrier = "{etcd: {endpoints: ["+strings.Join(s.Etcd, ", ")+"]}}", "{etcd: true}"
	}
	if registry == "" {
		registry = "{file: " + filepath.Join(s.Dir, "registry") + "}"
	}
	if barrier == "" {
		barrier = "{file: " + filepath.Join(s.Dir, "barrier") + "}"
	}
	if s.Agents {
		if err := s.findAgents(); err != nil {
			return err
		}
	}
	nodes := map[leadership.NodeID]string{}
	for _, id := range s.IDs {
		var err error
		if nodes[id], err = c.node(s, s.Servers[id], id); err != nil {
			return err
		}
	}
	compose := func(path, section string, local bool) error {
		var b strings.Builder
		fmt.Fprintf(&b, "cluster: %s\nengine: %s\nby: tool\npolicy: at-least(2)\nregistry: %s\nbarrier: %s\n", cluster, s.Engine, registry, barrier)
		b.WriteString(strings.NewReplacer("ADMIN", s.secret("admin"), "REPLICATION", s.secret("replication")).Replace(section))
		b.WriteString("nodes:\n")
		for _, id := range s.IDs {
			fmt.Fprintf(&b, "  - id: %s\n    addr: %s\n", id, s.Servers[id].Addr())
			if s.Agents {
				fmt.Fprintf(&b, "    agent: %s\n", s.URLs[id])
			}
			if local {
				b.WriteString(nodes[id])
			}
		}
		b.WriteString(s.More)
		return os.WriteFile(path, []byte(b.String()), 0o600)
	}
	if !s.Agents {
		return compose(s.Config, c.section, true)
	}
	// The tool needs no password of the servers.
	remote := regexp.MustCompile(`(?m)^ *password:.*\n`).ReplaceAllString(c.section, "")
	return errors.Join(compose(s.Config, remote+s.agents, false), compose(s.Beside, c.section+s.agents, true))
}

// findAgents finds addresses and makes certificates.
func (s *Stage) findAgents() error {
	ca, cert, key, err := Certificates(s.Dir)
	if err != nil {
		return err
	}
	s.agents = fmt.Sprintf("agents:\n  tls: {ca: %s, cert: %s, key: %s}\n  stop: 10s\n", ca, cert, key)
	s.URLs = map[leadership.NodeID]string{}
	for _, id := range s.IDs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.URLs[id] = "https://" + ln.Addr().String()
		defer ln.Close() // all are open until each has another
	}
	return nil
}

func (s *Stage) secret(name string) string { return filepath.Join(s.Dir, name+".password") }

// ComeBack brings a killed server to where rejoin can take it back.
func (s *Stage) ComeBack(ctx context.Context, id leadership.NodeID) error {
	c, err := s.cast()
	if err != nil {
		return err
	}
	return c.comeBack(ctx, s.Servers[id])
}

// Load is a load of so many writers, in two processes, for a stage with its registry
// in a file of its own or in Etcd. The program that is started is exe, "" for this one.
func (s *Stage) Load(writers int, exe string) (load.Config, error) {
	c, err := s.cast()
	if err != nil {
		return load.Config{}, err
	}
	dir := filepath.Join(s.Dir, "load")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return load.Config{}, err
	}
	spec := load.Spec{
		Dir: dir, Cluster: cluster, Registry: filepath.Join(s.Dir, "registry"), Barrier: filepath.Join(s.Dir, "barrier"),
		Writers: max(writers/2, 1), InTx: true, Insert: c.insert,
		Extra: map[string]string{"engine": s.Engine, "password": s.secret("app"), "etcd": strings.Join(s.Etcd, ",")},
	}
	if len(s.Etcd) > 0 {
		spec.Registry, spec.Barrier = "", ""
	}
	return load.Config{Workers: 2, Exe: exe, Spec: spec}, nil
}

// OpenLoad is how a worker of a load reaches the servers: load.Main takes it.
func OpenLoad(spec load.Spec) (load.Engine, error) {
	pw, err := config.Secret{File: spec.Extra["password"]}.Value()
	if err != nil {
		return load.Engine{}, err
	}
	var e load.Engine
	switch spec.Extra["engine"] {
	case config.MariaDBEngine:
		e, err = mariadbLoad(pw)
	case config.PostgresEngine:
		e, err = postgresLoad(pw)
	default:
		err = fmt.Errorf("stage: there is no engine %q", spec.Extra["engine"])
	}
	if at := spec.Extra["etcd"]; err == nil && at != "" {
		client, err := etcdregistry.Open(spec.Cluster, etcdregistry.Config{Endpoints: strings.Split(at, ",")})
		if err != nil {
			return load.Engine{}, err
		}
		e.Registry, e.Barrier, e.Close = client.Registry(), client.Barrier(), client.Close
	}
	return e, err
}

// Rows reads the ids that a server has.
func (s *Stage) Rows(ctx context.Context, id leadership.NodeID) (load.Rows, error) {
	c, err := s.cast()
	if err != nil {
		return load.Rows{}, err
	}
	ids, err := c.rows(ctx, s.Servers[id].Addr())
	return load.Rows{Node: string(id), IDs: ids}, err
}
