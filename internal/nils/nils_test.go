package nils_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/tenure-go/tenure/internal/nils"
)

func TestNilsAreFound(t *testing.T) {
	t.Parallel()
	var pointer *fs.PathError
	var err error
	for name, v := range map[string]any{"nil": nil, "a nil pointer": pointer, "a nil interface": err} {
		if !nils.Is(v) {
			t.Errorf("%s was not found", name)
		}
	}
	for _, v := range []any{&fs.PathError{}, errors.New("x"), 3, func() {}, []int(nil), fs.PathError{}} {
		if nils.Is(v) {
			t.Errorf("%T was taken for nil", v)
		}
	}
}
