package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A worker that is killed while it writes leaves a part of a line, which says
// nothing: what it was about was not begun, or its end is unknown.
func TestAPartOfALineIsReadWhenItIsWhole(t *testing.T) {
	t.Parallel()
	f := follower{path: filepath.Join(t.TempDir(), "j")}
	require.NoError(t, f.read(), "a file that is not there yet")
	text := `{"what":"start","id":7,"wall":1,"mono":1}` + "\n" + `{"what":"acked","id":7,"wall":2,"mono":2}` + "\n"
	for cut := range len(text) {
		require.NoError(t, os.WriteFile(f.path, []byte(text[:cut]), 0o600))
		require.NoError(t, f.read())
		require.Len(t, f.lines, strings.Count(text[:cut], "\n"))
	}
	require.NoError(t, os.WriteFile(f.path, []byte(text+"nonsense\n"), 0o600))
	require.ErrorContains(t, f.read(), f.path)
	require.Len(t, f.lines, 2)
	var h History
	h.add(f.lines[:1])
	require.Equal(t, Unknown, h.Attempts[0].Outcome)
	require.True(t, h.Attempts[0].End.IsZero())
}

func TestAnIDSaysWhoMadeIt(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]int{{0, 0}, {0, maxWriters - 1}, {maxWorkers - 1, 0}, {maxWorkers - 1, maxWriters - 1}} {
		for _, n := range []int64{1, perWriter - 1} {
			worker, writer := parts(id(c[0], c[1], n))
			require.Equal(t, c, [2]int{worker, writer})
		}
	}
}
