// Command mutants takes the rules of this library out, one at a time, and runs
// the tests that must notice.
//
//	go run ./internal/mutants                      all of them
//	go run ./internal/mutants -list                what there is
//	go run ./internal/mutants -run 'fence|promise' some, by name
//	go run ./internal/mutants -shard commit/3      a third, another one for another commit
//	go run ./internal/mutants -budget 5m           as many as the time allows
//	go run ./internal/mutants -engines             those of the adapters, on real servers
//
// A mutation is an exact replacement in one file. It is compiled from a copy in
// a temporary directory, through the go command's -overlay: the tree is not
// touched. It counts as caught only when it compiles and a test that passes
// without it fails with it. A mutation whose old text is not in the file exactly
// once, that does not compile, or whose tests do not exist is an error of the
// suite, as is one that only runs out of time, unless its very effect is that
// something waits for ever.
//
// The mutations of the adapters are in modules of their own, and their tests start
// MariaDB and PostgreSQL. Where such a server is missing they are errors.
//
// The exit code is 0 when all that ran were caught, 1 when one survived or is an
// error, 2 when the command was used wrongly.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], mutations(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func command(ctx context.Context, args []string, all []mutation, out, errs io.Writer) int {
	fs := flag.NewFlagSet("mutants", flag.ContinueOnError)
	fs.SetOutput(errs)
	var (
		run     = fs.String("run", "", "run only those whose name matches this `regexp`")
		shard   = fs.String("shard", "", "run only part `i/n` of them, i from 1; commit/n takes the part from the commit's hash")
		budget  = fs.Duration("budget", 0, "start no more when they have taken this long together; 0 means no limit")
		limit   = fs.Duration("timeout", time.Minute, "the longest that the tests of one check may take")
		workers = fs.Int("workers", min(2, runtime.GOMAXPROCS(0)), "how many are tried at once, 1 or 2")
		list    = fs.Bool("list", false, "list them and run nothing")
		servers = fs.Bool("engines", false, "only those whose tests start servers, which are left out otherwise")
		verbose = fs.Bool("v", false, "print how each failing test failed")
		root    = fs.String("root", "", "the `directory` of the module; default: that of the working directory")
	)
	if err := fs.Parse(args); err != nil {
		return 2
	}
	wrong := func(err error) int {
		fmt.Fprintln(errs, "mutants:", err)
		return 2
	}
	if fs.NArg() > 0 || *workers < 1 || *workers > 2 || *limit <= 0 || *budget < 0 {
		return wrong(fmt.Errorf("bad arguments: %s", strings.Join(args, " ")))
	}
	dir, err := module(ctx, *root)
	if err != nil {
		return wrong(err)
	}
	all = those(all, *servers)
	picked, said, err := pick(ctx, dir, all, *run, *shard)
	if err != nil {
		return wrong(err)
	}
	if *list {
		printList(out, picked)
		return 0
	}
	temp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return wrong(err)
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o711); err != nil { // tests below it may change their identity
		return wrong(err)
	}
	s := &suite{root: dir, temp: temp, limit: *limit, workers: *workers, budget: *budget}
	fmt.Fprintf(out, "%d of %d mutations%s, %d at a time\n", len(picked), len(all), said, *workers)
	start := time.Now()
	results := s.run(ctx, picked, func(r result) { r.print(out, *verbose) })
	return summary(out, results, time.Since(start), ctx.Err() != nil)
}

// module is the absolute directory of the module that dir is in.
func module(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "env", "GOMOD")
	cmd.Dir = dir
	b, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(b))
	if mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("no module in %q", dir)
	}
	return filepath.Dir(mod), nil
}
