package httpbuffer_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

func TestTheLeaderIsLearnedFromResponses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		header []string
		want   leadership.Leadership
	}{
		{"a newer term", []string{"n9@5.c1"}, lead("n9", 5)},
		{"the same", []string{"n1@2.c1"}, lead("n1", 2)},
		{"an older term", []string{"n9@1.c1"}, lead("n1", 2)},
		{"none", nil, lead("n1", 2)},
		{"two", []string{"n9@5.c1", "n8@6.c1"}, lead("n1", 2)},
		{"no node", []string{"@5.c1"}, lead("n1", 2)},
		{"no term", []string{"n9@0"}, lead("n1", 2)},
		{"no sense", []string{"n9"}, lead("n1", 2)},
		{"a term beyond all bounds", []string{"n9@18446744073709551615.c1"}, lead("n1", 2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{})
				w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header()[httpbuffer.LeaderHeader] = c.header
				}))
				w.lane.Observe(routed(1, lead("n1", 2)))
				r := <-do(w.transport(httpbuffer.Options{}), request(t, "GET", nil))
				require.NoError(t, r.err)
				l, addr := w.lane.Leader()
				require.Equal(t, c.want, l)
				require.Equal(t, "n1:80", addr, "it is where the answer came from")
			})
		})
	}
}

// A refusal is over when the request is sent again: its connection is free.
func TestARefusalIsDrainedBeforeTheRequestIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		var n counter
		w.serve("n1:80", first(&n, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			text, _ := (&leadership.Refusal{Term: term(1), Until: term(1)}).MarshalText()
			rw.Header().Set(httpbuffer.RefusalHeader, string(text))
			rw.WriteHeader(503)
			_, _ = io.WriteString(rw, strings.Repeat("no", 1000))
		}), echo("n1")))
		w.lane.Observe(routed(1, lead("n1", 1)))
		(<-do(w.transport(httpbuffer.Options{}), request(t, "POST", nil))).ok(t, "n1 POST /path?q=1 ")
		require.Equal(t, 1, w.net.dialled("n1:80"))
	})
}

// A refusal that does not end is not waited for.
func TestARefusalThatDoesNotEndIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{})
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			refuse(rw, 1, 2)
			for r.Context().Err() == nil {
				if _, err := rw.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}))
		w.serve("n2:80", echo("n2"))
		w.lane.Observe(routed(1, lead("n1", 1)))
		got := do(w.transport(httpbuffer.Options{}), request(t, "POST", nil))
		synctest.Wait()
		w.lane.Observe(routed(2, lead("n2", 2)))
		(<-got).ok(t, "n2 POST /path?q=1 ")
	})
}

func TestACountedRequestCountsUntilItsAnswerIsOver(t *testing.T) {
	t.Parallel()
	stream := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, "begin")
		_ = http.NewResponseController(rw).Flush()
		if r.Header.Get("fail") != "" {
			time.Sleep(time.Second)
			panic(http.ErrAbortHandler)
		}
		if r.Header.Get("hang") != "" {
			<-r.Context().Done()
		}
	})
	for _, c := range []struct {
		name, header string
		method       string
		end          func(t *testing.T, resp *http.Response)
		open         bool // with the headers alone it is not over
	}{
		{"no body", "", "HEAD", func(*testing.T, *http.Response) {}, false},
		{"read to its end", "", "GET", func(t *testing.T, resp *http.Response) {
			_, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
		}, true},
		{"failed", "fail", "GET", func(t *testing.T, resp *http.Response) {
			_, err := io.ReadAll(resp.Body)
			require.Error(t, err)
		}, true},
		{"closed", "hang", "GET", func(t *testing.T, resp *http.Response) {
			require.NoError(t, resp.Body.Close())
			require.NoError(t, resp.Body.Close())
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, buffer.Config{Counted: true})
				w.serve("n1:80", stream)
				w.lane.Observe(routed(1, lead("n1", 1)))
				req := request(t, c.method, nil)
				if c.header != "" {
					req.Header.Set(c.header, "1")
				}
				resp, err := w.transport(httpbuffer.Options{}).RoundTrip(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				w.lane.Observe(holding(2, lead("n1", 1), 2))
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				defer cancel()
				err = w.lane.Quiesced(ctx, term(2))
				require.Equal(t, c.open, err != nil)
				c.end(t, resp)
				require.NoError(t, w.lane.Quiesced(context.Background(), term(2)))
			})
		})
	}
}

// The flush goes on when the headers of an answer are there, not when its last
// byte is.
func TestAFlushSlotIsFreeAtTheHeaders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Flush: buffer.Flush{Start: 1, Max: 1, Every: time.Hour}})
		w.serve("n1:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		}))
		rt := w.transport(httpbuffer.Options{})
		answers := make(chan *http.Response, 2)
		for range 2 {
			w.wg.Go(func() {
				resp, err := rt.RoundTrip(request(t, "GET", nil))
				if err == nil {
					answers <- resp
				}
			})
		}
		synctest.Wait()
		require.Equal(t, 2, w.lane.Snapshot().Held)
		w.lane.Observe(routed(1, lead("n1", 1)))
		synctest.Wait()
		require.Len(t, answers, 2)
		for range 2 {
			_ = (<-answers).Body.Close()
		}
	})
}

func TestAnUpgradeIsAUnitThatCanBeWrittenTo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, buffer.Config{Counted: true})
		w.serve("n1:80", shouts)
		w.lane.Observe(routed(1, lead("n1", 1)))
		req := request(t, "GET", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "shout")
		rt := w.transport(httpbuffer.Options{})
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		rw := resp.Body.(io.ReadWriteCloser)
		_, err = io.WriteString(rw, "money\n")
		require.NoError(t, err)
		line, err := bufio.NewReader(rw).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "MONEY\n", line)
		w.lane.Observe(holding(2, lead("n1", 1), 2))
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		require.Error(t, w.lane.Quiesced(ctx, term(2)))
		require.NoError(t, rw.Close())
		require.NoError(t, w.lane.Quiesced(context.Background(), term(2)))

		// A unit waits from the announcement on, a single request passes.
		waits, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = rt.RoundTrip(req.WithContext(waits))
		require.True(t, leadership.NotExecuted(err))
	})
}

// shouts upgrades a connection and sends back what it hears, in capitals.
var shouts = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	c, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
	_ = buf.Flush()
	for {
		line, err := buf.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = buf.WriteString(strings.ToUpper(line))
		_ = buf.Flush()
	}
})

func TestTheHandlerTakesWhatIsMeantForItsLeadership(t *testing.T) {
	t.Parallel()
	var none leadership.Leadership
	for _, c := range []struct {
		name    string
		serving leadership.Leadership
		header  []string
		code    int
		leader  string
		want    leadership.Refusal
	}{
		{"its own term", lead("n1", 2), []string{"2.c1"}, 200, "n1@2.c1", leadership.Refusal{}},
		{"no term", lead("n1", 2), nil, 200, "n1@2.c1", leadership.Refusal{}},
		{"no term, no leader", none, nil, 200, "", leadership.Refusal{}},
		{"an older term", lead("n1", 2), []string{"1.c1"}, 503, "", leadership.Refusal{Term: term(2), Until: term(2), Leader: "n1"}},
		{"a newer term", lead("n1", 2), []string{"3.c1"}, 503, "", leadership.Refusal{Term: term(2), Until: term(3)}},
		{"not a leader", none, []string{"3.c1"}, 503, "", leadership.Refusal{Until: term(3)}},
		{"no sense", lead("n1", 2), []string{"two"}, 400, "", leadership.Refusal{}},
		{"two terms", lead("n1", 2), []string{"2.c1", "2.c1"}, 400, "", leadership.Refusal{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ran := false
			h := httpbuffer.Handler(func() leadership.Leadership { return c.serving }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
			req := request(t, "GET", nil)
			if c.header != nil {
				req.Header[httpbuffer.TermHeader] = c.header
			}
			resp := record(h, req)
			require.Equal(t, c.code, resp.StatusCode)
			require.Equal(t, c.code == 200, ran)
			require.Equal(t, c.leader, resp.Header.Get(httpbuffer.LeaderHeader))
			if c.code != 503 {
				require.Empty(t, resp.Header.Get(httpbuffer.RefusalHeader))
				return
			}
			var got leadership.Refusal
			require.NoError(t, got.UnmarshalText([]byte(resp.Header.Get(httpbuffer.RefusalHeader))))
			got.Reason = ""
			require.Equal(t, c.want, got)
		})
	}
}
