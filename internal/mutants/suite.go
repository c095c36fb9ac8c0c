package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

type verdict string

const (
	caught   verdict = "caught"
	survived verdict = "SURVIVED"
	broken   verdict = "ERROR"
	notRun   verdict = "not run"
)

// A result is what became of one mutation.
type result struct {
	m       mutation
	verdict verdict
	by      check         // which check noticed
	test    string        // and which test of it
	hung    bool          // by running out of time
	took    time.Duration // the tests
	built   time.Duration // compiling and linking them
	err     error         // why the suite could not tell
	output  string        // of the tests that failed, or of the compiler
}

// A suite tries mutations.
type suite struct {
	root    string // of the module
	temp    string // for what is built; the caller removes it
	limit   time.Duration
	workers int
	budget  time.Duration

	mu   sync.Mutex // guards base, and the building of its binaries
	base map[string]*baseline
}

// A baseline is what the tests of one check say of the code as it is.
type baseline struct {
	once sync.Once
	err  error
}

// run tries the mutations, in order, a few at once, and tells of each as it
// ends. It returns when all have ended, or ctx has, and nothing it started is
// left then.
func (s *suite) run(ctx context.Context, ms []mutation, tell func(result)) []result {
	began := time.Now()
	results := make([]result, len(ms))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards tell
	for range s.workers {
		wg.Go(func() {
			for i := range next {
				r := result{m: ms[i], verdict: notRun}
				if ctx.Err() == nil && (s.budget == 0 || time.Since(began) < s.budget) {
					r = s.try(ctx, i, ms[i])
				}
				results[i] = r
				mu.Lock()
				tell(r)
				mu.Unlock()
			}
		})
	}
	for i := range ms {
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

// try is one mutation: it is applied, compiled, and checked until a test fails.
func (s *suite) try(ctx context.Context, i int, m mutation) (r result) {
	r = result{m: m, verdict: survived}
	fail := func(err error, out string) result {
		r.verdict, r.err, r.output = broken, err, out
		if ctx.Err() != nil {
			r.verdict, r.err = notRun, nil
		}
		return r
	}
	dir := filepath.Join(s.temp, fmt.Sprint("m", i))
	if err := os.Mkdir(dir, 0o711); err != nil {
		return fail(err, "")
	}
	defer os.RemoveAll(dir)
	overlay, err := m.apply(s.root, dir)
	if err != nil {
		return fail(err, "")
	}
	start := time.Now()
	if pkg := path.Dir(m.file); pkg != m.checks[0].pkg {
		// Tests that do not import it would compile whatever the mutation says.
		if out, err := s.compile(ctx, pkg, "build", "-overlay", overlay, "-o", os.DevNull); err != nil {
			return fail(fmt.Errorf("the mutation does not compile: %w", err), out)
		}
	}
	for _, c := range m.checks {
		c = c.on(m.engine)
		bin := filepath.Join(dir, "check.test")
		if out, err := s.compile(ctx, c.pkg, "test", "-overlay", overlay, "-c", "-ldflags=-s -w", "-o", bin); err != nil {
			return fail(fmt.Errorf("with it the tests of %s do not compile: %w", c.pkg, err), out)
		}
		r.built += time.Since(start)
		start = time.Now()
		out, err := s.test(ctx, bin, c)
		r.took += time.Since(start)
		start = time.Now()
		if err == nil {
			continue
		}
		var exit *exitError
		if !errors.As(err, &exit) {
			return fail(fmt.Errorf("%s: %w", c.pkg, err), out)
		}
		if exit.timeout && !m.hangs {
			return fail(fmt.Errorf("%s: no test failed in %v, they only ran out of time", c.pkg, s.limit), out)
		}
		if err := s.passes(ctx, c); err != nil {
			return fail(fmt.Errorf("%s -run '%s' fails without the mutation: %w", c.pkg, c.run, err), "")
		}
		r.verdict, r.by, r.test, r.hung, r.output = caught, c, failed(out), exit.timeout, out
		return r
	}
	return r
}

// passes reports whether the tests of the check pass on the code as it is. It
// runs them once for each check.
func (s *suite) passes(ctx context.Context, c check) error {
	key := strings.Join(append([]string{c.pkg, c.run}, c.env...), "\x00")
	s.mu.Lock()
	if s.base == nil {
		s.base = map[string]*baseline{}
	}
	b := s.base[key]
	if b == nil {
		b = &baseline{}
		s.base[key] = b
	}
	s.mu.Unlock()
	b.once.Do(func() { b.err = s.passesNow(ctx, c) })
	return b.err
}

func (s *suite) passesNow(ctx context.Context, c check) error {
	bin := filepath.Join(s.temp, "base-"+strings.ReplaceAll(c.pkg, "/", "-")+".test")
	s.mu.Lock()
	var err error
	if _, there := os.Stat(bin); there != nil {
		var out string
		if out, err = s.compile(ctx, c.pkg, "test", "-c", "-ldflags=-s -w", "-o", bin); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	out, err := s.test(ctx, bin, c)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, tail(out, 30))
	}
	return nil
}

var (
	failLine  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hungLine  = regexp.MustCompile(`(?m)^\s+running tests:\n\s+(\S+)`)
	stackLine = regexp.MustCompile(`(?m)^\S+\.((?:Test|Example)\w*)[.(]`)
)

// failed is the name of the test that the output says failed first, with its
// innermost subtest.
func failed(out string) string {
	name := ""
	for _, m := range failLine.FindAllStringSubmatch(out, -1) {
		if name != "" && !strings.HasPrefix(m[1], name+"/") {
			break
		}
		name = m[1]
	}
	for _, other := range []*regexp.Regexp{hungLine, stackLine} {
		if m := other.FindStringSubmatch(out); m != nil && name == "" {
			name = m[1]
		}
	}
	if name == "" {
		return "(the test binary)"
	}
	return name
}
