package lameduck_test

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// FuzzRefusalOf reads raw responses, as they come from any server. Only a 503
// with exactly one refusal in its header proves anything.
func FuzzRefusalOf(f *testing.F) {
	good := leadership.Refusal{Term: leadership.Term{Num: 3, Proposer: "c"}, Until: leadership.Term{Num: 4, Proposer: "c"}, Leader: "n2", Reason: "drain"}
	text, err := good.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	head := "HTTP/1.1 503 Service Unavailable\r\n" + lameduck.RefusalHeader + ": " + string(text)
	for _, s := range []string{
		head + "\r\n\r\n",
		head + "\r\n" + lameduck.RefusalHeader + ": " + string(text) + "\r\n\r\n",
		head + ", " + string(text) + "\r\n\r\n",
		head + "&term=9.c\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + lameduck.RefusalHeader + ": " + string(text) + "\r\n\r\n",
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n",
		"HTTP/1.1 503 Service Unavailable\r\nTrailer: " + lameduck.RefusalHeader + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + lameduck.RefusalHeader + ": " + string(text) + "\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		r, ok := lameduck.RefusalOf(resp)
		if !ok {
			if r != nil {
				t.Fatalf("%v came with false", r)
			}
			return
		}
		if values := resp.Header[http.CanonicalHeaderKey(lameduck.RefusalHeader)]; resp.StatusCode != http.StatusServiceUnavailable || len(values) != 1 {
			t.Fatalf("status %d with %q passes for a refusal", resp.StatusCode, values)
		}
		// What it says can be passed on, and says the same there.
		text, err := r.MarshalText()
		var back leadership.Refusal
		if err != nil || back.UnmarshalText(text) != nil || back != *r || !leadership.NotExecuted(r) {
			t.Fatalf("%+v comes back as %+v, %v", r, back, err)
		}
	})
}
