package lameduck_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine that a test or the package has started is
// still there once all tests have passed.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	late := time.After(10 * time.Second)
	for code == 0 && runtime.NumGoroutine() > before {
		select {
		case <-late:
			buf := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "goroutines left: %s\n", buf[:runtime.Stack(buf, true)])
			code = 1
		case <-time.After(time.Millisecond):
		}
	}
	os.Exit(code)
}

// check stops the test at the first expectation that does not hold.
type check struct{}

var require check

func (check) fail(t testing.TB, format string, args []any, why ...any) {
	t.Helper()
	t.Fatalf(format+" %v", append(args, why)...)
}

func (c check) NoError(t testing.TB, err error, why ...any) {
	t.Helper()
	if err != nil {
		c.fail(t, "unexpected error: %v", []any{err}, why...)
	}
}

func (c check) Error(t testing.TB, err error, why ...any) {
	t.Helper()
	if err == nil {
		c.fail(t, "no error", nil, why...)
	}
}

func (c check) ErrorIs(t testing.TB, err, want error, why ...any) {
	t.Helper()
	if !errors.Is(err, want) {
		c.fail(t, "error %v is not %v", []any{err, want}, why...)
	}
}

func (c check) ErrorAs(t testing.TB, err error, target any, why ...any) {
	t.Helper()
	if !errors.As(err, target) {
		c.fail(t, "error %v is no %T", []any{err, target}, why...)
	}
}

func (c check) Equal(t testing.TB, want, got any, why ...any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		c.fail(t, "want %v, got %v", []any{want, got}, why...)
	}
}

func (c check) NotEqual(t testing.TB, a, b any, why ...any) {
	t.Helper()
	if reflect.DeepEqual(a, b) {
		c.fail(t, "both are %v", []any{a}, why...)
	}
}

func (c check) Zero(t testing.TB, v any, why ...any) {
	t.Helper()
	if !reflect.ValueOf(v).IsZero() {
		c.fail(t, "want zero, got %v", []any{v}, why...)
	}
}

func (c check) True(t testing.TB, ok bool, why ...any) {
	t.Helper()
	if !ok {
		c.fail(t, "want true", nil, why...)
	}
}

func (c check) False(t testing.TB, ok bool, why ...any) {
	t.Helper()
	if ok {
		c.fail(t, "want false", nil, why...)
	}
}

func (c check) Len(t testing.TB, v any, n int, why ...any) {
	t.Helper()
	if got := reflect.ValueOf(v).Len(); got != n {
		c.fail(t, "want %d elements, got %d", []any{n, got}, why...)
	}
}

func (c check) Contains(t testing.TB, s, part string, why ...any) {
	t.Helper()
	if !strings.Contains(s, part) {
		c.fail(t, "%q lacks %q", []any{s, part}, why...)
	}
}
