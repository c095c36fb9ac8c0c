package httpbuffer_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
)

// What the transport adds to a request that is not held, above a base that
// answers at once.
func BenchmarkRoundTrip(b *testing.B) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			var p [64]byte
			_, _ = r.Body.Read(p[:])
			_ = r.Body.Close()
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, nil
	})
	buf, err := buffer.New(buffer.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer buf.Close()
	lane := buf.Lane("k")
	lane.Observe(routed(1, lead("n1", 1)))
	rt, err := httpbuffer.New(lane, httpbuffer.Options{Base: base})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		rt   http.RoundTripper
		body bool
	}{{"base", base, false}, {"lane", rt, false}, {"base-body", base, true}, {"lane-body", rt, true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req, err := http.NewRequest(http.MethodPost, "http://orders/", nil)
				if err != nil {
					b.Fatal(err)
				}
				if c.body {
					req.Body, req.ContentLength = &source{r: strings.NewReader("money")}, 5
				}
				resp, err := c.rt.RoundTrip(req)
				if err != nil || resp.StatusCode != 200 {
					b.Fatal(err)
				}
			}
		})
	}
}
