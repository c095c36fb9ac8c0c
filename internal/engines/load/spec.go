package load

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tenure-go/tenure/buffer/sqlbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// Spec says what one worker does. It is handed over as JSON.
type Spec struct {
	_ struct{}

	// Dir is where the worker writes what it did. Required.
	Dir string
	// Cluster is the key of the lane. "" is "cluster".
	Cluster string
	// Registry is the file of the leadership.FileRegistry to follow. Required
	// unless Engine has a Registry or a Connector.
	Registry string
	// Barrier is the file of the leadership.FileBarrier to take part in, with
	// a lane that counts. "" takes part in none, unless Engine has a Barrier.
	Barrier string
	// RouterTTL is for how long a planned change waits for a worker that died.
	// 0 is the default of buffer.Router.
	RouterTTL time.Duration
	// Writers is how many goroutines write. 0 means 4.
	Writers int
	// Conns is the most connections of the pool. 0 means as many as Writers.
	Conns int
	// Insert is the statement that writes an id, its only argument. Required.
	Insert string
	// InTx runs it in a transaction by sqlbuffer.InTx; else it is a statement
	// by itself.
	InTx bool
	// Pause is between two attempts of a writer. 0 is none; after an attempt
	// that failed it is at least 10ms.
	Pause time.Duration
	// Patience bounds an attempt. 0 means 20s.
	Patience time.Duration
	// MaxAge and MaxOutage bound how long the buffer holds. 0 are its defaults.
	MaxAge, MaxOutage time.Duration
	// Linger is that of sqlbuffer.Config.
	Linger time.Duration
	// Extra is for the function that opens the Engine. What is secret does not
	// belong here, for it is in the worker's environment.
	Extra map[string]string

	// Number is the worker's, from 0. Start sets it.
	Number int
}

// Engine is how a worker reaches the nodes.
type Engine struct {
	_ struct{}

	// Connector reaches whoever leads without this library, as any application
	// would: the worker then follows no registry and takes part in no barrier,
	// and only Class is read besides. It is what others are compared with.
	Connector driver.Connector
	// Nodes is that of sqlbuffer.Config. Required without a Connector.
	Nodes func(id leadership.NodeID, addr string) (sqlbuffer.Node, error)
	// Probe is that of buffer.Config.
	Probe func(ctx context.Context, to leadership.Leadership, addr string) error
	// Trust is that of sqlbuffer.Config.
	Trust func(old, now leadership.Leadership) bool
	// Class sorts an error for the table of errors; nil, or "", is its type.
	Class func(err error) string
	// Registry and Barrier replace the files of Spec.
	Registry leadership.Registry
	Barrier  leadership.Barrier
	// Close ends what the Engine opened. It may be nil.
	Close func() error
}

// SpecError is returned by Start for a Spec that cannot be run. Nothing was started.
type SpecError struct{ Field, Reason string }

func (e *SpecError) Error() string { return "load: " + e.Field + " " + e.Reason }

func (s Spec) withDefaults() (Spec, error) {
	if s.Cluster == "" {
		s.Cluster = "cluster"
	}
	if s.Writers == 0 {
		s.Writers = 4
	}
	if s.Conns == 0 {
		s.Conns = s.Writers
	}
	if s.Patience == 0 {
		s.Patience = 20 * time.Second
	}
	switch {
	case s.Dir == "":
		return s, &SpecError{"Dir", "is missing"}
	case s.Insert == "":
		return s, &SpecError{"Insert", "is missing"}
	case s.Writers < 1 || s.Writers > maxWriters:
		return s, &SpecError{"Writers", fmt.Sprintf("is %d, want 1 to %d", s.Writers, maxWriters)}
	case s.Conns < 1:
		return s, &SpecError{"Conns", fmt.Sprintf("is %d", s.Conns)}
	case s.Number < 0 || s.Number >= maxWorkers:
		return s, &SpecError{"Number", fmt.Sprintf("is %d, want 0 to %d", s.Number, maxWorkers-1)}
	case s.Pause < 0 || s.Patience < 0 || s.RouterTTL < 0:
		return s, &SpecError{"Pause, Patience, RouterTTL", "must not be negative"}
	}
	return s, nil
}

// An id has its worker, its writer and the number of the attempt in it.
const (
	perWriter  = int64(1_000_000_000)
	maxWriters = 1000
	maxWorkers = 1000
	perWorker  = perWriter * maxWriters
)

func id(worker, writer int, n int64) int64 {
	return int64(worker+1)*perWorker + int64(writer)*perWriter + n
}

// parts is the inverse of id.
func parts(id int64) (worker, writer int) {
	return int(id/perWorker) - 1, int(id % perWorker / perWriter)
}

// workerVar is set in the environment of a worker.
const workerVar = "TENURE_LOAD_WORKER"

func (s Spec) env() (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("load: %w", err)
	}
	return workerVar + "=" + string(b), nil
}

func specFromEnv() (s Spec, ok bool, err error) {
	text, ok := os.LookupEnv(workerVar)
	if !ok {
		return s, false, nil
	}
	// What the worker starts is not a worker.
	if err := os.Unsetenv(workerVar); err != nil {
		return s, true, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, true, errors.Join(fmt.Errorf("load: %s", workerVar), err)
	}
	s, err = s.withDefaults()
	return s, true, err
}
