package config

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tenure-go/tenure/leadership"
)

// The engines.
const (
	MariaDBEngine  = "mariadb"
	PostgresEngine = "postgres"
)

// checker collects what is wrong, with its line.
type checker struct {
	file string
	root *yaml.Node
	errs []error
}

// bad notes that what is at the path, of keys and indices, is wrong. The line is
// that of the last part of the path that is there.
func (c *checker) bad(path, format string, args ...any) {
	c.errs = append(c.errs, &Error{File: c.file, Line: c.line(path), Reason: path + " " + fmt.Sprintf(format, args...)})
}

func (c *checker) line(path string) int {
	at, line := c.root, 0
	for part := range strings.SplitSeq(path, ".") {
		next := child(at, part)
		if next == nil {
			return line
		}
		at, line = next, next.Line
	}
	return line
}

// child is what a key of a mapping, or an index of a list, holds. For a mapping its
// line is that of the key.
func child(n *yaml.Node, part string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				v := *n.Content[i+1]
				v.Line = n.Content[i].Line
				return &v
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}

var (
	byName      = regexp.MustCompile(`^[a-z0-9-]{1,12}$`)
	watcherName = regexp.MustCompile(`^[a-z0-9-]{1,20}$`)
)

// check fills in the defaults and notes what cannot be used.
func (cfg *Config) check(c *checker) {
	if cfg.Cluster == "" {
		c.bad("cluster", "is missing: it names the cluster in the registry")
	}
	if cfg.By = cmp.Or(cfg.By, hostName()); !byName.MatchString(cfg.By) {
		c.bad("by", "is %q, want 1 to 12 of a-z, 0-9 and -", cfg.By)
	}
	switch cfg.Mode = cmp.Or(cfg.Mode, leadership.Full); cfg.Mode {
	case leadership.Full, leadership.Shortcut:
	default:
		c.bad("mode", "is %q, want full or shortcut", cfg.Mode)
	}
	cfg.checkRegistry(c)
	cfg.checkEngine(c)
	cfg.checkAgents(c)
	cfg.checkNodes(c)
	cfg.checkWatch(c)
}

// hostName makes a name of this host's.
func hostName() string {
	h, _ := os.Hostname() // without one the default is "guard"
	h = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(h))
	return cmp.Or(h[:min(len(h), 12)], "guard")
}

func (cfg *Config) checkRegistry(c *checker) {
	r := &cfg.Registry
	switch {
	case (r.File == "") == (r.Etcd == nil):
		c.bad("registry", "needs exactly one of file and etcd")
	case r.File != "":
		c.directory("registry.file", r.File)
	default:
		if len(r.Etcd.Endpoints) == 0 {
			c.bad("registry.etcd.endpoints", "is missing")
		}
		if r.Etcd.Password.IsZero() != (r.Etcd.User == "") {
			c.bad("registry.etcd", "needs both user and password, or neither")
		}
		r.Etcd.Prefix = cmp.Or(r.Etcd.Prefix, "/tenure/")
		c.tls("registry.etcd.tls", r.Etcd.TLS)
	}
	switch b := cfg.Barrier; {
	case b.File != "" && b.Etcd:
		c.bad("barrier", "needs one of file and etcd, not both")
	case b.Etcd && r.Etcd == nil:
		c.bad("barrier.etcd", "is beside the registry in etcd, and the registry is not there")
	case b.File != "":
		c.directory("barrier.file", cfg.Barrier.File)
	}
}

// directory refuses a file in a directory that is not there.
func (c *checker) directory(path, file string) {
	if st, err := os.Stat(filepath.Dir(file)); err != nil || !st.IsDir() {
		c.bad(path, "is %s, in a directory that is not there", file)
	}
}

func (c *checker) tls(path string, t *TLS) {
	if t == nil {
		return
	}
	if (t.Cert == "") != (t.Key == "") {
		c.bad(path, "needs both cert and key, or neither")
	}
	for _, f := range []struct{ key, file string }{{"ca", t.CA}, {"cert", t.Cert}, {"key", t.Key}} {
		if _, err := os.Stat(f.file); f.file != "" && err != nil {
			c.bad(path+"."+f.key, "is %s, which cannot be read: %s", f.file, reason(err))
		}
	}
}

func (cfg *Config) checkNodes(c *checker) {
	if len(cfg.Nodes) == 0 {
		c.bad("nodes", "is missing: it lists the servers")
		return
	}
	seen := map[leadership.NodeID]bool{}
	for i := range cfg.Nodes {
		n, path := &cfg.Nodes[i], fmt.Sprintf("nodes.%d", i)
		switch err := n.ID.Validate(); {
		case err != nil:
			c.bad(path+".id", "cannot be used: %v", err)
		case seen[n.ID]:
			c.bad(path+".id", "is %s, as another node's is", n.ID)
		}
		seen[n.ID] = true
		n.Admin, n.Replication = cmp.Or(n.Admin, n.Addr), cmp.Or(n.Replication, n.Addr)
		for _, a := range []struct{ key, addr string }{{"addr", n.Addr}, {"admin", n.Admin}, {"replication", n.Replication}} {
			if _, port, err := net.SplitHostPort(a.addr); err != nil || port == "" {
				c.bad(path+"."+a.key, "is %q, want host:port", a.addr)
				break
			}
		}
		if n.Weight < 0 || n.Weight > math.MaxUint16 {
			c.bad(path+".weight", "is %d, want 0 to %d", n.Weight, math.MaxUint16)
		}
		cfg.checkNodeEngine(c, path, n)
	}
	if cfg.Policy == "" {
		return
	}
	if _, err := cfg.Ruleset(); err != nil {
		c.bad("policy", "cannot be used: %v", err)
	}
}

// Ruleset returns what bootstrap and adopt begin with.
func (cfg *Config) Ruleset() (leadership.Ruleset, error) {
	if cfg.Policy == "" {
		return leadership.Ruleset{}, &Error{File: "configuration", Reason: "policy is missing: bootstrap and adopt need to know when a write is durable"}
	}
	p, err := (*leadership.Catalog)(nil).ParsePolicy(cfg.Policy)
	if err != nil {
		return leadership.Ruleset{}, err
	}
	var members []leadership.Node
	for _, n := range cfg.Nodes {
		members = append(members, leadership.Node{ID: n.ID, Zone: n.Zone, Weight: n.Weight, Ineligible: n.NeverLeads})
	}
	return leadership.NewRuleset(p, members...)
}

// WatcherName reports whether an observer may be called so.
func WatcherName(s string) bool { return watcherName.MatchString(s) }

// checkWatch checks how the bounds relate: a leader must not be called dead sooner
// than it can be asked twice.
func (cfg *Config) checkWatch(c *checker) {
	w := &cfg.Watch
	def := func(d *Duration, v time.Duration) { *d = cmp.Or(*d, Duration(v)) }
	w.Name = cmp.Or(w.Name, cfg.By)
	w.Observers = cmp.Or(w.Observers, 1)
	w.Most = cmp.Or(w.Most, 3)
	def(&w.Interval, 250*time.Millisecond)
	interval := time.Duration(w.Interval)
	def(&w.Timeout, max(interval, time.Second))
	def(&w.DeadAfter, max(6*interval, 6*time.Second))
	def(&w.RefusedAfter, 2*interval)
	def(&w.Grace, time.Minute)
	def(&w.Calm, 10*time.Minute)
	def(&w.Retry, 10*time.Second)
	def(&w.Window, time.Hour)
	if w.Share == "" && cfg.Registry.File != "" {
		w.Share = cfg.Registry.File + ".watch"
	}
	if !WatcherName(w.Name) {
		c.bad("watch.name", "is %q, want 1 to 20 of a-z, 0-9 and -", w.Name)
	}
	switch {
	case w.Observers < 1 || w.Observers > 64:
		c.bad("watch.observers", "is %d, want 1 to 64", w.Observers)
	case w.Most < 1:
		c.bad("watch.most", "is %d, want at least 1", w.Most)
	case interval < 10*time.Millisecond:
		c.bad("watch.interval", "is %s, want at least 10ms", interval)
	case w.RefusedAfter < w.Interval:
		c.bad("watch.refused_after", "is %s, below the interval of %s: one look must not be enough", time.Duration(w.RefusedAfter), interval)
	case time.Duration(w.DeadAfter) < 2*max(interval, time.Duration(w.Timeout)):
		c.bad("watch.dead_after", "is %s, below two looks of up to %s each", time.Duration(w.DeadAfter), max(interval, time.Duration(w.Timeout)))
	case w.DeadAfter < w.RefusedAfter:
		c.bad("watch.dead_after", "is %s, below refused_after, which is %s", time.Duration(w.DeadAfter), time.Duration(w.RefusedAfter))
	case w.Window < w.Calm:
		c.bad("watch.window", "is %s, below calm, which is %s", time.Duration(w.Window), time.Duration(w.Calm))
	}
}
