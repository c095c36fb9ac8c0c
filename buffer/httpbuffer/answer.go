package httpbuffer

import (
	"io"
	"net/http"
	"sync"

	"github.com/tenure-go/tenure/buffer"
)

// answer returns resp with a body at whose end the turn ends.
func answer(resp *http.Response, turn buffer.Turn) *http.Response {
	if resp.Body == nil || resp.Body == http.NoBody {
		turn.Done(nil)
		return resp
	}
	b := &answerBody{ReadCloser: resp.Body, turn: turn}
	resp.Body = b
	if w, ok := b.ReadCloser.(io.Writer); ok { // 101 Switching Protocols
		resp.Body = &upgraded{answerBody: b, Writer: w}
	}
	return resp
}

// answerBody ends a turn when it is read to its end, fails or is closed. That
// the request was executed is known by then, whatever an error says.
type answerBody struct {
	io.ReadCloser
	once sync.Once // Close may be called during a Read
	turn buffer.Turn
}

func (b *answerBody) done(err error) { b.once.Do(func() { b.turn.Done(err) }) }

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.done(nil)
	} else if err != nil {
		err = mute(err)
		b.done(err)
	}
	return n, err
}

func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	b.done(nil)
	return mute(err)
}

// upgraded is the body of a connection that was upgraded. Such a body is
// written to as well, and its turn ends only when it is closed.
type upgraded struct {
	*answerBody
	io.Writer
}

func (u *upgraded) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	return n, mute(err)
}

// CloseWrite closes the sending side, where the connection can.
func (u *upgraded) CloseWrite() error {
	if c, ok := u.Writer.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
