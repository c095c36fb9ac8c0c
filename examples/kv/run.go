package kv

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// stopGrace bounds the orderly part of a stop.
const stopGrace = time.Second

// Run opens the member and serves it on ln until ctx ends or its storage
// fails; then it lets requests in flight finish, for at most about two seconds,
// closes everything, and returns nil or the failure. A nil ln listens on the
// member's own address in cfg.Peers. Run closes ln. Errors as Open.
func Run(ctx context.Context, cfg Config, ln net.Listener) error {
	n, err := Open(ctx, cfg)
	if err != nil {
		if ln != nil {
			err = errors.Join(err, ln.Close())
		}
		return err
	}
	if ln == nil {
		if ln, err = net.Listen("tcp", cfg.Peers[cfg.ID]); err != nil {
			return errors.Join(err, n.Close())
		}
	}
	srv := &http.Server{
		Handler:           n.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(n.cfg.Logger.Handler(), slog.LevelDebug),
		// A handler ends with the member, not only with its client.
		BaseContext: func(net.Listener) context.Context { return n.stopped },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case <-ctx.Done():
	case <-n.Stopped():
	case err = <-served:
		served <- http.ErrServerClosed
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if n.leading() != nil {
		// What is in flight may still complete. If not, it is told "unknown".
		_, _ = n.gate.Drain(grace, lameduck.Plan{All: stopGrace / 2, Reason: "stopping"})
	}
	failed := n.Err()
	n.stop(errStopped)
	if ls := n.swap(nil, nil); ls != nil {
		ls.stop(leadership.Term{})
	}
	if srv.Shutdown(grace) != nil {
		_ = srv.Close() // the connections that are left are idle, or stuck
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(failed, err, n.Close())
}

// Main is the command of a member, for a program that starts members by
// running itself: args are those after the program's name. It returns the exit
// code. See the flags for what it takes.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, args, os.Stdin, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 2
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string, stdin io.Reader, stderr io.Writer) error {
	fs := flag.NewFlagSet("kv", flag.ContinueOnError)
	fs.SetOutput(stderr)
	id := fs.String("id", "", "name of the member")
	dir := fs.String("dir", "", "directory of its files")
	peers := fs.String("peers", "", "all members: id=host:port,...")
	create := fs.Bool("create", false, "make a new member if the directory is empty; for the first start only")
	tied := fs.Bool("tied", false, "stop when standard input ends, which it does when the parent dies")
	var cfg Config
	fs.DurationVar(&cfg.RequestTimeout, "request-timeout", 0, "bound of a client's request (default 5s)")
	fs.DurationVar(&cfg.Heartbeat, "heartbeat", 0, "pace of an idle leader (default 50ms)")
	fs.DurationVar(&cfg.DrainGrace, "drain-grace", 0, "wait for a step-down after a drain (default 2s)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return &ConfigError{"arguments", "has more than flags: " + fs.Arg(0)}
	}
	addrs, err := ParsePeers(*peers)
	if err != nil {
		return err
	}
	cfg.ID, cfg.Dir, cfg.Create, cfg.Peers = leadership.NodeID(*id), *dir, *create, addrs
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, nil)).With("member", *id)
	if *tied {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		// This goroutine ends with the process: a read of standard input
		// cannot be broken off.
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	return Run(ctx, cfg, nil)
}

// ParsePeers parses "id=host:port,id=host:port".
func ParsePeers(s string) (map[leadership.NodeID]string, error) {
	out := map[leadership.NodeID]string{}
	for _, part := range strings.Split(s, ",") {
		id, addr, ok := strings.Cut(part, "=")
		if !ok {
			return nil, &ConfigError{"peers", fmt.Sprintf("has %q where id=host:port should be", part)}
		}
		if _, twice := out[leadership.NodeID(id)]; twice {
			return nil, &ConfigError{"peers", "names " + id + " twice"}
		}
		out[leadership.NodeID(id)] = addr
	}
	return out, nil
}

// FormatPeers is the inverse of ParsePeers.
func FormatPeers(peers map[leadership.NodeID]string) string {
	var parts []string
	for id, addr := range peers {
		parts = append(parts, string(id)+"="+addr)
	}
	return strings.Join(parts, ",")
}
