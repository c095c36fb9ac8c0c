package lameduck_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/lameduck"
)

// discard is a ResponseWriter that costs next to nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// What the gate adds to a request: alone, and to one over a loopback socket.
func BenchmarkHandler(b *testing.B) {
	g := new(lameduck.Gate)
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	b.Run("alone", func(b *testing.B) {
		h := lameduck.Handler(g, nothing)
		w, req := discard{http.Header{}}, httptest.NewRequest(http.MethodPost, "/pay", nil)
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(w, req)
		}
	})
	for _, c := range []struct {
		name string
		h    http.Handler
	}{{"socket/bare", nothing}, {"socket/gated", lameduck.Handler(g, nothing)}} {
		b.Run(c.name, func(b *testing.B) {
			server := httptest.NewServer(c.h)
			defer server.Close()
			b.ReportAllocs()
			for b.Loop() {
				resp, err := http.Post(server.URL, "text/plain", strings.NewReader("hi"))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}
