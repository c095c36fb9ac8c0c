package httpbuffer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/leadership"
)

// member is a server of the examples: it answers with its name, for the
// leadership that it serves.
func member(serving leadership.Leadership) *httptest.Server {
	return httptest.NewServer(httpbuffer.Handler(
		func() leadership.Leadership { return serving },
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s took %q", serving, b)
		})))
}

// A client whose requests follow the leader. The second leader refuses what is
// meant for the first; the client never hears of it.
func ExampleNew() {
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	n2 := leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 2, Proposer: "c1"}}
	srv := member(n2)
	defer srv.Close()
	addr := srv.Listener.Addr().String()

	b, err := buffer.New(buffer.Config{})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	orders := b.Lane("orders")
	rt, err := httpbuffer.New(orders, httpbuffer.Options{})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: rt}

	// The record is out of date: who answers there serves another term.
	orders.Observe(leadership.Record{Version: 1, Active: n1, Routed: n1, Addr: addr})
	var wg sync.WaitGroup
	wg.Go(func() {
		resp, err := client.Post("http://orders/", "text/plain", strings.NewReader("an order"))
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		fmt.Println(string(b))
	})
	// As buffer.Follow would, once the registry shows it.
	orders.Observe(leadership.Record{Version: 2, Active: n2, Routed: n2, Addr: addr})
	wg.Wait()
	// Output: n2@2.c1 took "an order"
}

// A reverse proxy for clients that know nothing of leaders.
func ExampleNewProxy() {
	n1 := leadership.Leadership{Leader: "n1", Term: leadership.Term{Num: 1, Proposer: "c1"}}
	srv := member(n1)
	defer srv.Close()

	b, err := buffer.New(buffer.Config{})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	orders := b.Lane("orders")
	proxy, err := httpbuffer.NewProxy(orders, httpbuffer.ProxyOptions{})
	if err != nil {
		panic(err)
	}
	front := httptest.NewServer(proxy)
	defer front.Close()

	var wg sync.WaitGroup
	wg.Go(func() { // held: nobody is known to lead
		resp, err := http.Get(front.URL)
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, string(b))
	})
	orders.Observe(leadership.Record{Version: 1, Active: n1, Routed: n1, Addr: srv.Listener.Addr().String()})
	wg.Wait()
	// Output: 200 n1@1.c1 took ""
}

// What a server answers to a request that is meant for another leadership.
func ExampleHandler() {
	serving := leadership.Leadership{Leader: "n2", Term: leadership.Term{Num: 2, Proposer: "c1"}}
	h := httpbuffer.Handler(func() leadership.Leadership { return serving },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "done") }))

	for _, term := range []string{"1.c1", "2.c1"} {
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		req.Header.Set(httpbuffer.TermHeader, term)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		fmt.Println(w.Code, w.Header().Get(httpbuffer.LeaderHeader), strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 503  refused, not executed: the request is meant for term 1.c1 (at term 2.c1), try n2
	// 200 n2@2.c1 done
}
