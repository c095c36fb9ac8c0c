package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tenure-go/tenure/leadership"
)

// Duration is a time.Duration in its text form, such as 500ms.
type Duration time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q is no duration, such as 500ms or 10s", n.Line, n.Value)}}
	}
	if v < 0 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s is below zero", n.Line, n.Value)}}
	}
	*d = Duration(v)
	return nil
}

// Secret says where a password is: {env: NAME} or {file: PATH}. The zero Secret is
// no password. What it refers to is never kept.
type Secret struct {
	Env  string
	File string
}

// UnmarshalYAML implements yaml.Unmarshaler. It refuses a password that is written
// out, without repeating it.
func (s *Secret) UnmarshalYAML(n *yaml.Node) error {
	fail := func(line int, format string, args ...any) error {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", line, fmt.Sprintf(format, args...))}}
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[1].Kind != yaml.ScalarNode {
		return fail(n.Line, "a password is not written into this file: it is {env: NAME} or {file: PATH}")
	}
	key, value := n.Content[0], n.Content[1].Value
	switch {
	case value == "":
		return fail(key.Line, "%s is empty", key.Value)
	case key.Value == "env":
		s.Env = value
	case key.Value == "file":
		s.File = value
	default:
		return fail(key.Line, "there is no key %s here: a password is {env: NAME} or {file: PATH}", key.Value)
	}
	return nil
}

// IsZero reports whether there is no password.
func (s Secret) IsZero() bool { return s == Secret{} }

// Value reads the password. One line end at the end of a file is not part of it.
func (s Secret) Value() (string, error) {
	switch {
	case s.Env != "":
		v, ok := os.LookupEnv(s.Env)
		if !ok || v == "" {
			return "", fmt.Errorf("the environment variable %s, which is to hold a password, is not set", s.Env)
		}
		return v, nil
	case s.File != "":
		b, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("the password in %s cannot be read: %s", s.File, reason(err))
		}
		v := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
		if v == "" {
			return "", fmt.Errorf("the password in %s is empty", s.File)
		}
		return v, nil
	}
	return "", nil
}

// String says where the password is, never what it is.
func (s Secret) String() string {
	switch {
	case s.Env != "":
		return "in the environment variable " + s.Env
	case s.File != "":
		return "in " + s.File
	}
	return "none"
}

// Secrets reads every password that the configuration refers to, so that they can be
// kept out of what is printed. It returns an *Error for one that cannot be read.
func (cfg *Config) Secrets() ([]string, error) {
	var all []Secret
	if e := cfg.Registry.Etcd; e != nil {
		all = append(all, e.Password)
	}
	if m := cfg.MariaDB; m != nil {
		all = append(all, m.Password, m.Replication.Password)
	}
	if a := cfg.Agents; a != nil {
		all = append(all, a.Token)
	}
	// Whoever reaches all servers through agents logs in at none.
	here := func(n Node) bool { return n.Agent == "" }
	if p := cfg.Postgres; p != nil && slices.ContainsFunc(cfg.Nodes, here) {
		all = append(all, p.Password, p.Replication.Password)
	}
	var values []string
	for _, s := range all {
		v, err := s.Value()
		if err != nil {
			return nil, &Error{File: "configuration", Reason: err.Error()}
		}
		if v != "" {
			values = append(values, v)
		}
	}
	return values, nil
}

// IDs returns the nodes' names, in the order of the file.
func (cfg *Config) IDs() []leadership.NodeID {
	var ids []leadership.NodeID
	for _, n := range cfg.Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}
