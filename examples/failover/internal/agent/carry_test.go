package agent_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tenure-go/tenure/examples/failover/internal/agent"
	"github.com/tenure-go/tenure/examples/failover/stage"
	"github.com/tenure-go/tenure/leadership"
)

func TestACallForAnotherIsRefusedAndTouchesNothing(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		name string
		edit func(*agent.ClientConfig)
		want string
	}{
		{"another cluster", func(c *agent.ClientConfig) { c.Cluster = "billing" }, "this is the agent of n1 of orders"},
		{"another node", func(c *agent.ClientConfig) { c.Node = "n2" }, "this is the agent of n1 of orders"},
		{"a wrong token", func(c *agent.ClientConfig) { c.Token = "guess" }, "the token is missing or wrong"},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, false)
			_, err := r.client(k.edit).Promise(t.Context(), t5)
			require.ErrorAs(t, err, new(*agent.RefusedError))
			require.ErrorContains(t, err, k.want)
			require.True(t, leadership.NotExecuted(err))
			require.Zero(t, r.node.asked.Load())
		})
	}
	r := newRig(t, false)
	right := `{"version":1,"cluster":"orders","node":"n1","call":"promise","term":"5.tool"}`
	post := func(path, auth, body string) (int, string) {
		req, err := http.NewRequest(http.MethodPost, r.url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", auth)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	const path = "/tenure/agent/promise"
	for _, k := range []struct{ name, path, auth, body, want string }{
		{"no token", path, "", right, "token"},
		{"half a token", path, "Bearer " + token[:5], right, "token"},
		{"another version", path, "Bearer " + token, `{"version":2,"newField":1}`, "same release"},
		{"no version", path, "Bearer " + token, strings.Replace(right, `"version":1,`, "", 1), "version 0"},
		{"a field that is not known", path, "Bearer " + token, strings.Replace(right, "{", `{"unless":"x",`, 1), "unknown field"},
		{"two documents", path, "Bearer " + token, right + right, "follows the document"},
		{"the path of another call", "/tenure/agent/grant", "Bearer " + token, right, "no call"},
		{"no such call", "/tenure/agent/destroy", "Bearer " + token, strings.Replace(right, "promise", "destroy", 1), "no call"},
		{"no term", path, "Bearer " + token, strings.Replace(right, "5.tool", "0", 1), "term"},
		{"no marker", "/tenure/agent/install", "Bearer " + token, strings.Replace(right, "promise", "install", 1), "marker"},
		{"a marker of another term", "/tenure/agent/install", "Bearer " + token, strings.Replace(strings.Replace(right, "promise", "install", 1), "}", `,"marker":{"term":"4.tool","leader":"n1","ruleset":{}}}`, 1), "marker"},
		{"no leader", "/tenure/agent/follow", "Bearer " + token, strings.Replace(right, "promise", "follow", 1), "node"},
		{"no position", "/tenure/agent/catch-up", "Bearer " + token, strings.Replace(strings.Replace(right, "promise", "catch-up", 1), "}", `,"leader":"n2"}`, 1), "position"},
		{"a position of no server", "/tenure/agent/catch-up", "Bearer " + token, strings.Replace(strings.Replace(right, "promise", "catch-up", 1), "}", `,"leader":"n2","position":"5.tool@pg:x"}`, 1), "position"},
		{"a deadline below zero", path, "Bearer " + token, strings.Replace(right, "}", `,"within":-1}`, 1), "below zero"},
		{"too large", path, "Bearer " + token, strings.Replace(right, "orders", strings.Repeat("o", 2<<20), 1), "too large"},
		{"nothing", path, "Bearer " + token, "", "cannot be read"},
	} {
		code, body := post(k.path, k.auth, k.body)
		require.Equal(t, http.StatusForbidden, code, "%s: %s", k.name, body)
		require.Contains(t, body, k.want, k.name)
		require.Contains(t, body, `"agentRefused"`, k.name)
	}
	require.Zero(t, r.node.asked.Load())
	code, body := post(path, "Bearer "+token, right)
	require.Equal(t, http.StatusOK, code, body)
	require.EqualValues(t, 1, r.node.asked.Load(), "the right call is taken")
}

func TestOnlyWhoHasACertificateOfTheCAIsServedOrBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t, true)
	ca, cert, key, err := stage.Certificates(t.TempDir())
	require.NoError(t, err)
	other, err := agent.ClientTLS(ca, cert, key, "")
	require.NoError(t, err)
	own := func(edit func(*tls.Config)) *tls.Config {
		c := r.tls.Clone()
		edit(c)
		return c
	}
	for _, k := range []struct {
		name string
		tls  *tls.Config
		// unsent: it is the caller that does not go on, so that nothing was sent.
		unsent bool
	}{
		{"no certificate", own(func(c *tls.Config) { c.Certificates = nil }), false},
		{"a certificate of another CA", own(func(c *tls.Config) { c.Certificates = other.Certificates }), false},
		{"an agent of another CA", own(func(c *tls.Config) { c.RootCAs = other.RootCAs }), true},
		{"an agent of another name", own(func(c *tls.Config) { c.ServerName = "db9" }), true},
		{"an older TLS", own(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }), true},
	} {
		_, err := r.client(func(c *agent.ClientConfig) { c.TLS = k.tls }).Promise(t.Context(), t5)
		require.ErrorAs(t, err, new(*agent.CallError), k.name)
		require.Equal(t, k.unsent, leadership.NotExecuted(err), "%s: %v", k.name, err)
		require.Equal(t, !k.unsent, errors.Is(err, leadership.ErrUnknownOutcome), "%s: %v", k.name, err)
	}
	require.Zero(t, r.node.asked.Load())
	_, err = r.client().Promise(t.Context(), t5)
	require.NoError(t, err)
	_, err = agent.ServerTLS(key, cert, key)
	require.ErrorContains(t, err, "no certificate")
}

func TestTheEndOfACallersContextIsNeverAProof(t *testing.T) {
	t.Parallel()
	r := newRig(t, true)
	c := r.client()
	// Before the call.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Promise(gone, t5)
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, leadership.NotExecuted(err))
	require.Zero(t, r.node.asked.Load())

	// While it connects: nobody ever answers the handshake.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = r.client(func(c *agent.ClientConfig) { c.URL = "https://" + ln.Addr().String() }).Promise(short, t5)
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(err))

	// During it: the node hears of it.
	began, ended := make(chan time.Duration, 1), make(chan error, 1)
	r.node.says(func(ctx context.Context, _ leadership.Term) (leadership.Testimony, error) {
		left := time.Duration(-1)
		if end, ok := ctx.Deadline(); ok {
			left = time.Until(end)
		}
		began <- left
		<-ctx.Done()
		ended <- ctx.Err()
		return leadership.Testimony{}, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := c.Promise(ctx, t5)
		result <- err
	}()
	require.EqualValues(t, -1, <-began, "no deadline is made up")
	cancel()
	err = <-result
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(err))
	require.ErrorIs(t, <-ended, context.Canceled)

	// A deadline is one at the node, by its clock.
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = c.Promise(ctx, t5)
	require.False(t, leadership.NotExecuted(err))
	left := <-began
	require.True(t, left > 0 && left <= 300*time.Millisecond, "%s", left)
	require.Error(t, <-ended)
}

func TestTheDeadlineHoldsAtTheNodeWhenTheCallerIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, false)
	ended := make(chan error, 1)
	r.node.says(func(ctx context.Context, _ leadership.Term) (leadership.Testimony, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return leadership.Testimony{}, ctx.Err()
	})
	// The connection stays: only the deadline can end it.
	body := `{"version":1,"cluster":"orders","node":"n1","call":"promise","term":"5.tool","within":50000000}`
	req, err := http.NewRequest(http.MethodPost, r.url+"/tenure/agent/promise", bytes.NewBufferString(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.ErrorIs(t, <-ended, context.DeadlineExceeded)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(b), `"deadline"`)
}

func TestAnAgentThatIsNotThereWasNotAskedAndSaysNothingOfItsServer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	c, err := agent.NewClient(agent.ClientConfig{Cluster: "orders", Node: "n1", URL: "http://" + ln.Addr().String(), Token: token})
	require.NoError(t, err)
	_, err = c.Promise(t.Context(), t5)
	require.True(t, leadership.NotExecuted(err), "%v", err)
	require.NotErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.NotErrorIs(t, err, syscall.ECONNREFUSED, "the failure detector would take it for a server that is down")
	require.NotContains(t, err.Error(), token)
}

func TestAnAgentThatIsEndedFinishesItsCallsOrSaysThatItBrokeThemOff(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		name   string
		finish bool
	}{{"in time", true}, {"late", false}} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, true)
			began, release := make(chan struct{}, 1), make(chan struct{})
			r.node.says(func(ctx context.Context, at leadership.Term) (leadership.Testimony, error) {
				began <- struct{}{}
				select {
				case <-release:
					return leadership.Testimony{Node: "n1", Term: at}, nil
				case <-ctx.Done():
					return leadership.Testimony{}, context.Cause(ctx)
				}
			})
			result := make(chan error, 1)
			go func() {
				_, err := r.client().Promise(context.Background(), t5)
				result <- err
			}()
			<-began
			r.stop()
			require.Eventually(t, func() bool {
				_, err := r.client().Status(context.Background())
				return leadership.NotExecuted(err)
			}, 5*time.Second, 10*time.Millisecond, "new calls find nobody")
			if k.finish {
				close(release)
				require.NoError(t, <-result)
				require.NoError(t, <-r.done)
				return
			}
			err := <-result
			require.ErrorContains(t, err, "the agent is stopping")
			require.False(t, leadership.NotExecuted(err))
			require.ErrorContains(t, <-r.done, "broken off")
		})
	}
}

func TestAnAgentThatDiesInACallLeavesAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 16)) // it has a part of the call
		_ = conn.Close()
	}()
	c, err := agent.NewClient(agent.ClientConfig{Cluster: "orders", Node: "n1", URL: "http://" + ln.Addr().String(), Token: token})
	require.NoError(t, err)
	_, err = c.Promise(t.Context(), t5)
	require.ErrorIs(t, err, leadership.ErrUnknownOutcome)
	require.False(t, leadership.NotExecuted(err))
}
