package mariadbnode

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-go/tenure/leadership"
)

// GTID is MariaDB's global transaction id: domain-server-sequence.
type GTID struct {
	Domain uint32
	Server uint32
	Seq    uint64
}

// String returns "0-1-22".
func (g GTID) String() string {
	return strconv.FormatUint(uint64(g.Domain), 10) + "-" + strconv.FormatUint(uint64(g.Server), 10) + "-" + strconv.FormatUint(g.Seq, 10)
}

func (g GTID) order(o GTID) int {
	return cmp.Or(cmp.Compare(g.Domain, o.Domain), cmp.Compare(g.Server, o.Server))
}

// parseGTID reads one GTID in its canonical form.
func parseGTID(s string) (GTID, bool) {
	d, rest, ok1 := strings.Cut(s, "-")
	srv, seq, ok2 := strings.Cut(rest, "-")
	if !ok1 || !ok2 {
		return GTID{}, false
	}
	dn, err1 := strconv.ParseUint(d, 10, 32)
	sn, err2 := strconv.ParseUint(srv, 10, 32)
	qn, err3 := strconv.ParseUint(seq, 10, 64)
	g := GTID{uint32(dn), uint32(sn), qn}
	return g, err1 == nil && err2 == nil && err3 == nil && g.String() == s
}

// State is what a server has logged, as gtid_binlog_state tells it: the last
// sequence number of each pair of domain and server. It is not a position: in
// gtid_binlog_pos, which has one GTID per domain, a transaction that only the
// old leader has is hidden behind a later one of the new leader. The zero State
// is that of an empty log. Values made here are sorted and have one GTID per
// pair.
type State []GTID

// ParseState reads a list of GTIDs, such as gtid_binlog_state or gtid_slave_pos
// have: separated by commas, in any order, blanks around them ignored. It
// returns a *leadership.TextError for anything else, and for two GTIDs of one
// domain and server.
func ParseState(s string) (State, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	parts := strings.Split(s, ",")
	st := make(State, 0, len(parts))
	for _, p := range parts {
		g, ok := parseGTID(strings.TrimSpace(p))
		if !ok {
			return nil, &leadership.TextError{What: "GTID list", Text: clip(s), Reason: `want "DOMAIN-SERVER-SEQUENCE", separated by commas`}
		}
		st = append(st, g)
	}
	slices.SortFunc(st, GTID.order)
	for i := 1; i < len(st); i++ {
		if st[i].order(st[i-1]) == 0 {
			return nil, &leadership.TextError{What: "GTID list", Text: clip(s), Reason: "two GTIDs of one domain and server"}
		}
	}
	return st, nil
}

// String returns the canonical text, "" for an empty log.
func (s State) String() string {
	parts := make([]string, len(s))
	for i, g := range s {
		parts[i] = g.String()
	}
	return strings.Join(parts, ",")
}

// last returns the last sequence number of a domain and server.
func (s State) last(domain, server uint32) (uint64, bool) {
	i, ok := slices.BinarySearchFunc(s, GTID{Domain: domain, Server: server}, GTID.order)
	if !ok {
		return 0, false
	}
	return s[i].Seq, true
}

// Positions returns the last GTID of each domain: what gtid_slave_pos would be.
func (s State) Positions() State {
	var out State
	for _, g := range s {
		if n := len(out); n > 0 && out[n-1].Domain == g.Domain {
			if out[n-1].Seq < g.Seq {
				out[n-1] = g
			}
			continue
		}
		out = append(out, g)
	}
	return out
}

// top returns the highest sequence number of a domain.
func (s State) top(domain uint32) uint64 {
	var n uint64
	for _, g := range s {
		if g.Domain == domain {
			n = max(n, g.Seq)
		}
	}
	return n
}

// Merge returns the highest of both for each pair of domain and server.
func (s State) Merge(o State) State {
	out := slices.Clone(s)
	for _, g := range o {
		i, ok := slices.BinarySearchFunc(out, g, GTID.order)
		switch {
		case !ok:
			out = slices.Insert(out, i, g)
		case out[i].Seq < g.Seq:
			out[i].Seq = g.Seq
		}
	}
	return out
}

// Contains reports whether a log at s holds all that a log at o does, per
// domain and server. A domain or server that s has never seen makes it false,
// and so does a transaction of s that o would have to have, since it lies below
// what o has, and has not: then the two logs part before that.
func (s State) Contains(o State) bool { return len(s.lacks(o)) == 0 && !s.forks(o) }

// lacks returns the GTIDs of o that are above what s has of their server.
func (s State) lacks(o State) State {
	var out State
	for _, g := range o {
		if n, ok := s.last(g.Domain, g.Server); !ok || n < g.Seq {
			out = append(out, g)
		}
	}
	return out
}

// forks reports whether o knows a server whose later transaction in s lies
// below the end of o's own domain.
func (s State) forks(o State) bool {
	for _, g := range o {
		if n, ok := s.last(g.Domain, g.Server); ok && g.Seq < n && n <= o.top(g.Domain) {
			return true
		}
	}
	return false
}

// Errant returns, for each domain and server, the last transaction of s that a
// log at leader does not hold, nil when there is none. Transactions of that
// server down to the last common one are errant as well.
func (s State) Errant(leader State) State { return leader.lacks(s) }

// reached reports whether every domain of want was applied up to its sequence
// number.
func (s State) reached(want State) bool {
	for _, g := range want {
		if s.top(g.Domain) < g.Seq {
			return false
		}
	}
	return true
}

// clip keeps a piece of foreign input short enough for an error message.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
