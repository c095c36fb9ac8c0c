package netproxy_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/netproxy"
)

// What is sent once Set(Hold) has returned does not arrive before Set(Pass) is
// called, also from a sender that never pauses.
func TestNothingArrivesBetweenHoldAndPass(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	p := listen(t, ln.Addr().String())
	c := dial(t, p)
	s, err := ln.Accept()
	require.NoError(t, err)
	type message struct{ sent, came int64 }
	begun := time.Now()
	now := func() int64 { return int64(time.Since(begun)) }
	var messages []message // the receiver's, until it is joined
	var tasks sync.WaitGroup
	tasks.Go(func() {
		in := bufio.NewReader(s)
		for {
			var sent int64
			if binary.Read(in, binary.BigEndian, &sent) != nil {
				return
			}
			messages = append(messages, message{sent, now()})
		}
	})
	tasks.Go(func() {
		for binary.Write(c, binary.BigEndian, now()) == nil {
		}
	})
	type span struct{ from, to int64 }
	var held []span
	timer := time.NewTimer(0)
	defer timer.Stop()
	for range 20 {
		<-timer.C
		require.NoError(t, p.Set(netproxy.Hold))
		h := span{from: now()}
		timer.Reset(10 * time.Millisecond)
		<-timer.C
		h.to = now()
		require.NoError(t, p.Set(netproxy.Pass))
		held = append(held, h)
		timer.Reset(5 * time.Millisecond)
	}
	c.Close()
	s.Close()
	tasks.Wait()
	require.NotEmpty(t, messages)
	late := 0
	for _, m := range messages {
		for _, h := range held {
			if m.sent > h.from && m.sent < h.to {
				require.Greater(t, m.came, h.to)
				late++
			}
		}
	}
	require.Positive(t, late, "nothing was sent while it was held")
}

// A write that waits for a receiver who takes nothing cannot be taken back: the
// connection is broken rather than let it go on under Hold.
func TestHoldBreaksAConnectionThatCannotBeHeld(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	p := listen(t, ln.Addr().String())
	c := dial(t, p)
	s, err := ln.Accept()
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(bound)))
	full := make(chan struct{})
	go func() {
		defer close(full)
		buf := make([]byte, 1<<16)
		for written := 0; written < 64<<20; { // more than the kernel holds on both legs
			n, err := c.Write(buf)
			if err != nil {
				return
			}
			written += n
		}
	}()
	quietFor(t, full, 500*time.Millisecond)
	require.NoError(t, p.Set(netproxy.Hold))
	<-full // its connection was broken too
	require.NoError(t, s.SetReadDeadline(time.Now().Add(bound)))
	_, err = io.Copy(io.Discard, s)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// quietFor waits, and fails when done is closed before.
func quietFor(t *testing.T, done <-chan struct{}, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		t.Fatal("the receiver took everything")
	case <-timer.C:
	}
}

// Whatever the modes did meanwhile, what a receiver got is a prefix of what was
// sent: a stream is whole, or broken.
func TestAStreamNeverHasAGap(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := listen(t, ln.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var tasks sync.WaitGroup
	var mu sync.Mutex
	received, gaps := 0, 0
	tasks.Go(func() {
		<-ctx.Done()
		ln.Close()
	})
	tasks.Go(func() {
		for {
			s, err := ln.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer s.Close()
				stop := context.AfterFunc(ctx, func() { s.Close() })
				defer stop()
				in := bufio.NewReader(s)
				for want := uint64(0); ; want++ {
					var got uint64
					if binary.Read(in, binary.BigEndian, &got) != nil {
						return
					}
					mu.Lock()
					received++
					if got != want {
						gaps++
					}
					mu.Unlock()
					if got != want {
						return
					}
				}
			})
		}
	})
	for range 4 {
		tasks.Go(func() {
			for ctx.Err() == nil {
				c, err := net.DialTimeout("tcp", p.Addr(), time.Second)
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { c.Close() })
				for n := uint64(0); binary.Write(c, binary.BigEndian, n) == nil; n++ {
				}
				stop()
				c.Close()
			}
		})
	}
	for i := range 2 {
		tasks.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				var err error
				switch r.IntN(8) {
				case 0:
					err = p.SetWay(netproxy.Way(r.IntN(2)), netproxy.Hold)
				case 1:
					err = p.SetWay(netproxy.Way(r.IntN(2)), netproxy.Drop)
				case 2:
					err = p.Set(netproxy.Mode(r.IntN(5)))
				case 3:
					p.Delay(time.Duration(r.IntN(3)) * time.Millisecond)
				default:
					err = p.Set(netproxy.Pass)
				}
				if err != nil {
					t.Error(err)
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	tasks.Wait()
	require.Zero(t, gaps)
	require.Greater(t, received, 100)
}
