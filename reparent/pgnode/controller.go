package pgnode

import "context"

// StopMode says how a server is to end.
type StopMode string

const (
	// StopFast ends sessions and shuts down in order: the log is flushed to the
	// standbys that are attached. pg_ctl stop -m fast.
	StopFast StopMode = "fast"
	// StopImmediate ends the server's processes at once; it recovers when it
	// starts. pg_ctl stop -m immediate.
	StopImmediate StopMode = "immediate"
	// StopKill ends the processes by SIGKILL, frozen ones too.
	StopKill StopMode = "kill"
)

// Controller starts and stops one server and runs PostgreSQL's programs beside
// it, as the server's user. PostgreSQL has no statement that takes the leadership
// from a server: somebody must be able to stop it. PgCtl is the one for a server
// on this machine.
//
// Calls are never made concurrently by one Node. Each ends with its context, and
// may then still happen.
type Controller interface {
	// Start launches the server. It may return before the server accepts
	// connections. One that runs is left alone.
	Start(ctx context.Context) error
	// Stop ends the server and returns nil once none of its processes is left.
	// One that does not run is fine.
	Stop(ctx context.Context, mode StopMode) error
	// Running reports whether any process of the server is there.
	Running(ctx context.Context) (bool, error)
	// Run runs one of PostgreSQL's programs, named without a path
	// ("pg_rewind"), with env added to its environment, and returns what it
	// printed. The error of a program that failed shows the end of its output. A
	// program does not outlive its caller, killed or not: a pg_rewind that went
	// on would write into the directory that the next repair has put in place.
	Run(ctx context.Context, env []string, program string, args ...string) ([]byte, error)
}

// Files reaches the files of the server's machine. LocalFiles is the one for
// this machine.
type Files interface {
	// Read returns the content of a file; one that is not there is an
	// fs.ErrNotExist.
	Read(ctx context.Context, path string) ([]byte, error)
	// Write replaces a file so that a crash leaves the old content or the new,
	// and returns when that is durable. The file belongs to the owner of its
	// directory and nobody else may read it.
	Write(ctx context.Context, path string, content []byte) error
	// Remove removes a file, or a directory with all that is in it, durably.
	// What is not there is fine.
	Remove(ctx context.Context, path string) error
	// Rename moves a file or a directory, durably.
	Rename(ctx context.Context, from, to string) error
}
