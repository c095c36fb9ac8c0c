package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
)

// fake is a test that notes what becomes of it. Fatal and Skip end its function
// by a panic, as they end a goroutine in a real one.
type fake struct {
	testing.TB
	name     string
	said     string
	skipped  bool
	cleanups []func()
}

type ended struct{}

func (f *fake) Helper()                    {}
func (f *fake) Name() string               { return f.name }
func (f *fake) Context() context.Context   { return context.Background() }
func (f *fake) Cleanup(c func())           { f.cleanups = append(f.cleanups, c) }
func (f *fake) Fatal(args ...any)          { f.end(false, fmt.Sprint(args...)) }
func (f *fake) Fatalf(s string, a ...any)  { f.end(false, fmt.Sprintf(s, a...)) }
func (f *fake) Skipf(s string, a ...any)   { f.end(true, fmt.Sprintf(s, a...)) }
func (f *fake) end(skip bool, text string) { f.skipped, f.said = skip, text; panic(ended{}) }

// run runs f as a part of the fake test and reports whether it got to its end.
func (f *fake) run(fn func()) (whole bool) {
	defer func() {
		if e := recover(); e != nil && e != any(ended{}) {
			panic(e)
		}
	}()
	fn()
	return true
}

func (f *fake) finish() {
	for _, c := range f.cleanups {
		c()
	}
	f.cleanups = nil
}

func TestAMissingServerSkipsOrFailsByTheList(t *testing.T) {
	t.Setenv(enginetest.Require, "mariadb, no-such")
	f := &fake{}
	require.False(t, f.run(func() { enginetest.Need(f, "other") }))
	require.True(t, f.skipped)
	require.Contains(t, f.said, "needs a other server")
	require.False(t, f.run(func() { enginetest.Need(f, "no-such") }))
	require.False(t, f.skipped, "it is required")
	require.Contains(t, f.said, enginetest.Require)
	for _, e := range []engines.Engine{engines.MariaDB, engines.Postgres, engines.Etcd} {
		if enginetest.Missing(e) == nil {
			require.True(t, f.run(func() { enginetest.Need(f, e) }))
		}
	}
	for list, want := range map[string]bool{"": false, "mariadb": false, "postgres": true, " Postgres ,etcd": true, "postgresql": false} {
		require.Equal(t, want, enginetest.Required(list, engines.Postgres), list)
	}
}

func TestSlotsAreFewAndGivenBack(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TENURE_ENGINE_SLOTS", "2")
	a, b, c := &fake{name: "a"}, &fake{name: "b"}, &fake{name: "c"}
	enginetest.Slot(a)
	enginetest.Slot(b)
	enginetest.Slot(a) // it has one
	require.Len(t, a.cleanups, 1)
	got := make(chan struct{})
	go func() {
		enginetest.Slot(c)
		close(got)
	}()
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-got:
		t.Error("three have a slot of two")
	case <-timer.C:
	}
	b.finish()
	select {
	case <-got:
	case <-time.After(10 * time.Second):
		t.Fatal("the slot of b was not given back")
	}
	a.finish()
	c.finish()
	entries, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.True(t, strings.HasPrefix(entries[0].Name(), "tenure-engine-slots-"))
	t.Setenv("TENURE_ENGINE_SLOTS", "many")
	require.False(t, a.run(func() { enginetest.Slot(a) }))
	require.Contains(t, a.said, "TENURE_ENGINE_SLOTS")
}

func TestEventuallyEndsWithTheLastError(t *testing.T) {
	t.Parallel()
	f := &fake{}
	n := 0
	require.True(t, f.run(func() {
		enginetest.Eventually(f, time.Minute, "three", func(context.Context) error {
			if n++; n < 3 {
				return errors.New("not yet")
			}
			return nil
		})
	}))
	require.Equal(t, 3, n)
	require.False(t, f.run(func() {
		enginetest.Eventually(f, 20*time.Millisecond, "never", func(context.Context) error { return errors.New("why") })
	}))
	require.Contains(t, f.said, "never: not within 20ms: why")
}
