package httpbuffer_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// frames answers HTTP/2 requests by the frames that a test wants to see. It
// returns a server whose connections read requests and answer the n-th of them
// with answer(n, stream).
func frames(t *testing.T, answer func(n int, stream uint32) []byte) (*httptest.Server, *counter) {
	t.Helper()
	const (
		headers  = 1
		settings = 4
	)
	n := &counter{}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
			if _, err := io.CopyN(io.Discard, c, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
				return
			}
			_, _ = c.Write(frame(settings, 0, 0, nil))
			for {
				var head [9]byte
				if _, err := io.ReadFull(c, head[:]); err != nil {
					return
				}
				size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
				if _, err := io.CopyN(io.Discard, c, size); err != nil {
					return
				}
				if head[3] == headers {
					if _, err := c.Write(answer(n.add(), binary.BigEndian.Uint32(head[5:]))); err != nil {
						return
					}
				}
			}
		},
	}
	srv.TLS = &tls.Config{NextProtos: []string{"h2"}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, n
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

func reset(stream, code uint32) []byte {
	return frame(3, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

// final is a whole response; fields are name and value in turn.
func final(stream uint32, status string, fields ...string) []byte {
	block := append([]byte{0x08, 3}, status...) // the name is entry 8 of HPACK's static table
	for i, s := range fields {
		if i%2 == 0 {
			block = append(block, 0) // a literal whose name is one, too
		}
		block = append(block, byte(len(s)))
		block = append(block, s...)
	}
	return frame(1, 0x4|0x1, stream, block)
}

// over returns a transport whose base speaks HTTP/2 with srv.
func over(t *testing.T, srv *httptest.Server) (*httpbuffer.Transport, *buffer.Lane) {
	t.Helper()
	base := srv.Client().Transport.(*http.Transport)
	base.ForceAttemptHTTP2 = true
	t.Cleanup(base.CloseIdleConnections)
	b, err := buffer.New(buffer.Config{})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	lane := b.Lane("k")
	_, portOf, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	lane.Observe(routed(1, lead("n1", 1)))
	rt, err := httpbuffer.New(lane, httpbuffer.Options{Base: base, URL: func(leadership.Leadership, string) (*url.URL, error) {
		return &url.URL{Scheme: "https", Host: "127.0.0.1:" + portOf}, nil
	}})
	require.NoError(t, err)
	return rt, lane
}

const (
	protocolError = 1
	refusedStream = 7
)

// RFC 9113, section 8.7: nothing of a refused stream was processed.
func TestAStreamThatWasRefusedIsSentAgainByTheBase(t *testing.T) {
	t.Parallel()
	srv, n := frames(t, func(n int, stream uint32) []byte {
		if n == 1 {
			return reset(stream, refusedStream)
		}
		return final(stream, "200")
	})
	rt, _ := over(t, srv)
	resp, err := rt.RoundTrip(request(t, "POST", &source{r: io.LimitReader(zeros{}, 100)}))
	require.NoError(t, err)
	require.Equal(t, 2, resp.ProtoMajor)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 2, n.get())
}

// net/http sends again what the peer reset with PROTOCOL_ERROR, which is no
// proof. A refusal of its second try is none of the first.
func TestG9_AStreamThatTheBaseSentAgainWithoutProofIsNotForgotten(t *testing.T) {
	t.Parallel()
	text, err := (&leadership.Refusal{Term: term(1), Until: term(1)}).MarshalText()
	require.NoError(t, err)
	srv, n := frames(t, func(n int, stream uint32) []byte {
		if n == 1 {
			return reset(stream, protocolError)
		}
		return final(stream, "503", "tenure-refusal", string(text))
	})
	rt, _ := over(t, srv)
	_, err = rt.RoundTrip(request(t, "POST", nil))
	require.Error(t, err)
	require.False(t, leadership.NotExecuted(err))
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.ErrorContains(t, err, "refused")
	require.Equal(t, 2, n.get())
}

func TestARefusalOverHTTP2IsProof(t *testing.T) {
	t.Parallel()
	text, err := (&leadership.Refusal{Term: term(1), Until: term(1)}).MarshalText()
	require.NoError(t, err)
	srv, n := frames(t, func(n int, stream uint32) []byte {
		if n == 1 {
			return final(stream, "503", "tenure-refusal", string(text))
		}
		return final(stream, "200")
	})
	rt, _ := over(t, srv)
	resp, err := rt.RoundTrip(request(t, "POST", nil))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, 2, n.get())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
