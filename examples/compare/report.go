package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tenure-go/tenure/examples/compare/internal/mha"
	"github.com/tenure-go/tenure/examples/compare/internal/patroni"
	"github.com/tenure-go/tenure/internal/engines"
)

// sides are those that can be put up here, ours and the others' in turn.
func (c *compare) sides(only string) (all []side) {
	c.left = nil
	if only != string(engines.MariaDB) && c.have(engines.Postgres, engines.Etcd) {
		d := detectors()
		all = append(all, c.ours(engines.Postgres, d[0]))
		err := patroni.Missing()
		if err != nil {
			c.left = append(c.left, "Patroni: "+err.Error())
		} else {
			all = append(all, c.patroni("tuned", patroni.Tuned()))
		}
		all = append(all, c.ours(engines.Postgres, d[1]))
		if err == nil {
			all = append(all, c.patroni("default", patroni.Default()))
		}
	}
	if only != string(engines.Postgres) && c.have(engines.MariaDB, engines.Etcd) {
		d := detectors()
		all = append(all, c.ours(engines.MariaDB, d[0]))
		err := mha.Missing()
		if err != nil {
			c.left = append(c.left, "MHA: "+err.Error())
		} else {
			all = append(all, c.mha("tuned", mha.Tuned()))
		}
		all = append(all, c.ours(engines.MariaDB, d[1]))
		if err == nil {
			all = append(all, c.mha("default", mha.Default()))
		}
	}
	return slices.DeleteFunc(all, func(s side) bool { return !strings.Contains(s.name, c.who) })
}

// have says whether all of these are installed.
func (c *compare) have(all ...engines.Engine) bool {
	for _, e := range all {
		if _, err := engines.Find(e); err != nil {
			c.left = append(c.left, err.Error())
			return false
		}
	}
	return true
}

// judge is an error for what must not be.
func (c *compare) judge() error {
	var errs []error
	for _, w := range c.wrong {
		errs = append(errs, errors.New(w))
	}
	for _, p := range c.table.Problems() {
		if strings.Contains(p, "Tenure") {
			errs = append(errs, errors.New(p))
		}
	}
	return errors.Join(errs...)
}

func (c *compare) report(ctx context.Context, rounds int, took time.Duration) string {
	var b strings.Builder
	b.WriteString(c.table.Markdown())
	for _, l := range c.left {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	for _, l := range c.table.Verdicts() {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	for _, l := range c.table.Problems() {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	fmt.Fprintln(&b, machine(), rounds, took, version(ctx, "etcd", "--version"), patroni.Versions(ctx))
	return b.String()
}

// machine is what it ran on.
func machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d CPUs, %s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.Version())
}

// version is the first line that a program says.
func version(ctx context.Context, path string, args ...string) string {
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
