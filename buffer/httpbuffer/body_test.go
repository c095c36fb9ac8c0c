package httpbuffer_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// slow is a client that sends a body in bits, with pauses.
type slow struct {
	rng  *rand.Rand
	rest []byte
}

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(time.Duration(s.rng.IntN(4)) * time.Millisecond)
	n := min(len(p), len(s.rest), 1+s.rng.IntN(50))
	copy(p, s.rest[:n])
	s.rest = s.rest[n:]
	if len(s.rest) == 0 && (n == 0 || s.rng.IntN(2) == 0) {
		return n, io.EOF
	}
	return n, nil
}

// Tries that are refused while they read, whose readers are still at it when the
// next try begins: the one that is answered reads the whole body, or the request
// ends with a ReplayError, and that only when more was read than is kept.
func TestG9_AKeptBodyIsWholeWhateverOtherTriesTookOfIt(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(t, buffer.Config{})
			w.lane.Observe(routed(1, lead("n1", 1)))
			want := make([]byte, rng.IntN(400))
			for i := range want {
				want[i] = byte(i)
			}
			keep := 1 + rng.IntN(400)
			refusals := rng.IntN(4)
			text, err := (&leadership.Refusal{Term: term(1), Until: term(1)}).MarshalText()
			require.NoError(t, err)
			var readers sync.WaitGroup
			early := rng.IntN(2) == 0 // the answer comes before the body was read
			var got []byte
			var failed error
			var begun atomic.Int64 // when the last try began
			var stray atomic.Bool  // a try that was over got bytes
			rt := w.transport(httpbuffer.Options{Replay: keep, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, ProtoMajor: 1}
				mine := time.Now().UnixNano()
				begun.Store(mine)
				if refusals == 0 {
					readers.Go(func() {
						got, failed = io.ReadAll(r.Body)
						_ = r.Body.Close()
					})
					if !early {
						readers.Wait()
					}
					return resp, nil
				}
				refusals--
				take, chunk, pause := rng.IntN(len(want)+2), 1+rng.IntN(100), time.Duration(rng.IntN(4))*time.Millisecond
				readers.Go(func() {
					p := make([]byte, chunk)
					for n := 0; n < take; {
						time.Sleep(pause)
						m, err := r.Body.Read(p[:min(chunk, take-n)])
						if last := begun.Load(); m > 0 && last > mine && time.Now().UnixNano() > last {
							stray.Store(true)
						}
						if n += m; err != nil {
							break
						}
					}
					_ = r.Body.Close()
				})
				time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
				resp.StatusCode = 503
				resp.Header.Set(httpbuffer.RefusalHeader, string(text))
				return resp, nil
			})})
			body := &slow{rng: rand.New(rand.NewPCG(seed, 1)), rest: bytes.Clone(want)}
			src := &source{r: body}
			_, err = rt.RoundTrip(request(t, "POST", src))
			readers.Wait()
			_, closed := src.seen()
			require.Equal(t, 1, closed, "seed %d", seed)
			require.False(t, src.clash, "seed %d", seed)
			require.False(t, stray.Load(), "seed %d", seed)
			if err == nil {
				require.NoError(t, failed, "seed %d", seed)
				require.True(t, bytes.Equal(want, got), "seed %d: %d bytes of %d", seed, len(got), len(want))
				return
			}
			var gone *httpbuffer.ReplayError
			require.ErrorAs(t, err, &gone, "seed %d", seed)
			require.GreaterOrEqual(t, len(want)-len(body.rest), keep, "seed %d", seed)
			require.True(t, leadership.NotExecuted(err))
		})
	}
}
