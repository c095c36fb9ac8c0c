package httpbuffer_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// A client, a proxy, and what each server puts in front of its handler. It serves
// on a port, so it is compiled and not run.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	registry, ended := &leadership.MemoryRegistry{}, make(chan error, 1)
	b, err := buffer.New(buffer.Config{MaxAge: 5 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	orders := b.Lane("orders")
	go func() { ended <- b.Follow(ctx, registry, orders) }()

	rt, err := httpbuffer.New(orders, httpbuffer.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: rt}
	resp, err := client.Get("http://orders/7")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()

	proxy, err := httpbuffer.NewProxy(orders, httpbuffer.ProxyOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = http.ListenAndServe(":80", proxy)
	fmt.Println(err)
	stop()
	fmt.Println(<-ended)
}

// A server answers what is meant for the leadership that it serves, inside the
// gate that a change of leader drains.
func ExampleHandler_gate() {
	gate := new(lameduck.Gate)
	serving := func() leadership.Leadership { return leadership.Leadership{} } // this server does not lead
	app := http.NotFoundHandler()
	h := lameduck.Handler(gate, httpbuffer.Handler(serving, app))
	fmt.Println(http.ListenAndServe(":8080", h))
}
