// Package config reads the tool's configuration: one YAML file that is checked
// whole before anything is opened, and that never holds a password.
//
//	cfg, err := config.Load("failover.yaml")
//
// Unknown and repeated keys are refused with their line, as are values that make
// no sense. A password is {env: NAME} or {file: PATH}; it is read by
// Secret.Value when it is needed.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/reparent"
)

// Config is the whole file.
type Config struct {
	// Cluster names the cluster in the registry. Required.
	Cluster string `yaml:"cluster"`
	// Engine is "mariadb" or "postgres". Required.
	Engine string `yaml:"engine"`
	// By names whoever runs the tool in records and terms, [a-z0-9-]{1,12}.
	// Default: made from the host's name.
	By string `yaml:"by"`
	// Policy is the durability policy that bootstrap and adopt begin with, such
	// as "at-least(2)". Later the record says which one is in force.
	Policy string `yaml:"policy"`
	// Mode is "full" (the default) or "shortcut", for bootstrap and adopt.
	Mode leadership.Mode `yaml:"mode"`

	Registry Registry  `yaml:"registry"`
	Barrier  Barrier   `yaml:"barrier"`
	MariaDB  *MariaDB  `yaml:"mariadb"`
	Postgres *Postgres `yaml:"postgres"`
	Agents   *Agents   `yaml:"agents"`
	Nodes    []Node    `yaml:"nodes"`
	Limits   Limits    `yaml:"limits"`
	Watch    Watch     `yaml:"watch"`
}

// Registry says where the record is: exactly one of the two.
type Registry struct {
	// File is a file on a local file system, for tools on one machine.
	File string `yaml:"file"`
	Etcd *Etcd  `yaml:"etcd"`
}

// Etcd is an etcd cluster.
type Etcd struct {
	Endpoints []string `yaml:"endpoints"`
	// Prefix is put before the keys. Default "/tenure/".
	Prefix   string `yaml:"prefix"`
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	TLS      *TLS   `yaml:"tls"`
}

// TLS names files in PEM.
type TLS struct {
	// CA checks the server. Default: the system's.
	CA string `yaml:"ca"`
	// Cert and Key are the client's own, both or none.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is what the server's certificate has to be for. Default: the
	// host that is dialled.
	ServerName string `yaml:"server_name"`
}

// Barrier is where routers say that they are quiet, at most one of the two. Without
// one a planned change does not wait for them.
type Barrier struct {
	File string `yaml:"file"`
	// Etcd takes the one beside the registry.
	Etcd bool `yaml:"etcd"`
}

// MariaDB is what the nodes of the engine have in common.
type MariaDB struct {
	// User and Password are of the account that the tool works with.
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	TLS      *TLS   `yaml:"tls"`
	// Replication is the account by which nodes follow the leader.
	Replication MariaDBReplication `yaml:"replication"`
	// RestartsFenced is your statement that every server's option files have
	// read_only=1, skip_slave_start=1 and rpl_semi_sync_master_enabled=0. Without
	// it no node may lead.
	RestartsFenced bool `yaml:"restarts_fenced"`
	// Schema holds the nodes' records. Default "tenure".
	Schema string `yaml:"schema"`
}

// MariaDBReplication is how nodes follow the leader.
type MariaDBReplication struct {
	User      string   `yaml:"user"`
	Password  Secret   `yaml:"password"`
	Heartbeat Duration `yaml:"heartbeat"`
	// TLS has them connect with TLS; its files are on the servers.
	TLS *TLS `yaml:"tls"`
}

// MariaDBNode is what only one node of the engine has. Commands are a program and
// its arguments; no shell reads them.
type MariaDBNode struct {
	// Kill ends the server's process with SIGKILL and returns when it is gone.
	// It is run for a leader whose commits wait for acknowledgements for ever.
	Kill []string `yaml:"kill"`
	// Rebuild makes the server's data a copy of another node's and returns when
	// it serves again. It is run by rejoin for a node that went astray, with
	// TENURE_NODE, TENURE_FROM and TENURE_FROM_ADDR in its environment.
	Rebuild []string `yaml:"rebuild"`
}

// Postgres is what the nodes of the engine have in common.
type Postgres struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	// Database is the one to connect to. Default "postgres".
	Database string `yaml:"database"`
	// SSLMode is libpq's. Default "prefer".
	SSLMode     string  `yaml:"sslmode"`
	Replication Account `yaml:"replication"`
	// AdmitMethod is how the tool and replication authenticate at a server that
	// keeps clients out. Default "scram-sha-256".
	AdmitMethod string `yaml:"admit_method"`
}

// Agents says how this tool and the agents of nodes know each other.
type Agents struct {
	// TLS is for agents at https, all of it but server_name required: each side
	// shows Cert to the other and takes nobody whose certificate is not of CA.
	TLS *TLS `yaml:"tls"`
	// Token is a file with what a caller has to know. Required for agents at http.
	Token Secret `yaml:"token"`
	// Stop is how long an agent that is ended waits for the calls that it is in.
	// Default 20s.
	Stop Duration `yaml:"stop"`
}

// Account is a user of a server.
type Account struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
}

// Node is one server.
type Node struct {
	ID leadership.NodeID `yaml:"id"`
	// Addr is host:port where clients reach it. Required.
	Addr string `yaml:"addr"`
	// Admin is where this tool reaches it, Replication where its peers do.
	// Default: Addr.
	Admin       string `yaml:"admin"`
	Replication string `yaml:"replication"`
	Zone        string `yaml:"zone"`
	Weight      int    `yaml:"weight"`
	// Priority prefers a node among equal candidates; higher is better.
	Priority int `yaml:"priority"`
	// NeverLeads keeps the node from leading.
	NeverLeads bool `yaml:"never_leads"`
	// Agent is the URL of the agent that runs beside the server, for the engine
	// postgres: https://host:port, or http with a loopback address. Without it the
	// tool works on the server's files, which have to be on this machine.
	Agent    string        `yaml:"agent"`
	MariaDB  *MariaDBNode  `yaml:"mariadb"`
	Postgres *PostgresNode `yaml:"postgres"`
}

// PostgresNode is what only one node of the engine has. Its paths are on the server's
// machine: this one, or that of the node's agent.
type PostgresNode struct {
	// Data is the data directory. Required.
	Data string `yaml:"data"`
	// Dir keeps what the node must not forget, its promises above all, outside
	// of Data. Required.
	Dir string `yaml:"dir"`
	// HBA is pg_hba.conf. Default: the one in Data.
	HBA string `yaml:"hba"`
	// Bin has PostgreSQL's programs. Default: the newest that are installed.
	Bin string `yaml:"bin"`
	// Log is the server's log until its own configuration takes over. It must not
	// be in Data.
	Log string `yaml:"log"`
	// Options are those of the postgres command.
	Options string `yaml:"options"`
}

// Limits bound the steps of a change; see reparent.Limits for the defaults.
type Limits struct {
	Status   Duration `yaml:"status"`
	Prepare  Duration `yaml:"prepare"`
	Drain    Duration `yaml:"drain"`
	Revoke   Duration `yaml:"revoke"`
	Install  Duration `yaml:"install"`
	Grant    Duration `yaml:"grant"`
	Registry Duration `yaml:"registry"`
	Undo     Duration `yaml:"undo"`
	// Linger is 5s by default in a planned change and a refresh.
	Linger  Duration `yaml:"linger"`
	HoldFor Duration `yaml:"hold_for"`
	Quiet   Duration `yaml:"quiet"`
	Retry   Duration `yaml:"retry"`
}

// Reparent returns the limits of a guard.
func (l Limits) Reparent() reparent.Limits {
	return reparent.Limits{
		Status: time.Duration(l.Status), Prepare: time.Duration(l.Prepare), Drain: time.Duration(l.Drain),
		Revoke: time.Duration(l.Revoke), Install: time.Duration(l.Install), Grant: time.Duration(l.Grant),
		Registry: time.Duration(l.Registry), Undo: time.Duration(l.Undo), Linger: time.Duration(l.Linger),
		HoldFor: time.Duration(l.HoldFor), Quiet: time.Duration(l.Quiet), Retry: time.Duration(l.Retry),
	}
}

// Watch tunes the failure detector, which is off unless Enabled.
type Watch struct {
	Enabled bool `yaml:"enabled"`
	// Name is this observer's, [a-z0-9-]{1,20}. Default: By.
	Name string `yaml:"name"`
	// Observers is how many watchers there are supposed to be, on different
	// hosts; more than half of them have to miss the leader. Default 1.
	Observers int `yaml:"observers"`
	// Share is the directory in which the observers of one machine tell each
	// other what they see. Default: beside the registry's file. With etcd they
	// do so there.
	Share string `yaml:"share"`
	// Interval is how often each looks, and Timeout how long a look may take.
	// Default 250ms, and 1s or the interval when that is longer.
	Interval Duration `yaml:"interval"`
	Timeout  Duration `yaml:"timeout"`
	// DeadAfter is how long a leader without a sign of life is missed before it
	// counts as dead. Default 6s, or 6 intervals when those are longer. It has to be
	// longer than a leader that has nothing to write is silent to its replicas.
	//
	// RefusedAfter is that of one whose host refuses connections while every replica
	// that answers has lost it, or that says itself that it does not lead. Default 2
	// intervals. Nothing is won by waiting for such a server to come back: it comes
	// back as a replica, whoever starts it, and a change of the leader is needed all
	// the same.
	DeadAfter    Duration `yaml:"dead_after"`
	RefusedAfter Duration `yaml:"refused_after"`
	// Grace is how long a change by somebody else may be under way. Default 60s.
	Grace Duration `yaml:"grace"`
	// Calm is the least time between automatic changes. Default 10m. Retry is
	// that after one that failed. Default 10s.
	Calm  Duration `yaml:"calm"`
	Retry Duration `yaml:"retry"`
	// Most is how many automatic changes there may be in Window. Default 3 in 1h.
	Most   int      `yaml:"most"`
	Window Duration `yaml:"window"`
}

// Error is what is wrong with a configuration. Nothing was opened.
type Error struct {
	File string
	// Line is 0 when no single line is to blame.
	Line   int
	Reason string
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
	}
	return e.File + ": " + e.Reason
}

// Load reads and checks a file. Every error is an *Error, or several joined.
func Load(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{File: path, Reason: "cannot be read: " + reason(err)}
	}
	return Parse(path, b)
}

// Parse is Load of what a file holds.
func Parse(path string, b []byte) (*Config, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(b, &root); err != nil {
		return nil, yamlError(path, err)
	}
	if len(root.Content) == 0 {
		return nil, &Error{File: path, Reason: "is empty"}
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	cfg := &Config{}
	if err := d.Decode(cfg); err != nil {
		return nil, yamlError(path, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &Error{File: path, Reason: "holds more than one document"}
	}
	c := &checker{file: path, root: root.Content[0]}
	cfg.check(c)
	return cfg, errors.Join(c.errs...)
}

// yamlError turns the decoder's list into one error each.
func yamlError(path string, err error) error {
	var te *yaml.TypeError
	lines := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if errors.As(err, &te) {
		lines = te.Errors
	}
	var errs []error
	for _, l := range lines {
		e := &Error{File: path, Reason: l}
		var n int
		if _, err := fmt.Sscanf(l, "line %d:", &n); err == nil {
			e.Line = n
			_, e.Reason, _ = strings.Cut(l, ": ")
		}
		// "field x not found in type config.Config": the type is our own affair.
		if f, _, ok := strings.Cut(e.Reason, " not found in type "); ok {
			e.Reason = "there is no key " + strings.TrimPrefix(f, "field ") + " here"
		}
		e.Reason = strings.ReplaceAll(e.Reason, "config.", "")
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
