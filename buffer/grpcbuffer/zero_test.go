package grpcbuffer_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenure-go/tenure/buffer"
	"github.com/tenure-go/tenure/buffer/grpcbuffer"
	"github.com/tenure-go/tenure/lameduck"
	"github.com/tenure-go/tenure/leadership"
)

// A zero value does what it says or says so with a typed error.
func TestZeroValuesAndNilArgumentsAreUsableOrRefused(t *testing.T) {
	t.Parallel()
	var none context.Context
	background := context.Background()
	argument := func(t *testing.T, err error) {
		t.Helper()
		var a *grpcbuffer.ArgumentError
		if !errors.As(err, &a) || !leadership.NotExecuted(err) {
			t.Errorf("got %v", err)
		}
	}
	dial := func(leadership.Leadership, string) (*grpc.ClientConn, error) { return nil, errors.New("no") }
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Conn makes no call", func(t *testing.T) {
			c := new(grpcbuffer.Conn)
			argument(t, c.Invoke(background, "/a/b", nil, nil))
			_, err := c.NewStream(background, &grpc.StreamDesc{}, "/a/b")
			argument(t, err)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}},
		{"Server refuses without proof", func(t *testing.T) {
			s := new(grpcbuffer.Server)
			ran := false
			_, err := s.UnaryInterceptor(background, nil, &grpc.UnaryServerInfo{FullMethod: "/a/b"}, func(context.Context, any) (any, error) {
				ran = true
				return nil, nil
			})
			if _, proof := grpcbuffer.RefusalOf(err); ran || proof || status.Code(err) != codes.Internal {
				t.Errorf("ran %v, proof %v, %v", ran, proof, err)
			}
			argument(t, s.Run(background))
			_, err = s.Stop(background, grpc.NewServer(), grpcbuffer.StopPlan{})
			argument(t, err)
		}},
		{"nil arguments", func(t *testing.T) {
			_, err := grpcbuffer.NewConn(nil, dial, grpcbuffer.ConnOptions{})
			argument(t, err)
			_, err = grpcbuffer.NewConn(new(buffer.Lane), nil, grpcbuffer.ConnOptions{})
			argument(t, err)
			c, err := grpcbuffer.NewConn(new(buffer.Lane), dial, grpcbuffer.ConnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			argument(t, c.Invoke(none, "/a/b", nil, nil))
			_, err = c.NewStream(none, &grpc.StreamDesc{}, "/a/b")
			argument(t, err)
			_, err = c.NewStream(background, nil, "/a/b")
			argument(t, err)
			var r *buffer.RequestError
			if err := c.Invoke(background, "/a/b", nil, nil); !errors.As(err, &r) || !leadership.NotExecuted(err) {
				t.Errorf("the zero Lane: %v", err)
			}
			_, err = grpcbuffer.NewServer(nil, grpcbuffer.ServerOptions{})
			argument(t, err)
			s, err := grpcbuffer.NewServer(new(lameduck.Gate), grpcbuffer.ServerOptions{})
			if err != nil {
				t.Fatal(err)
			}
			argument(t, s.Run(none))
			_, err = s.Stop(none, grpc.NewServer(), grpcbuffer.StopPlan{})
			argument(t, err)
			_, err = s.Stop(background, nil, grpcbuffer.StopPlan{})
			argument(t, err)
			if grpcbuffer.Draining(none) != nil || grpcbuffer.Draining(background) != nil {
				t.Error("a notice of nobody's")
			}
			if _, proof := grpcbuffer.RefusalOf(grpcbuffer.Refuse(nil)); proof {
				t.Error("a refusal for no stated reason proves nothing")
			}
			if _, proof := grpcbuffer.RefusalOf(nil); proof {
				t.Error("no error proves nothing")
			}
		}},
		{"errors", func(t *testing.T) {
			stuck := new(grpcbuffer.StuckError)
			<-stuck.Done()
			for _, err := range []error{new(grpcbuffer.ArgumentError), stuck} {
				if err.Error() == "" {
					t.Errorf("%T says nothing", err)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}
