//go:build unix

package lameduck_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/tenure-go/tenure/lameduck"
)

// The main function of a server: the first SIGTERM drains it, a second forces.
func ExampleOnSignal_server() {
	gate := new(lameduck.Gate)
	server, err := lameduck.NewHTTPServer(gate,
		&http.Server{Handler: lameduck.Handler(gate, http.NotFoundHandler())},
		lameduck.HTTPOptions{Plan: lameduck.Plan{All: 10 * time.Second, Cancel: time.Second}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = lameduck.OnSignal(context.Background(), func(ctx context.Context, stop <-chan struct{}) error {
		_ = syscall.Kill(os.Getpid(), syscall.SIGHUP) // what an operator would send
		report, err := server.Run(ctx, ln, stop)
		fmt.Println(report.Phase)
		return err
	}, syscall.SIGHUP)
	fmt.Println(err)
	// Output:
	// drained
	// <nil>
}
