package replog_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/kv/internal/replog"
	"github.com/tenure-go/tenure/leadership"
)

func term(n uint64) leadership.Term { return leadership.Term{Num: n, Proposer: "c"} }

func entry(i, t uint64) replog.Entry {
	return replog.Entry{Index: i, Term: term(t), Data: fmt.Appendf(nil, "data-%d-%d", i, t)}
}

func newLog(t *testing.T) (*replog.Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	require.NoError(t, replog.Create(path))
	l, torn, err := replog.Open(path)
	require.NoError(t, err)
	require.Zero(t, torn)
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

func write(t *testing.T, l *replog.Log, keep uint64, es ...replog.Entry) {
	t.Helper()
	require.NoError(t, l.Update(func(w *replog.Writer) error {
		if err := w.Write(keep, es); err != nil {
			return err
		}
		return w.Sync()
	}))
}

func contents(l *replog.Log) []replog.Entry { return l.Slice(0, 1<<20, 1<<30) }

func TestALogIsReadBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	l, path := newLog(t)
	mark := replog.Entry{Index: 1, Term: term(1), Kind: replog.Mark, Data: []byte("{}")}
	write(t, l, 0, mark, entry(2, 1), entry(3, 1))
	write(t, l, 3, entry(4, 2))
	write(t, l, 2, entry(3, 3), entry(4, 3), entry(5, 4)) // takes out 3 and 4
	want, pos := contents(l), l.Position()
	require.Equal(t, "4.c@log:5/1.c:1/3.c:3/4.c:5", pos.String())
	require.NoError(t, l.Close())

	l, torn, err := replog.Open(path)
	require.NoError(t, err)
	defer l.Close()
	require.Zero(t, torn)
	require.Equal(t, want, contents(l))
	require.Equal(t, pos, l.Position())
	require.Equal(t, uint64(5), l.Durable())
	require.Equal(t, []replog.Entry{mark}, l.Marks(2))
	require.ErrorIs(t, replog.Create(path), fs.ErrExist)
}

// frames writes a log of several frames, one of which takes out a tail, and
// returns the file and the contents as of each length at which a frame ends.
func frames(t *testing.T) (file []byte, ends []int, states [][]replog.Entry) {
	l, path := newLog(t)
	note := func() {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		file, ends, states = b, append(ends, len(b)), append(states, contents(l))
	}
	note()
	write(t, l, 0, entry(1, 1), entry(2, 1))
	note()
	write(t, l, 2, entry(3, 1))
	note()
	write(t, l, 1, entry(2, 2), entry(3, 2), entry(4, 2))
	note()
	return file, ends, states
}

func reopen(t *testing.T, b []byte) (*replog.Log, int64, error) {
	path := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	l, torn, err := replog.Open(path)
	if err == nil {
		t.Cleanup(func() { _ = l.Close() })
		// What was cut off must not come back.
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, b[:int64(len(b))-torn], after)
	}
	return l, torn, err
}

func TestAFileCutAtAnyByteYieldsTheFramesBeforeTheCut(t *testing.T) {
	t.Parallel()
	file, ends, states := frames(t)
	for cut := range len(file) + 1 {
		l, torn, err := reopen(t, file[:cut])
		if cut < ends[0] {
			require.ErrorAs(t, err, new(*leadership.CorruptError), "cut at %d", cut)
			continue
		}
		require.NoError(t, err, "cut at %d", cut)
		i := 0
		for i+1 < len(ends) && ends[i+1] <= cut {
			i++
		}
		require.Equal(t, states[i], contents(l), "cut at %d", cut)
		require.Equal(t, int64(cut-ends[i]), torn)
		write(t, l, l.Last().Index, entry(l.Last().Index+1, 9)) // and it goes on
	}
}

func TestAFlippedBitIsNeverTakenForData(t *testing.T) {
	t.Parallel()
	file, ends, states := frames(t)
	last := ends[len(ends)-2] // where the last frame begins
	for at := len("tenure-kv-log-1\n") + 8; at < len(file); at++ {
		b := bytes.Clone(file)
		b[at] ^= 1 << (at % 8)
		l, _, err := reopen(t, b)
		if at < last {
			require.ErrorAs(t, err, new(*leadership.CorruptError), "bit of byte %d", at)
			continue
		}
		require.NoError(t, err, "bit of byte %d", at)
		require.Equal(t, states[len(states)-2], contents(l))
	}
}

func TestAValueThatLooksLikeAFrameDoesNotKeepATornLogShut(t *testing.T) {
	t.Parallel()
	other, _, _ := frames(t)
	l, path := newLog(t)
	write(t, l, 0, entry(1, 1))
	write(t, l, 1, replog.Entry{Index: 2, Term: term(1), Data: other})
	require.NoError(t, l.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	l, torn, err := reopen(t, b[:len(b)-1])
	require.NoError(t, err)
	require.NotZero(t, torn)
	require.Equal(t, uint64(1), l.Last().Index)
}

func TestEntriesThatCannotFollowAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	l, path := newLog(t)
	write(t, l, 0, entry(1, 2))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, bad := range map[string]struct {
		keep uint64
		e    replog.Entry
	}{
		"a gap":             {1, entry(3, 2)},
		"a falling term":    {1, entry(2, 1)},
		"a keep beyond end": {2, entry(3, 2)},
	} {
		err := l.Update(func(w *replog.Writer) error { return w.Write(bad.keep, []replog.Entry{bad.e}) })
		require.Error(t, err, name)
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Update(func(w *replog.Writer) error { return w.Sync() }), leadership.ErrClosed)
}

func TestMergeLeavesWhatIsThereAndTakesOutOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t)
	write(t, l, 0, entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2))
	merge := func(prev replog.At, replace error, es ...replog.Entry) (matches, asked bool, err error) {
		err = l.Update(func(w *replog.Writer) (err error) {
			matches, err = w.Merge(prev, es, func(last replog.At) error { asked = true; return replace })
			return err
		})
		return matches, asked, err
	}
	before := contents(l)
	for name, c := range map[string]struct {
		prev    replog.At
		es      []replog.Entry
		matches bool
	}{
		"an old message that ends before the log does": {replog.At{}, []replog.Entry{entry(1, 1), entry(2, 1)}, true},
		"a heartbeat":           {replog.At{Index: 2, Term: term(1)}, nil, true},
		"another term before":   {replog.At{Index: 2, Term: term(2)}, []replog.Entry{entry(3, 3)}, false},
		"beyond the end":        {replog.At{Index: 7, Term: term(2)}, []replog.Entry{entry(8, 3)}, false},
		"the very same entries": {replog.At{Index: 2, Term: term(1)}, []replog.Entry{entry(3, 2), entry(4, 2)}, true},
	} {
		matches, asked, err := merge(c.prev, nil, c.es...)
		require.NoError(t, err, name)
		require.Equal(t, c.matches, matches, name)
		require.False(t, asked, name)
		require.Equal(t, before, contents(l), name)
	}
	no := errors.New("no")
	_, asked, err := merge(replog.At{}, no, entry(1, 1), entry(2, 3))
	require.ErrorIs(t, err, no)
	require.True(t, asked)
	require.Equal(t, before, contents(l))
	_, _, err = merge(replog.At{}, nil, entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 3))
	require.NoError(t, err)
	require.Equal(t, []replog.Entry{entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 3)}, contents(l))
}

func TestCommonIsTheLongestSharedPrefix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want uint64
	}{
		{"empty", "1.c@log:5/1.c:1", 0},
		{"1.c@log:7/1.c:1", "1.c@log:5/1.c:1", 5},
		{"2.c@log:9/1.c:1/2.c:6", "3.c@log:20/1.c:1/3.c:8", 5},
		{"2.c@log:9/1.c:1/2.c:6", "3.c@log:20/1.c:1/2.c:6/3.c:8", 7},
		{"2.c@log:9/2.c:1", "3.c@log:20/1.c:1/3.c:8", 0},
	} {
		var a, b leadership.Position
		require.NoError(t, errors.Join(a.UnmarshalText([]byte(c.a)), b.UnmarshalText([]byte(c.b))))
		require.Equal(t, c.want, replog.Common(a, b), "%s, %s", c.a, c.b)
		require.Equal(t, c.want, replog.Common(b, a), "%s, %s", c.b, c.a)
	}
}

func FuzzCutEntry(f *testing.F) {
	f.Add(replog.AppendEntry(nil, entry(3, 2)))
	f.Add([]byte("\x00\x83\x00\x02\x01c\x00")) // an index that is not in its shortest form
	f.Fuzz(func(t *testing.T, b []byte) {
		e, tail, err := replog.CutEntry(b)
		if err != nil {
			return
		}
		text := replog.AppendEntry(nil, e)
		if !bytes.Equal(append(bytes.Clone(text), tail...), b) {
			t.Fatalf("%q is taken for %q and %q", b, text, tail)
		}
		got, rest, err := replog.CutEntry(text)
		if err != nil || len(rest) != 0 || got.Index != e.Index || got.Term != e.Term || !bytes.Equal(got.Data, e.Data) {
			t.Fatalf("%+v is read back as %+v: %v", e, got, err)
		}
	})
}
