package netproxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/internal/engines/netproxy"
)

const (
	soon  = 100 * time.Millisecond // nothing arrives within it
	bound = 10 * time.Second       // everything arrives within it
)

// What Close left running would be here after the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "netproxy.(*") {
		fmt.Println("goroutines are left:\n" + stacks)
		code = 1
	}
	os.Exit(code)
}

// echo is a target that sends back what it gets. It counts its connections.
func echo(t *testing.T) (addr string, connections func() int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var all []net.Conn
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
			tasks.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.(*net.TCPConn).CloseWrite()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range all {
			c.Close()
		}
		mu.Unlock()
		tasks.Wait()
	})
	return ln.Addr().String(), func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(all)
	}
}

func listen(t *testing.T, target string) *netproxy.Proxy {
	t.Helper()
	p, err := netproxy.Listen(target)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Close())
		require.Zero(t, p.Open())
	})
	return p
}

func dial(t *testing.T, p *netproxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", p.Addr(), bound)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// arrives reads exactly this within the bound.
func arrives(t *testing.T, c net.Conn, want string) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(bound)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// quiet reads nothing for a while.
func quiet(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(soon)))
	n, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, n)
}

func broken(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(bound)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

// refusedOrReset dials a proxy that breaks the connection, sometimes before the
// dial has noticed that it was made.
func refusedOrReset(t *testing.T, p *netproxy.Proxy, want error) {
	t.Helper()
	c, err := net.DialTimeout("tcp", p.Addr(), bound)
	if err == nil {
		defer c.Close()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(bound)))
		_, err = c.Read(make([]byte, 1))
	}
	require.ErrorIs(t, err, want)
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func TestPassCarriesBothWaysAndTheEnd(t *testing.T) {
	t.Parallel()
	target, _ := echo(t)
	c := dial(t, listen(t, target))
	say(t, c, "hello")
	arrives(t, c, "hello")
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestWhatIsHeldArrivesLate(t *testing.T) {
	t.Parallel()
	target, connections := echo(t)
	p := listen(t, target)
	c := dial(t, p)
	say(t, c, "a")
	arrives(t, c, "a")
	require.NoError(t, p.Set(netproxy.Hold))
	say(t, c, "b")
	quiet(t, c)
	young := dial(t, p)
	say(t, young, "y")
	quiet(t, young)
	require.Equal(t, 1, connections(), "the target is not dialled meanwhile")
	require.NoError(t, p.Set(netproxy.Pass))
	arrives(t, c, "b")
	arrives(t, young, "y")
}

func TestOneWayIsHeldAlone(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	p := listen(t, ln.Addr().String())
	c := dial(t, p)
	s, err := ln.Accept()
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, p.SetWay(netproxy.Backward, netproxy.Hold))
	say(t, c, "there")
	arrives(t, s, "there")
	say(t, s, "back")
	quiet(t, c)
	require.NoError(t, p.SetWay(netproxy.Backward, netproxy.Pass))
	arrives(t, c, "back")
	require.NoError(t, p.SetWay(netproxy.Forward, netproxy.Hold))
	say(t, s, "again")
	arrives(t, c, "again")
	say(t, c, "late")
	quiet(t, s)
	require.NoError(t, p.SetWay(netproxy.Forward, netproxy.Pass))
	arrives(t, s, "late")
	require.Error(t, p.SetWay(netproxy.Forward, netproxy.Refuse))
	require.Error(t, p.SetWay(7, netproxy.Hold))
	require.Error(t, p.Set(7))
}

func TestAConnectionThatLostAByteIsResetAndOneThatLostNoneIsNot(t *testing.T) {
	t.Parallel()
	target, connections := echo(t)
	p := listen(t, target)
	loser, idle := dial(t, p), dial(t, p)
	for _, c := range []net.Conn{loser, idle} {
		say(t, c, "a")
		arrives(t, c, "a")
	}
	require.NoError(t, p.Set(netproxy.Drop))
	say(t, loser, "b")
	quiet(t, loser)
	young := dial(t, p)
	say(t, young, "y")
	quiet(t, young)
	require.NoError(t, p.Set(netproxy.Hold), "which brings nothing back")
	quiet(t, loser)
	require.NoError(t, p.Set(netproxy.Pass))
	broken(t, loser)
	broken(t, young)
	say(t, idle, "c")
	arrives(t, idle, "c")
	require.Equal(t, 2, connections())
}

func TestRefuseAndResetBreakWhatIsOpen(t *testing.T) {
	t.Parallel()
	target, _ := echo(t)
	p := listen(t, target)
	for _, m := range []netproxy.Mode{netproxy.Refuse, netproxy.Reset} {
		t.Run(m.String(), func(t *testing.T) {
			c := dial(t, p)
			say(t, c, "a")
			arrives(t, c, "a")
			require.NoError(t, p.Set(m))
			broken(t, c)
			if m == netproxy.Refuse {
				refusedOrReset(t, p, syscall.ECONNREFUSED)
			} else {
				refusedOrReset(t, p, syscall.ECONNRESET)
			}
			require.NoError(t, p.Set(netproxy.Pass))
			c = dial(t, p)
			say(t, c, "b")
			arrives(t, c, "b")
		})
	}
}

func TestADelayDelaysEachByteAndNotTheStream(t *testing.T) {
	t.Parallel()
	target, _ := echo(t)
	p := listen(t, target)
	c := dial(t, p)
	say(t, c, "warm")
	arrives(t, c, "warm")
	const d = 80 * time.Millisecond
	p.Delay(d)
	begun := time.Now()
	for i := range 20 {
		say(t, c, fmt.Sprintf("%02d", i))
	}
	for i := range 20 {
		arrives(t, c, fmt.Sprintf("%02d", i))
	}
	took := time.Since(begun)
	require.GreaterOrEqual(t, took, 2*d, "there and back")
	require.Less(t, took, 12*d, "not one after the other")
	p.Delay(0)
	begun = time.Now()
	say(t, c, "x")
	arrives(t, c, "x")
	require.Less(t, time.Since(begun), 2*d)
}

func TestATargetThatIsAwayResetsAndAnotherOneCanBeSet(t *testing.T) {
	t.Parallel()
	port, err := netproxy.FreePort()
	require.NoError(t, err)
	p := listen(t, fmt.Sprintf("127.0.0.1:%d", port))
	refusedOrReset(t, p, syscall.ECONNRESET)
	target, _ := echo(t)
	p.Target(target)
	c := dial(t, p)
	say(t, c, "a")
	arrives(t, c, "a")
}

func TestAfterCloseEverythingIsRefused(t *testing.T) {
	t.Parallel()
	target, _ := echo(t)
	p, err := netproxy.Listen(target)
	require.NoError(t, err)
	c := dial(t, p)
	say(t, c, "a")
	arrives(t, c, "a")
	held := dial(t, p)
	require.NoError(t, p.Set(netproxy.Hold))
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	broken(t, c)
	broken(t, held)
	refusedOrReset(t, p, syscall.ECONNREFUSED)
	require.Error(t, p.Set(netproxy.Pass))
}

func Example() {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer target.Close()
	edge, err := netproxy.Listen(target.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer edge.Close()
	fmt.Println(edge.Set(netproxy.Refuse))
	_, err = net.Dial("tcp", edge.Addr())
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	fmt.Println(edge.Set(netproxy.Pass))
	c, err := net.Dial("tcp", edge.Addr())
	fmt.Println(err)
	c.Close()
	// Output:
	// <nil>
	// true
	// <nil>
	// <nil>
}
