package etcdregistry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
	"github.com/tenure-go/tenure/internal/engines/enginetest"
	"github.com/tenure-go/tenure/leadership/etcdregistry"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const childVar = "ETCDREGISTRY_TEST_HOLDER"

// lockHolder is the body of another process. It takes the lock, says so, waits for a
// line, and then writes, whatever its clock says.
func lockHolder(endpoint string) int {
	fail := func(err error) int { fmt.Println(err); return 1 }
	c, err := etcdregistry.Open("c", etcdregistry.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return fail(err)
	}
	defer c.Close()
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return fail(err)
	}
	defer cli.Close()
	lock, err := c.NewLock(etcdregistry.LockConfig{Holder: "child", TTL: 2 * time.Second})
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	err = lock.Run(ctx, func(held context.Context, h *etcdregistry.Held) error {
		rec, err := h.Registry().Load(ctx)
		if err != nil {
			return err
		}
		next, err := begin(rec, "child")
		if err != nil {
			return err
		}
		fmt.Println("held", h.Num())
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
		// Its own transaction first: nothing but etcd can refuse that.
		resp, err := cli.Txn(ctx).If(h.Owner()).Then(clientv3.OpPut("/tenure/c/mine", "child")).Commit()
		if err != nil {
			return err
		}
		_, err = h.Registry().Swap(ctx, rec.Version, next)
		var refused *etcdregistry.NotOwnerError
		<-held.Done()
		fmt.Println("wrote", resp.Succeeded, "refused", errors.As(err, &refused), "left", h.Left(), "cause", context.Cause(held))
		return nil
	})
	fmt.Println("end", err)
	return 0
}

// The classical zombie: a coordinator that is stopped for longer than its lease, and
// wakes up in front of its next write. The record is as it was, so that the version
// alone would let it write.
func TestAHolderThatWasPausedBeyondItsLeaseWritesNothing(t *testing.T) {
	t.Parallel()
	etcd := enginetest.Etcd(t, host, engines.EtcdConfig{})
	c := open(t, "c", impatient(etcd.Endpoints()...))
	rec := create(t, c.Registry())
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), childVar+"="+etcd.Endpoints()[0])
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := bufio.NewScanner(out)
	var num uint64
	if !said.Scan() {
		t.Fatal("the child ended early")
	}
	if _, err := fmt.Sscanf(said.Text(), "held %d", &num); err != nil {
		t.Fatalf("the child says %q", said.Text())
	}
	must(t, cmd.Process.Signal(syscall.SIGSTOP))
	start := time.Now()
	err = newLock(t, c, etcdregistry.LockConfig{}).Run(within(t, bound), func(ctx context.Context, h *etcdregistry.Held) error {
		t.Logf("taken over %s after the holder was stopped", time.Since(start).Round(time.Millisecond))
		if h.Num() <= num {
			t.Errorf("number %d after %d", h.Num(), num)
		}
		if _, err := io.WriteString(in, "go on\n"); err != nil {
			t.Error(err)
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
		for said.Scan() {
			switch line := said.Text(); {
			case strings.HasPrefix(line, "end"):
				if !strings.Contains(line, "is lost") {
					t.Errorf("the child's Run = %q", line)
				}
			case !strings.HasPrefix(line, "wrote false refused true left 0s cause etcdregistry: lock number"):
				t.Errorf("the child says %q", line)
			}
		}
		if r, err := h.Registry().Load(ctx); err != nil || !r.Equal(rec) {
			t.Errorf("the record is %+v, %v", r, err)
		}
		return h.Check(ctx)
	})
	must(t, err)
	must(t, cmd.Wait())
}
