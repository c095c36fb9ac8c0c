package engines_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-go/tenure/internal/engines"
)

// A server is killed, as the power of its machine fails, and comes back at its
// address.
func ExampleHost_MariaDB() {
	h, err := engines.NewHost()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := h.MariaDB(ctx, engines.MariaDBConfig{ServerID: 1})
	var missing *engines.NotFound
	if errors.As(err, &missing) {
		fmt.Println("install", missing.Engine)
		return
	}
	if err == nil {
		err = s.Start(ctx)
	}
	if err == nil {
		err = s.Kill()
	}
	if err == nil {
		err = s.Start(ctx)
	}
	fmt.Println(s.Addr(), err)
}
