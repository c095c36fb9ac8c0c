package etcdregistry

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenure-go/tenure/leadership"
)

// Secret is a text that is never printed: every verb of package fmt, package log/slog
// and encoding/json write "[secret]" in its place, or nothing when it is empty.
type Secret string

const hidden = "[secret]"

func (s Secret) text() string {
	if s == "" {
		return ""
	}
	return hidden
}

// String returns "[secret]".
func (s Secret) String() string { return s.text() }

// Format writes "[secret]", whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.text()) }

// MarshalText returns "[secret]": a configuration that was written out cannot be
// read in again with its secrets.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.text()), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = Secret(b)
	return nil
}

// Config says how to reach etcd. Endpoints is required; the zero value of all
// others is a default.
type Config struct {
	// Endpoints are the client URLs of the members: "https://10.0.0.1:2379". One
	// without a scheme is spoken to with TLS when TLS is set. Name all members:
	// a client that knows one of them is lost with it.
	Endpoints []string
	// Prefix begins every key, and ends with a slash. Default "/tenure/".
	Prefix string
	// TLS has the certificate authorities and, where etcd asks for one, the client's
	// certificate. Nil means the system's authorities for https endpoints, and no
	// TLS for others. It is cloned.
	TLS *tls.Config
	// Username and Password are for etcd's own users, and are given both or neither.
	// Without them, an etcd with --client-cert-auth takes the common name of
	// the client's certificate for the user.
	//
	// With a password every watch and every renewal of a lock asks etcd for a new
	// token, which costs it a bcrypt, about 70 ms of one processor: with
	// hundreds of routers, use certificates.
	Username string
	Password Secret
	// Plaintext allows a password on a connection without TLS to another machine.
	Plaintext bool
	// Attempt bounds one request to one member, so that one that hangs costs no
	// more than that: 10 ms to 1 min, default 1 s. Under a context that ends
	// sooner it is half of what is left. Give it several times
	// the heartbeat and the write latency of etcd.
	Attempt time.Duration
	// Patience bounds one call that is not a Wait: requests that were not answered are
	// made again until it is over, or the context. At least twice Attempt, at most
	// 10 min, default 4 s: longer than etcd takes to elect a leader.
	Patience time.Duration
	// Recheck is how often a Wait asks by itself, which is how late it notices a
	// change when its watch hangs on a member that is frozen: 10 ms to
	// 10 min, default 2 s. It costs etcd one read.
	Recheck time.Duration
	_       struct{}
}

// checked returns the configuration with its defaults, or a *ConfigError.
func (c Config) checked() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = "/tenure/"
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
	}
	for _, d := range []struct {
		field string
		v     *time.Duration
		def   time.Duration
		max   time.Duration
	}{
		{"Attempt", &c.Attempt, time.Second, time.Minute},
		{"Patience", &c.Patience, max(4*time.Second, 4*c.Attempt), 10 * time.Minute},
		{"Recheck", &c.Recheck, 2 * time.Second, 10 * time.Minute},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < minAttempt || *d.v > d.max {
			return c, &ConfigError{d.field, fmt.Sprintf("%s: want %s to %s", *d.v, minAttempt, d.max)}
		}
	}
	switch {
	case c.Patience < 2*c.Attempt:
		return c, &ConfigError{"Patience", fmt.Sprintf("%s is less than two attempts of %s: one member that hangs would fail every call", c.Patience, c.Attempt)}
	case !strings.HasSuffix(c.Prefix, "/") || len(c.Prefix) > 256 || !utf8.ValidString(c.Prefix):
		return c, &ConfigError{"Prefix", "want at most 256 bytes of UTF-8 that end with a slash"}
	case (c.Username == "") != (c.Password == ""):
		return c, &ConfigError{"Username", "a user name and a password go together: the client would log in as nobody"}
	}
	return c, c.checkEndpoints()
}

// checkEndpoints refuses what the client library takes without a word: the scheme of
// the first endpoint decides for all, and "http" drops a TLS configuration.
func (c Config) checkEndpoints() error {
	if len(c.Endpoints) == 0 {
		return &ConfigError{"Endpoints", "is empty"}
	}
	secure := -1
	for i, e := range c.Endpoints {
		field := fmt.Sprintf("Endpoints[%d]", i)
		text := e
		if !strings.Contains(e, "://") {
			if text = "http://" + e; c.TLS != nil {
				text = "https://" + e
			}
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			// The text is not repeated: it may hold a password.
			return &ConfigError{field, "want scheme://host:port"}
		case u.User != nil:
			return &ConfigError{field, "user and password belong in Username and Password"}
		case u.Scheme != "http" && u.Scheme != "https":
			return &ConfigError{field, "the scheme is neither http nor https"}
		case u.Scheme == "http" && c.TLS != nil:
			return &ConfigError{field, "http, though TLS is set: it would not be used"}
		case u.Scheme == "http" && c.Username != "" && !c.Plaintext && !loopback(u.Hostname()):
			return &ConfigError{field, "the password would cross the network in clear: use https, or set Plaintext"}
		}
		now := 0
		if u.Scheme == "https" {
			now = 1
		}
		if secure >= 0 && secure != now {
			return &ConfigError{field, "http and https are mixed: one of them decides for all"}
		}
		secure = now
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkCluster: the name is a part of keys and of messages.
func checkCluster(name string) error {
	if leadership.NodeID(name).Validate() != nil {
		return &ConfigError{"cluster", "want [A-Za-z0-9][A-Za-z0-9._-]{0,62}"}
	}
	return nil
}
