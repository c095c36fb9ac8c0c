package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tenure-go/tenure/examples/failover/internal/config"
	"github.com/tenure-go/tenure/examples/failover/internal/demo"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	svg     string
	writers int
}

func demoFlags(fs *flag.FlagSet, c *call) {
	fs.StringVar(&c.demo.svg, "svg", "", "write a picture of latency over time to this file")
	fs.IntVar(&c.demo.writers, "writers", 8, "how many writers, 2 to 64")
}

// runDemo shows every change on servers of its own. It is exitAttention when a write
// was lost, or when a planned change cost an error.
func runDemo(ctx context.Context, c *call) int {
	o := demo.Options{Engine: c.args[0], Writers: c.demo.writers, SVG: c.demo.svg}
	switch {
	case o.Engine != config.MariaDBEngine && o.Engine != config.PostgresEngine:
		return c.out.fail(exitUsage, &usageError{fmt.Sprintf("there is no demo of %q: want mariadb or postgres", o.Engine)})
	case o.Writers < 2 || o.Writers > 64:
		return c.out.fail(exitUsage, &usageError{fmt.Sprintf("-writers is %d, want 2 to 64", o.Writers)})
	case o.SVG != "":
		if st, err := os.Stat(filepath.Dir(o.SVG)); err != nil || !st.IsDir() {
			return c.out.fail(exitUsage, &usageError{"-svg names a file in a directory that is not there"})
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return c.out.fail(exitFailed, err)
	}
	o.Exe = exe
	o.Say = c.out.progress
	begin := time.Now()
	res, err := demo.Run(ctx, o)
	if err != nil {
		return c.out.fail(lookExit(ctx, err), err)
	}
	d := document{Demo: res}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d writes, %d acknowledged, all of which are on every server; %d of unknown outcome, of which %d are there; %s\n",
		res.Table, res.Attempts, res.Acked, res.Unknown, res.Present, time.Since(begin).Round(time.Second))
	if len(res.Problems) > 0 {
		d.Exit = exitAttention
		b.Reset()
		fmt.Fprintf(&b, "%s\nFAILED\n  %s\n", res.Table, strings.Join(res.Problems, "\n  "))
	}
	d.text = b.String()
	return c.out.print(d)
}
