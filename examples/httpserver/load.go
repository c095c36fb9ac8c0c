package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tenure-go/tenure/buffer/httpbuffer"
	"github.com/tenure-go/tenure/internal/measure"
)

// requestBound is how long a client waits for an answer.
const requestBound = 10 * time.Second

// The outcomes of a request: not executed is proven, or it is unknown.
const (
	done    = measure.Done
	refused = measure.Refused
	unknown = measure.Unknown
)

// op is one request of a client.
type op struct {
	client    int
	call, ret time.Duration // from the start of the load
	outcome   measure.Outcome
	why       string
	order     string // of a write
	fell      string // of a read that missed an order which was there before
}

// load is the clients. Each sends one request after the other, an order and
// then a count, over one connection that it keeps.
type load struct {
	epoch time.Time
	stop  context.CancelFunc
	wg    sync.WaitGroup
	ops   [][]op // of each client, its own until wg is done
}

func startLoad(ctx context.Context, addr string, clients int) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{epoch: time.Now(), stop: cancel, ops: make([][]op, clients)}
	for c := range clients {
		l.wg.Go(func() { l.client(ctx, c, "http://"+addr+"/orders") })
	}
	return l
}

// end lets every client finish the request it is at, and returns all requests.
func (l *load) end() []op {
	l.stop()
	l.wg.Wait()
	var all []op
	for _, ops := range l.ops {
		all = append(all, ops...)
	}
	return all
}

func (l *load) client(ctx context.Context, id int, url string) {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: requestBound}
	var least int64 // orders that there are at least
	for i := 0; ctx.Err() == nil; i++ {
		write := op{client: id, order: fmt.Sprintf("c%03d-%06d", id, i)}
		if l.do(c, http.MethodPost, url, write.order, &write); write.outcome == done {
			least++
		}
		read := op{client: id}
		if n, err := strconv.ParseInt(l.do(c, http.MethodGet, url, "", &read), 10, 64); read.outcome == done {
			if err != nil || n < least {
				read.fell = fmt.Sprintf("%d orders were counted, %d are known", n, least)
			}
			least = max(least, n)
		}
		l.ops[id] = append(l.ops[id], write, read)
	}
}

// do sends a request and fills in what came of it.
func (l *load) do(c *http.Client, method, url, body string, o *op) (answer string) {
	o.call = time.Since(l.epoch)
	defer func() { o.ret = time.Since(l.epoch) }()
	o.outcome = unknown
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	// Not bound to the load's context: a request that was begun is finished.
	req, err := http.NewRequestWithContext(context.Background(), method, url, r)
	if err != nil {
		o.why = err.Error()
		return ""
	}
	resp, err := c.Do(req)
	if err != nil {
		o.why = err.Error()
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		o.why = err.Error()
	case resp.StatusCode == http.StatusOK:
		o.outcome = done
	default:
		o.why = resp.Status + " " + strings.TrimSpace(string(b))
		if resp.Header.Get(httpbuffer.RefusalHeader) != "" {
			o.outcome = refused
		}
	}
	return string(b)
}
