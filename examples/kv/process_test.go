package kv_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/kv"
	"github.com/tenure-go/tenure/leadership"
)

const asMember = "TENURE_KV_TEST_MEMBER"

// The test binary is also the member's: the tests run themselves.
func TestMain(m *testing.M) {
	if os.Getenv(asMember) != "" {
		os.Exit(kv.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// processes is a cluster whose members are processes.
type processes struct {
	*cluster
	cmds  map[leadership.NodeID]*exec.Cmd
	stdin map[leadership.NodeID]io.Closer
}

func newProcesses(t testing.TB, n int, policy leadership.Policy) *processes {
	c := &cluster{
		t: t, dir: t.TempDir(), peers: map[leadership.NodeID]string{},
		heard: map[leadership.NodeID]*kv.Remote{}, http: kv.NewHTTPClient(),
	}
	p := &processes{cluster: c, cmds: map[leadership.NodeID]*exec.Cmd{}, stdin: map[leadership.NodeID]io.Closer{}}
	var nodes []leadership.Node
	var lns []net.Listener
	for _, id := range ids(n) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		lns = append(lns, ln)
		c.peers[id] = ln.Addr().String()
		c.heard[id] = kv.NewRemote(id, c.peers[id], c.http)
		nodes = append(nodes, leadership.Node{ID: id})
	}
	for _, ln := range lns {
		require.NoError(t, ln.Close())
	}
	var err error
	c.rules, err = leadership.NewRuleset(policy, nodes...)
	require.NoError(t, err)
	t.Cleanup(func() {
		for id := range p.cmds {
			p.kill(id)
		}
		c.http.CloseIdleConnections()
	})
	for _, id := range ids(n) {
		p.run(id, "-create")
	}
	return p
}

func (p *processes) run(id leadership.NodeID, more ...string) {
	p.t.Helper()
	exe, err := os.Executable()
	require.NoError(p.t, err)
	args := []string{"-id", string(id), "-dir", filepath.Join(p.dir, string(id)), "-peers", kv.FormatPeers(p.peers), "-tied"}
	cmd := exec.Command(exe, append(args, more...)...)
	cmd.Env = append(os.Environ(), asMember+"=1")
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	// Open until this process ends, so that the member ends with it.
	p.stdin[id], err = cmd.StdinPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	p.cmds[id] = cmd
	require.Eventually(p.t, func() bool {
		_, err := p.heard[id].Status(context.Background())
		return err == nil
	}, 10*time.Second, 2*time.Millisecond)
}

// kill is kill -9.
func (p *processes) kill(id leadership.NodeID) {
	cmd := p.cmds[id]
	delete(p.cmds, id)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// ledger is what the clients were told.
type ledger struct {
	acked          sync.Map // key
	writes, failed atomic.Int64
}

// load writes unique keys to whoever leads until ctx ends.
func (l *ledger) load(ctx context.Context, c *cluster, clients int, leader *atomic.Pointer[string], wg *sync.WaitGroup) {
	for w := range clients {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := strconv.Itoa(w) + "-" + strconv.Itoa(i)
				cl := &kv.Client{URL: *leader.Load(), HTTP: c.http}
				try, cancel := context.WithTimeout(ctx, time.Second)
				_, err := cl.Put(try, key, []byte(key))
				cancel()
				if err != nil {
					l.failed.Add(1)
					_ = waitFor(ctx, 5*time.Millisecond)
					continue
				}
				l.writes.Add(1)
				l.acked.Store(key, true)
			}
		})
	}
}

func waitFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestKillingMembersUnderLoadLosesNoAcknowledgedWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes for some seconds")
	}
	p := newProcesses(t, 3, leadership.Majority())
	all := ids(3)
	p.lead("n1", all...)
	var leader atomic.Pointer[string]
	point := func(id leadership.NodeID) { u := "http://" + p.peers[id]; leader.Store(&u) }
	point("n1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var l ledger
	var wg sync.WaitGroup
	l.load(ctx, p.cluster, 16, &leader, &wg)

	lead := 0
	for kill := range 8 {
		written := l.writes.Load()
		require.Eventually(t, func() bool { return l.writes.Load() > written+500 }, 15*time.Second, time.Millisecond)
		victim := all[lead]
		if kill%3 == 1 { // a follower that dies in the middle is nothing to the others
			victim = all[(lead+1)%3]
			p.kill(victim)
			p.run(victim)
			continue
		}
		p.kill(victim)
		next := (lead + 1) % 3
		p.lead(all[next], all[next], all[(next+1)%3])
		point(all[next])
		p.run(victim)
		lead = next
	}
	cancel()
	wg.Wait()
	// All of them at once, and a new leader.
	for _, id := range all {
		p.kill(id)
	}
	for _, id := range all {
		p.run(id)
	}
	next := all[(lead+1)%3]
	p.lead(next, next, all[lead])
	cl := p.client(next)
	lost := 0
	l.acked.Range(func(k, _ any) bool {
		v, ok, err := cl.Get(deadline(t), k.(string))
		if err != nil || !ok || string(v) != k.(string) {
			lost++
			t.Errorf("acknowledged %s: found %v %q, %v", k, ok, v, err)
		}
		return lost < 10
	})
	t.Logf("%d writes acknowledged, %d not, %d lost", l.writes.Load(), l.failed.Load(), lost)
	require.Greater(t, l.writes.Load(), int64(4000))
}

func TestAMemberEndsWithItsParent(t *testing.T) {
	t.Parallel()
	p := newProcesses(t, 1, leadership.Majority())
	p.lead("n1", "n1")
	p.put("n1", "k", "v")
	cmd := p.cmds["n1"]
	delete(p.cmds, "n1")
	require.NoError(t, p.stdin["n1"].Close()) // as the kernel does when the parent dies
	require.NoError(t, cmd.Wait(), "it stops in good order")
}

func BenchmarkWrites(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("5 processes, %d clients", clients), func(b *testing.B) {
			p := newProcesses(b, 5, leadership.Majority())
			p.lead("n1", ids(5)...)
			cl := p.client("n1")
			var wg sync.WaitGroup
			var next atomic.Int64
			b.ResetTimer()
			for range clients {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						key := strconv.FormatInt(i, 10)
						if _, err := cl.Put(context.Background(), key, []byte(key)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

func BenchmarkReads(b *testing.B) {
	p := newProcesses(b, 5, leadership.Majority())
	p.lead("n1", ids(5)...)
	p.put("n1", "k", "v")
	cl := p.client("n1")
	var wg sync.WaitGroup
	var next atomic.Int64
	b.ResetTimer()
	for range 64 {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, _, err := cl.Get(context.Background(), "k"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
