package acceptor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tenure-go/tenure/leadership"
	"github.com/tenure-go/tenure/leadership/acceptor"
)

func TestAStreamAdmitsOnlyWhileItsGateStaysOpen(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a := newNode(t, &memStore{})
	if _, err := a.Stream(lead("n2", 7)); err == nil {
		t.Fatal("a stream of a leadership that is not followed")
	}
	if err := a.Follow(ctx, lead("n2", 7)); err != nil {
		t.Fatal(err)
	}
	s, err := a.Stream(lead("n2", 7))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := s.Admit()
	if err != nil || a.Confirm(tok) != nil {
		t.Fatalf("admit: %v", err)
	}
	if err := a.Follow(ctx, lead("n3", 8)); err != nil {
		t.Fatal(err)
	}
	var stale *leadership.StaleTermError
	if _, err := s.Admit(); !errors.As(err, &stale) {
		t.Fatalf("a stream of an older term: %v", err)
	}
	if a.Confirm(tok) == nil {
		t.Fatal("a token of an older term was confirmed")
	}
	var none acceptor.Stream
	if _, err := none.Admit(); err == nil {
		t.Fatal("the zero stream admits")
	}
}
