package mariadbnode

import (
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"
)

// processes are the threads of the server, as SHOW PROCESSLIST tells: the table
// information_schema.PROCESSLIST says the same and takes five times as long.
type processes struct {
	conn uint64 // the connection that asked
	own  string // its account, without the host
	all  []process
}

type process struct {
	Session
	command string
}

// askProcesses asks for the threads.
func (n *Node) askProcesses(p *processes) []question {
	const step = "list the sessions"
	return []question{
		n.row(step, "SELECT CONNECTION_ID(), SUBSTRING_INDEX(CURRENT_USER(), '@', 1)", &p.conn, &p.own),
		{step: step, q: "SHOW PROCESSLIST", rows: func(rows *sql.Rows) error {
			all, err := columns(rows)
			if err != nil {
				return n.step(step, err)
			}
			p.all = nil
			for _, r := range all {
				id, err := strconv.ParseUint(r["Id"], 10, 64)
				if err != nil {
					return n.step(step, err)
				}
				secs, _ := strconv.ParseInt(r["Time"], 10, 64) // NULL of one that has just begun
				p.all = append(p.all, process{Session{ID: id, User: r["User"], State: r["State"], For: time.Duration(secs) * time.Second}, r["Command"]})
			}
			return nil
		}},
	}
}

// clients returns the client sessions other than our own: replication and the
// server itself are none.
func (p *processes) clients() []Session {
	var out []Session
	for _, o := range p.all {
		if o.ID == p.conn || o.User == systemUser || strings.HasPrefix(o.command, "Binlog Dump") || o.command == "Daemon" {
			continue
		}
		if o.command == "Sleep" {
			o.State = "Sleep"
		}
		out = append(out, o.Session)
	}
	return out
}

const systemUser = "system user"

// waiting returns the sessions whose commit waits for an acknowledgement.
func (p *processes) waiting() []Session {
	return slices.DeleteFunc(p.clients(), func(s Session) bool { return !s.waits() })
}

// statements counts those of clients that run. This account is none, and neither is
// replication's: a replica that was just pointed here asks as that user before it dumps.
func (p *processes) statements(replication string) int {
	n := 0
	for _, o := range p.all {
		if o.User != systemUser && o.User != p.own && o.User != replication && (o.command == "Query" || o.command == "Execute") {
			n++
		}
	}
	return n
}

// ioThreads returns the connection ids of IO threads that were not killed.
func (p *processes) ioThreads() []uint64 {
	var ids []uint64
	for _, o := range p.all {
		if o.User == systemUser && o.command == "Slave_IO" {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// acking is the state of a commit that waits for a replica.
const acking = "Waiting for semi-sync ACK from slave"

func (s Session) waits() bool { return s.State == acking }
