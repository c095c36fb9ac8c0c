package load_test

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// server is a database in memory, in the test's process. Its clients are in the
// workers' processes: a line for each call, a line for each answer.
type server struct {
	ln    net.Listener
	tasks sync.WaitGroup

	mu    sync.Mutex
	leads bool
	ids   []int64
	next  *server // what is committed is there too, when set
	conns map[net.Conn]bool
	lose  int // so many answers to "commit" are lost, after it was done
}

func startServer(t *testing.T) *server {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{ln: ln, conns: map[net.Conn]bool{}}
	s.tasks.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.tasks.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.cut()
		s.tasks.Wait()
	})
	return s
}

func (s *server) addr() string { return s.ln.Addr().String() }

// cut breaks all connections, as the death of the server does.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
}

func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) rows() (ids []int64) {
	s.set(func() { ids = append(ids, s.ids...) })
	return ids
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	var todo []int64
	tx := false
	in := bufio.NewScanner(c)
	for in.Scan() {
		answer := "ok"
		verb, arg, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "begin":
			tx, todo = true, nil
		case "put":
			id, err := strconv.ParseInt(arg, 10, 64)
			if err != nil {
				answer = "syntax"
				break
			}
			if todo = append(todo, id); !tx {
				answer = s.commit(&todo)
			}
		case "commit":
			answer, tx = s.commit(&todo), false
		case "rollback":
			tx, todo = false, nil
		case "check":
			s.set(func() {
				if !s.leads {
					answer = "read-only"
				}
			})
		}
		if answer == "" {
			return
		}
		if _, err := fmt.Fprintln(c, answer); err != nil {
			return
		}
	}
}

// commit returns "" when its answer is lost.
func (s *server) commit(todo *[]int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := *todo
	*todo = nil
	if !s.leads {
		return "read-only"
	}
	s.ids = append(s.ids, ids...)
	if s.next != nil {
		s.next.set(func() { s.next.ids = append(s.next.ids, ids...) })
	}
	if s.lose > 0 {
		s.lose--
		return ""
	}
	return "ok"
}

// The client's side, which runs in the workers.

var errAnswered = errors.New("the server said")

type connector struct{ addr string }

func (c connector) Driver() driver.Driver { return nil }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, buffer.NotSent(err)
	}
	return &session{Conn: conn, in: bufio.NewReader(conn)}, nil
}

type session struct {
	net.Conn
	in     *bufio.Reader
	broken bool
}

// IsValid is what a pool asks.
func (s *session) IsValid() bool { return !s.broken }

func (s *session) call(text string) error {
	_, err := fmt.Fprintln(s.Conn, text)
	var answer string
	if err == nil {
		answer, err = s.in.ReadString('\n')
	}
	if err != nil {
		s.broken = true
		return err
	}
	if answer != "ok\n" {
		return fmt.Errorf("%w %q", errAnswered, answer)
	}
	return nil
}

func (s *session) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not here") }
func (s *session) Begin() (driver.Tx, error)           { return s, s.call("begin") }
func (s *session) Commit() error                       { return s.call("commit") }
func (s *session) Rollback() error                     { return s.call("rollback") }

func (s *session) ExecContext(_ context.Context, _ string, args []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), s.call(fmt.Sprint("put ", args[0].Value))
}

func nodes(_ leadership.NodeID, addr string) (sqlbuffer.Node, error) {
	return sqlbuffer.Node{
		Connector: connector{addr},
		Check: func(_ context.Context, c driver.Conn, _ leadership.Leadership) error {
			return c.(*session).call("check")
		},
		Classify: func(err error) buffer.Class {
			if errors.Is(err, errAnswered) {
				return buffer.Answered
			}
			return buffer.Unclassified
		},
		Abort: func(_ context.Context, c driver.Conn) error { return c.Close() },
	}, nil
}
